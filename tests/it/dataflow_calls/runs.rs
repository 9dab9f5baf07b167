use std::time::{SystemTime, UNIX_EPOCH};

use hubspot_connection_service::{
    emulator::{Outcome, PlannedRun},
    proto::{HubSpotDataflowRun as Run, ListHubSpotDataflowRunsRequest as List, RunState, run_error::Stage},
};
use prost_types::Timestamp;
use serde_json::json;
use tonic::Code;

use super::{Flow, NOT_FOUND, Setup};
use crate::support::{Failure, salesforce, until};

fn in_milliseconds(time: &Timestamp) -> i64 {
    time.seconds * 1000 + i64::from(time.nanos) / 1_000_000
}

impl Setup {
    pub(super) async fn runs(&mut self, request: List) -> Result<(Vec<Run>, String), Failure> {
        let listed = self.client.list_hub_spot_dataflow_runs(request).await.map_err(Failure::from)?;
        let listed = listed.into_inner();
        Ok((listed.runs, listed.next_page_token))
    }

    /// The runs on all pages, in their order.
    async fn all_runs(&mut self, request: List) -> Vec<Run> {
        let (mut runs, mut page_token) = (Vec::new(), String::new());
        loop {
            let (page, next) = self.runs(List { page_token, ..request.clone() }).await.unwrap();
            runs.extend(page);
            if next.is_empty() {
                return runs;
            }
            page_token = next;
        }
    }

    /// Makes runs, later than all before.
    pub(super) async fn run(&self, planned: PlannedRun) {
        let begun = now_ms();
        until("the next millisecond", || now_ms() > begun).await;
        self.service.emulator.make_runs(&[planned]).unwrap();
    }

    /// Makes one run that ends like this, and returns it.
    async fn one_run(&mut self, id: &str, outcome: Outcome) -> Run {
        self.run(PlannedRun::once(id, outcome)).await;
        self.runs(of(id)).await.unwrap().0.remove(0)
    }
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

pub(super) fn of(id: &str) -> List {
    List { id: id.to_owned(), ..List::default() }
}

#[tokio::test]
async fn each_outcome_is_shown_with_its_numbers_and_its_errors() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    for (outcome, state, records, errors) in [
        (Outcome::Succeeded, RunState::Succeeded, [5, 5, 0], &[][..]),
        (
            Outcome::Partial,
            RunState::PartiallySucceeded,
            [5, 4, 1],
            &[("INGEST-1212-400", Stage::Ingest, false)],
        ),
        (Outcome::FailedCopy, RunState::Failed, [0, 0, 0], &[("CONNECTOR-1001-500", Stage::Copy, true)]),
        (
            Outcome::FailedProcess,
            RunState::Failed,
            [5, 0, 5],
            &[("CONNECTOR-2001-500", Stage::Process, false)],
        ),
        (Outcome::FailedIngest, RunState::Failed, [5, 0, 5], &[("CONNECTOR-3001-500", Stage::Ingest, false)]),
        (Outcome::InProgress, RunState::InProgress, [5, 0, 0], &[]),
    ] {
        let run = setup.one_run(&id, outcome).await;
        assert_eq!(run.state(), state, "{outcome:?}");
        let shown = [run.input_records, run.output_records, run.failed_records];
        assert_eq!(shown, records.map(Some), "{outcome:?}");
        assert_eq!(run.skipped_records, Some(0));
        assert!(run.input_bytes.is_some() && run.output_bytes.is_some());
        for (code, stage, suspected) in errors {
            let error = run.errors.iter().find(|error| error.code == *code);
            let error = error.unwrap_or_else(|| panic!("{outcome:?}: {run:?}"));
            assert_eq!((error.stage(), error.credentials_suspected), (*stage, *suspected), "{outcome:?}");
            assert!(!error.message.is_empty());
        }
        assert_eq!(run.errors.is_empty(), errors.is_empty(), "{run:?}");
        assert_eq!(
            run.errors.iter().any(|error| error.credentials_suspected),
            outcome == Outcome::FailedCopy
        );
        assert!(run.create_time.is_some() && run.start_time.is_some());
        assert_eq!(run.complete_time.is_none(), outcome == Outcome::InProgress);
        assert!(run.window_start_time.is_some() && run.window_end_time.is_some(), "{run:?}");
        let writes = matches!(outcome, Outcome::Succeeded | Outcome::Partial);
        assert!(!writes || run.batch_ids.len() == 1, "{run:?}");
        let last = setup.get(&id).await.unwrap().last_run.unwrap();
        assert_eq!((last.id, last.start_time), (run.id, run.start_time));
    }
}

