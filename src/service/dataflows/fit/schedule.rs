//! Whether a schedule fits the table and the present time.

use super::column_name;
use crate::{
    domain::{
        Column, InvalidReason,
        dataflow::{Schedule, StartTime},
    },
    service::dataflows::error::Violation,
};

/// How long after it is sent a flow starts that has no start time. The Flow Service refuses one in the past.
pub(in crate::service::dataflows) const START_AFTER_SECS: i64 = 60;

/// The start of a flow that is sent now, and whether the caller has left it open.
///
/// # Errors
/// The caller's start has passed.
pub(in crate::service::dataflows) fn start(
    schedule: &Schedule,
    now_ms: i64,
) -> Result<(StartTime, bool), Violation> {
    let now = now_ms.div_euclid(1000);
    match schedule.start {
        None => Ok((StartTime(now.saturating_add(START_AFTER_SECS)), true)),
        Some(start) if start.0 > now => Ok((start, false)),
        Some(_) => Err(Violation {
            field: "schedule.start_time".to_owned(),
            reason: InvalidReason::OutOfRange,
            sentence: "has passed: choose a later time, or leave it empty to start as soon as is safe"
                .to_owned(),
        }),
    }
}

/// Checks the column by which a run finds the rows that are new.
pub(super) fn check_delta_column(schedule: &Schedule, columns: &[Column], violations: &mut Vec<Violation>) {
    let Some(repetition) = &schedule.repetition else { return };
    let name = repetition.delta_column.name.as_str();
    if columns.iter().any(|column| column.name == name && is_time(column)) {
        return;
    }
    let times: Vec<_> =
        columns.iter().filter(|column| is_time(column)).map(|column| column.name.as_str()).collect();
    let cure = if times.is_empty() {
        "the table has none, so that only the frequency FREQUENCY_ONCE is possible".to_owned()
    } else {
        format!("use {}", column_name::one_of(times.into_iter()))
    };
    let exists = columns.iter().any(|column| column.name == name);
    violations.push(Violation {
        field: "schedule.delta_column.name".to_owned(),
        reason: if exists { InvalidReason::NotAllowed } else { InvalidReason::NotFoundUpstream },
        sentence: format!("must be a date-time column of the table: {cure}"),
    });
}

fn is_time(column: &Column) -> bool {
    let kind = column.kind.to_ascii_lowercase();
    matches!(column.xdm_format.as_str(), "date-time" | "date")
        || kind.contains("date")
        || kind.contains("timestamp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dataflow::{ColumnName, DeltaColumn, Frequency, Repetition};

    fn column(name: &str, kind: &str, format: &str) -> Column {
        let (name, kind, xdm_format) = (name.to_owned(), kind.to_owned(), format.to_owned());
        Column { name, kind, xdm_type: "string".to_owned(), xdm_format }
    }

    fn by(column: &str) -> Schedule {
        let delta_column = DeltaColumn { name: ColumnName::parse(column).unwrap(), date_format: None };
        let repetition = Repetition { frequency: Frequency::Hour, interval: 1, backfill: true, delta_column };
        Schedule { start: None, repetition: Some(repetition) }
    }

    #[test]
    fn a_start_that_has_passed_is_never_moved() {
        let at = |start| Schedule { start, repetition: None };
        assert_eq!(start(&at(None), 5_500), Ok((StartTime(65), true)));
        assert_eq!(start(&at(Some(StartTime(6))), 5_999), Ok((StartTime(6), false)));
        for passed in [5, 4] {
            let violation = start(&at(Some(StartTime(passed))), 5_000).unwrap_err();
            assert_eq!(
                (violation.field.as_str(), violation.reason),
                ("schedule.start_time", InvalidReason::OutOfRange)
            );
        }
    }

    #[test]
    fn a_delta_column_has_times_and_the_error_lists_those_that_have() {
        let columns = [
            column("Vid", "integer", ""),
            column("Added_At", "date", ""),
            column("At", "string", "date-time"),
        ];
        let check = |name: &str, columns: &[Column]| {
            let mut violations = Vec::new();
            check_delta_column(&by(name), columns, &mut violations);
            violations.pop().map(|violation| violation.sentence)
        };
        assert_eq!(check("Added_At", &columns), None);
        assert_eq!(check("At", &columns), None);
        for name in ["Vid", "missing"] {
            assert!(check(name, &columns).unwrap().ends_with("use one of Added_At, At"));
        }
        assert!(check("Vid", &columns[..1]).unwrap().contains("FREQUENCY_ONCE"));
    }
}
