//! `/runs`: the runs of a flow, read leniently. Adobe's own documents have `activites` and `eTag`, counts of -1, and
//! seconds where milliseconds belong.

pub(crate) mod errors;

use super::{parts::any_of, parts::paged};
use crate::{
    adobe::{
        PageToken, RunPage, RunQuery,
        answer::success::object,
        client::{Call, Route},
        flow_service::next_page::next_page,
        wire,
    },
    domain::dataflow::{Run, RunState},
    error::Cause,
    json::Object,
};

static LIST: Route = Route::read("/runs", &["items"]);

pub(super) static ROUTES: [&Route; 1] = [&LIST];

/// The most batches of one run that are shown.
const MOST_BATCHES: usize = 100;
const MOST_ID_CHARS: usize = 256;

/// Asks for a page. The state is not a filter, since its spelling in one is not documented.
pub(crate) fn list<'a>(query: &RunQuery<'a>, page: Option<&PageToken>) -> Call<'a, RunPage> {
    const STARTED: &str = "metrics.durationSummary.startedAtUTC";
    let mut call = Call::new(&LIST, &query.flow.sandbox, read_page);
    call.query.push(any_of("flowId", std::iter::once(query.flow.id.as_str())));
    // Exclusive operators, so that the filter leaves out nothing that matches.
    let after = query.started_after_ms.map(|time| format!("{STARTED}>{}", time.saturating_sub(1)));
    let before = query.started_before_ms.map(|time| format!("{STARTED}<{}", time.saturating_add(1)));
    call.query.extend(after.into_iter().chain(before).map(|filter| ("property", filter)));
    paged(&mut call, query.limit, page);
    call
}

/// Reads a page, without the runs that have no ID.
///
/// # Errors
/// It is no list, or names a next page that cannot be requested.
pub(crate) fn read_page(body: &[u8]) -> Result<RunPage, Cause> {
    // An invalid byte must spoil one message, not the list.
    let body = String::from_utf8_lossy(body);
    let page = object("no list of runs", body.as_bytes())?;
    let items = page.array("items").ok_or("no list of runs: no items")?;
    let number = items.len();
    let runs = items.into_iter().filter_map(|item| run(&Object::parse(item.get().as_bytes()).ok()?));
    let items: Vec<_> = runs.collect();
    if items.len() < number {
        tracing::warn!(number = number - items.len(), "the Flow Service lists runs that cannot be read");
    }
    Ok(RunPage { items, next: next_page(&page)? })
}

fn run(item: &Object<'_>) -> Option<Run> {
    let id = item.text("id").and_then(|id| printable_id(&id))?;
    let metrics = item.object("metrics").unwrap_or_default();
    let part = |name: &str| metrics.object(name).unwrap_or_default();
    let (duration, records, size, status) =
        (part("durationSummary"), part("recordSummary"), part("sizeSummary"), part("statusSummary"));
    let activities = activities(item);
    let window = activities.iter().find_map(|activity| {
        let extensions = activity.object("durationSummary")?.object("extensions")?;
        Some((wire::milliseconds(&extensions, "windowStart"), wire::milliseconds(&extensions, "windowEnd")))
            .filter(|(start, end)| start.is_some() || end.is_some())
    });
    let (window_start_ms, window_end_ms) = window.unwrap_or_default();
    let state = status.text("status").or_else(|| item.text("state")).as_deref().and_then(RunState::parse);
    let failed_records = count(&records, "failedRecordCount");
    // A run of a partial ingestion is a success, whatever fails.
    let is_partial = state == Some(RunState::Succeeded) && failed_records.is_some_and(|failed| failed > 0);
    Some(Run {
        id,
        state: if is_partial { Some(RunState::PartiallySucceeded) } else { state },
        created_at_ms: wire::milliseconds(item, "createdAt"),
        started_at_ms: wire::milliseconds(&duration, "startedAtUTC"),
        completed_at_ms: wire::milliseconds(&duration, "completedAtUTC"),
        window_start_ms,
        window_end_ms,
        input_records: count(&records, "inputRecordCount"),
        output_records: count(&records, "outputRecordCount"),
        failed_records,
        skipped_records: count(&records, "skippedRecordCount"),
        input_bytes: count(&size, "inputBytes"),
        output_bytes: count(&size, "outputBytes"),
        errors: errors::errors(&status, &records, &activities),
        batch_ids: batches(&activities),
    })
}

fn activities<'a>(item: &Object<'a>) -> Vec<Object<'a>> {
    let activities = item.array("activities").or_else(|| item.array("activites")).unwrap_or_default();
    activities.into_iter().filter_map(|activity| Object::parse(activity.get().as_bytes()).ok()).collect()
}

/// A count, which is -1 where Adobe does not know it.
fn count(object: &Object<'_>, name: &str) -> Option<i64> {
    object.integer(name).filter(|count| *count >= 0)
}