#[tokio::test]
async fn every_run_is_on_one_page_newest_first() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    let other = setup.create_elsewhere("Others").await.id;
    assert_eq!(setup.runs(of(&id)).await.unwrap(), (Vec::new(), String::new()));
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, setup.one_run(&id, Outcome::Succeeded).await.id);
        setup.one_run(&other, Outcome::FailedCopy).await;
    }
    for page_size in [0, 1, 2, 5, 100] {
        let runs = setup.all_runs(List { page_size, ..of(&id) }).await;
        assert_eq!(runs.into_iter().map(|run| run.id).collect::<Vec<_>>(), made, "{page_size}");
    }
    // A token belongs to its query.
    let (_, page_token) = setup.runs(List { page_size: 1, ..of(&id) }).await.unwrap();
    for query in [of(&other), List { state: RunState::Failed.into(), ..of(&id) }] {
        let failure = setup.runs(List { page_token: page_token.clone(), ..query }).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
        assert_eq!(failure.violations[0].0, "page_token");
    }
}

#[tokio::test]
async fn runs_are_selected_by_their_state_and_their_start() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    let mut made = Vec::new();
    for outcome in [Outcome::FailedCopy, Outcome::Succeeded, Outcome::Partial, Outcome::InProgress] {
        made.push(setup.one_run(&id, outcome).await);
    }
    for (state, expected) in [
        (RunState::Failed, &made[0]),
        (RunState::Succeeded, &made[1]),
        (RunState::PartiallySucceeded, &made[2]),
        (RunState::InProgress, &made[3]),
    ] {
        let found = setup.all_runs(List { state: state.into(), page_size: 1, ..of(&id) }).await;
        assert_eq!(found, std::slice::from_ref(expected), "{state:?}");
    }
    let queued = List { state: RunState::Queued.into(), ..of(&id) };
    assert!(setup.all_runs(queued).await.is_empty());
    // Both limits are excluded.
    let start = |at: usize| made[at].start_time;
    for (after, before, expected) in [
        (start(0), start(3), &made[1..3]),
        (start(0), start(2), &made[1..2]),
        (start(1), None, &made[2..]),
        (None, start(1), &made[..1]),
    ] {
        let request = List { started_after: after, started_before: before, ..of(&id) };
        let mut found = setup.all_runs(request).await;
        found.reverse();
        assert_eq!(found, expected);
    }
    let request = List { started_after: start(1), started_before: start(1), ..of(&id) };
    let failure = setup.runs(request).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
}

#[tokio::test]
async fn runs_in_an_unusual_form_are_read() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    let succeeded = setup.one_run(&id, Outcome::Succeeded).await;
    let failed = setup.one_run(&id, Outcome::FailedIngest).await;
    let in_progress = setup.one_run(&id, Outcome::InProgress).await;

    setup.service.set(json!({"run_oddities": ["negative_counts"]}));
    let runs = setup.all_runs(of(&id)).await;
    let odd = &runs[1];
    assert_eq!((&odd.id, odd.state()), (&failed.id, RunState::Failed));
    assert_eq!([odd.input_records, odd.output_records, odd.failed_records, odd.skipped_records], [None; 4]);
    assert_eq!([odd.input_bytes, odd.output_bytes], [None; 2]);
    assert_eq!(odd.errors, failed.errors);
    assert_eq!(runs[2], succeeded);

    setup.service.set(json!({"run_oddities": ["activites"]}));
    assert_eq!(setup.all_runs(of(&id)).await, [in_progress.clone(), failed, succeeded.clone()]);

    setup.service.set(json!({"run_oddities": ["seconds"]}));
    let runs = setup.all_runs(of(&id)).await;
    for (run, usual) in [(&runs[0], &in_progress), (&runs[2], &succeeded)] {
        let started = in_milliseconds(run.start_time.as_ref().unwrap());
        assert_eq!(started, in_milliseconds(usual.start_time.as_ref().unwrap()) / 1000 * 1000);
    }

    setup.service.set(json!({"run_oddities": ["status_only"]}));
    let bare = &setup.all_runs(of(&id)).await[0];
    assert_eq!((&bare.id, bare.state()), (&in_progress.id, RunState::InProgress));
    assert_eq!([bare.input_records, bare.output_records, bare.failed_records], [None; 3]);
    assert!(bare.start_time.is_none() && bare.create_time.is_some());
}

#[tokio::test]
async fn the_runs_of_a_flow_of_another_source_are_not_shown() {
    let mut setup = Setup::new().await;
    let connection = salesforce(&setup.service.emulator).await;
    let flow = Flow::of_salesforce(&setup.service.emulator, &connection, "Accounts").await;
    setup.run(PlannedRun::once(&flow.id, Outcome::FailedCopy)).await;
    for id in [&*flow.id, "3f8a5c1e-0000-4000-8000-000000000000"] {
        assert_eq!(setup.runs(of(id)).await.unwrap_err().row(), NOT_FOUND);
    }
    assert_eq!(setup.service.requests_to("GET", "/runs"), 0);
}
