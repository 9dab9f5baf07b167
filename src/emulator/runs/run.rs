//! The content of a run.

use serde_json::{Value, json};

use super::{document, oddities, plan::RunResult};
use crate::emulator::{
    collection::{Collection, EQUAL, Field, ORDERED, Record, Resource},
    flow_service::FlowServiceResource,
    flows::{Flow, Frequency},
    state::State,
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct Run {
    /// The id of its flow.
    pub(super) flow: String,
    pub(super) source_connection: String,
    pub(super) target_connection: String,
    pub(super) is_one_time: bool,
    pub(super) period: Period,
    pub(super) result: RunResult,
    /// The id of the batch that it wrote.
    pub(super) batch: Option<String>,
}

/// When a run happened, and which rows it took.
#[derive(Clone, Debug)]
pub(super) struct Period {
    /// The end of the window, too.
    pub(super) started_ms: u64,
    pub(super) completed_ms: u64,
    pub(super) window_start_ms: u64,
    pub(super) takes_everything: bool,
}

impl Run {
    pub(super) fn new(
        id: &str,
        flow: &Flow,
        period: &Period,
        result: RunResult,
        batch: Option<String>,
    ) -> Self {
        Self {
            flow: id.to_owned(),
            source_connection: flow.source_connection.clone(),
            target_connection: flow.target_connection.clone(),
            is_one_time: flow.schedule.frequency == Frequency::Once,
            period: period.clone(),
            result,
            batch,
        }
    }
}

impl Resource for Run {
    fn document(record: &Record<Self>) -> Value {
        document::of(record)
    }
}

impl FlowServiceResource for Run {
    const NAME: &'static str = "runs";
    const FIELDS: &'static [Field] = &[
        ("id", EQUAL),
        ("flowId", EQUAL),
        ("state", EQUAL),
        ("createdAt", ORDERED),
        ("metrics.durationSummary.startedAtUTC", ORDERED),
        ("metrics.durationSummary.completedAtUTC", ORDERED),
        ("metrics.statusSummary.status", EQUAL),
    ];
    const ORDERS: &'static [&'static str] =
        &["createdAt", "updatedAt", "metrics.durationSummary.startedAtUTC"];

    fn collection(state: &State) -> &Collection<Self> {
        &state.runs
    }

    fn collection_mut(state: &mut State) -> &mut Collection<Self> {
        &mut state.runs
    }

    fn item(record: &Record<Self>, state: &State) -> Value {
        let mut item = record.document.clone();
        // A list is filtered by it, but no documented body has it.
        if let Some(members) = item.as_object_mut() {
            members.remove("state");
        }
        oddities::apply(item, &state.settings.run_oddities)
    }
}

/// The run in its flow.
pub(super) fn last_run_details(record: &Record<Run>) -> Value {
    let Run { result, .. } = &record.content;
    let duration = &record.document["metrics"]["durationSummary"];
    let mut details = json!({
        "id": record.id,
        "state": result.outcome.status(),
        "startedAtUTC": duration["startedAtUTC"],
    });
    if let Some(completed) = duration.get("completedAtUTC") {
        details["completedAtUTC"] = completed.clone();
    }
    details
}