/// The batches that the activities have written.
fn batches(activities: &[Object<'_>]) -> Vec<String> {
    let mut batches = Vec::new();
    for activity in activities {
        let targets = activity.array("targetInfo").unwrap_or_default();
        let targets = targets.into_iter().filter_map(|target| Object::parse(target.get().as_bytes()).ok());
        for reference in targets.filter_map(|target| target.object("reference")) {
            if !reference.text("type").is_some_and(|kind| kind.eq_ignore_ascii_case("batch")) {
                continue;
            }
            let ids = reference.array("ids").unwrap_or_default();
            let ids = ids.into_iter().filter_map(|id| serde_json::from_str::<String>(id.get()).ok());
            for id in ids.filter_map(|id| printable_id(&id)) {
                if batches.len() < MOST_BATCHES && !batches.contains(&id) {
                    batches.push(id);
                }
            }
        }
    }
    batches
}

/// An ID of visible ASCII characters.
fn printable_id(id: &str) -> Option<String> {
    let id = id.trim();
    let is_id = (1..=MOST_ID_CHARS).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::dataflow::RunStage;

    fn one(run: &Value) -> Run {
        let page = json!({"items": [run]}).to_string();
        read_page(page.as_bytes()).unwrap().items.remove(0)
    }

    #[test]
    fn a_run_is_read_with_the_oddities_of_adobes_documents() {
        let run = one(&json!({
            "id": "r-1", "createdAt": 1_612_310_475_000_i64, "eTag": "x",
            "metrics": {
                "durationSummary": {"startedAtUTC": 1_612_310_466, "completedAtUTC": "1612310500000"},
                "sizeSummary": {"inputBytes": "87", "outputBytes": -1},
                "recordSummary": {"inputRecordCount": 5.0, "outputRecordCount": -1, "failedRecordCount": null},
                "statusSummary": {"status": "PARTIAL_SUCCESS"},
            },
            "activites": [
                {"id": "copyActivity", "durationSummary": {"extensions": {"windowStart": 0, "windowEnd": 1_612_310_466}}},
                null,
                {"targetInfo": [{"reference": {"type": "Batch", "ids": ["b-1", "b-1", 5, "a b"]}}, "x"]},
            ],
        }));
        let expected = Run {
            id: "r-1".to_owned(),
            state: Some(RunState::PartiallySucceeded),
            created_at_ms: Some(1_612_310_475_000),
            started_at_ms: Some(1_612_310_466_000),
            completed_at_ms: Some(1_612_310_500_000),
            window_end_ms: Some(1_612_310_466_000),
            input_records: Some(5),
            input_bytes: Some(87),
            batch_ids: vec!["b-1".to_owned()],
            ..Run::default()
        };
        assert_eq!(run, expected);
    }

    #[test]
    fn a_run_without_an_id_is_left_out_and_one_with_nothing_else_is_not() {
        let page = json!({"items": [{}, null, {"id": ""}, {"id": "r"}]}).to_string();
        let runs = read_page(page.as_bytes()).unwrap().items;
        assert_eq!(runs, [Run { id: "r".to_owned(), ..Run::default() }]);
        for body in ["", "[]", "{}", r#"{"items": {}}"#] {
            assert!(read_page(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_success_with_failed_records_is_a_partial_one() {
        for (status, failed, state) in [
            ("success", 0, RunState::Succeeded),
            ("success", -1, RunState::Succeeded),
            ("success", 1, RunState::PartiallySucceeded),
            ("failed", 1, RunState::Failed),
        ] {
            let (status, records) = (json!({"status": status}), json!({"failedRecordCount": failed}));
            let run =
                one(&json!({"id": "r", "metrics": {"statusSummary": status, "recordSummary": records}}));
            assert_eq!(run.state, Some(state), "{run:?}");
        }
    }

    #[test]
    fn an_error_names_its_stage_and_whether_the_credentials_may_be_the_cause() {
        for (code, message, stage, suspected) in [
            ("CONNECTOR-1001-500", "BAD_REFRESH_TOKEN", Some(RunStage::Copy), true),
            ("CONNECTOR-1001-500", "the copy failed", Some(RunStage::Copy), true),
            ("CONNECTOR-1001-500", "Too many requests", Some(RunStage::Copy), false),
            ("CONNECTOR-2001-500", "unauthorized", Some(RunStage::Process), false),
            ("CONNECTOR-3001-500", "x", Some(RunStage::Ingest), false),
            ("INGEST-1212-400", "x", Some(RunStage::Ingest), false),
            ("2200", "401", None, false),
        ] {
            let status = json!({"status": "failed", "errors": [{"code": code, "message": message}]});
            let run = one(&json!({"id": "r", "metrics": {"statusSummary": status}}));
            let [error] = &run.errors[..] else { panic!("{run:?}") };
            assert_eq!(
                (&*error.code, error.stage, error.are_credentials_suspected),
                (code, stage, suspected),
                "{code} {message}"
            );
        }
        let status = json!({"extensions": {"errorDetail": "line\nline", "errors": [{"code": 2200, "message": "401"}]}});
        let run = one(&json!({"id": "r", "activities": [{"id": "copyActivity", "statusSummary": status}]}));
        assert!(run.errors.iter().all(|error| error.stage == Some(RunStage::Copy)), "{run:?}");
        assert_eq!((run.errors[0].code.as_str(), run.errors[1].message.as_str()), ("2200", "line line"));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = read_page(&body);
        }
    }
}
