//! What Adobe refuses although nothing was found wrong here, as violations of the request.

use super::error::{CreateDataflowError, Part, Violation};
use crate::{
    adobe::{CallError, Problem},
    domain::InvalidReason,
};

/// The codes of the Flow Service about parts of a request, whatever the prefix, with the field and the fix.
const FIELDS: &[(u32, &str, &str)] = &[
    (1317, "schedule", "set a frequency"),
    (1330, "table", "choose a table that has columns"),
    (1340, "schedule.start_time", "choose another time"),
    (1353, "table", "choose another table"),
    (1360, "schedule.start_time", "choose a later time, or leave it empty to start as soon as is safe"),
    (1361, "schedule.interval", "choose a longer interval: at least 15 minutes"),
    (1362, "schedule.interval", "leave it empty with FREQUENCY_ONCE, and set it with any other frequency"),
    (1363, "schedule.interval", "choose at least 15 with FREQUENCY_MINUTE, and at least 1 with any other"),
    (1364, "schedule.backfill", "leave it empty with FREQUENCY_ONCE"),
    (1366, "schedule.start_time", "choose a later time"),
    (1367, "schedule.delta_column", "set a date-time column of the table"),
    (1369, "schedule.delta_column", "leave it empty with FREQUENCY_ONCE"),
    (1370, "schedule.delta_column.name", "choose another date-time column of the table"),
    (1397, "schedule.frequency", "choose another frequency"),
    (1412, "mappings", "correct the mappings"),
    (
        1419,
        "mappings",
        "correct the mappings, or have an operator give this service the rights to all their fields",
    ),
    (1425, "mappings", "use a dataset whose schema was not changed meanwhile"),
];

/// The violation that a refusal of this part means, if it is about the request.
pub(super) fn violation(part: Part, error: &CallError) -> Option<Violation> {
    error.refusal()?;
    let problem = error.problem()?;
    let by_code = code(problem).and_then(|code| FIELDS.iter().find(|(known, ..)| *known == code));
    let (field, cure) = match by_code {
        Some((_, field, cure)) => (*field, *cure),
        // Data Prep knows of nothing but mappings.
        None if part == Part::MappingSet && matches!(problem.status, 400 | 422) => {
            ("mappings", "correct the mappings")
        }
        None => return None,
    };
    let sentence = format!("is refused by {} ({problem}): {cure}", part.service());
    Some(Violation { field: field.to_owned(), reason: InvalidReason::NotAllowed, sentence })
}

/// The number in a code such as `FLOW-1360-400`.
fn code(problem: &Problem) -> Option<u32> {
    let mut parts = problem.code.as_deref()?.split('-');
    parts.find_map(|part| part.parse().ok())
}

/// The error of a call about this part.
pub(super) fn at(part: Part, error: CallError) -> CreateDataflowError {
    match violation(part, &error) {
        Some(violation) => CreateDataflowError::Invalid(vec![violation]),
        None => CreateDataflowError::Call { part, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adobe::Refusal;

    fn refused(status: u16, code: Option<&str>) -> CallError {
        let problem = Problem { status, code: code.map(str::to_owned), ..Problem::default() };
        CallError::Refused { refusal: Refusal::Request, problem }
    }

    #[test]
    fn a_code_names_its_field_whatever_its_prefix() {
        for (code, field) in [
            ("FLOW-1360-400", Some("schedule.start_time")),
            ("CONNECTOR-1363-400", Some("schedule.interval")),
            ("1419", Some("mappings")),
            ("FLOW-1413-400", None),
            ("nonsense", None),
        ] {
            let violation = violation(Part::Flow, &refused(400, Some(code)));
            assert_eq!(violation.as_ref().map(|violation| &*violation.field), field, "{code}");
        }
    }

    #[test]
    fn what_data_prep_refuses_are_the_mappings_and_a_failure_is_no_violation() {
        let violated = violation(Part::MappingSet, &refused(400, None));
        assert_eq!(violated.map(|violation| violation.field).as_deref(), Some("mappings"));
        assert_eq!(violation(Part::MappingSet, &refused(403, None)), None);
        assert_eq!(violation(Part::Flow, &refused(400, None)), None);
        assert_eq!(violation(Part::Flow, &CallError::TooLate), None);
    }
}
