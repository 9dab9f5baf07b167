//! The use case: delete a dataflow with what only it uses.
//!
//! Once the flow is gone nothing shows any more what it used. Before the first deletion the store therefore gets a
//! record of that, from which a retry continues.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{
    Dataflows,
    error::{DataflowError, Leftover, Part},
    read::{ReadDataflow, failed, other_flows},
};
use crate::{
    adobe::{CallError, FlowSelection, Platform, Refusal},
    backoff::Backoff,
    domain::{
        CallProgress, RequestId, Stage,
        dataflow::{DataflowRef, DataflowState, MappingSetId, SourceConnectionId, TargetConnectionId},
    },
    exactly_once::store::{Claim, Holder, Lease, Recorded, Step, StoreError},
};

/// The pause between two reads of a flow that is being deleted.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2), 0.0);
/// How long a flow is read that shows no change after a lost reply.
const UNCHANGED: Duration = Duration::from_secs(10);
/// Why datasets and schemas remain.
const KEPT: &str = "it is never deleted: delete it in Adobe's user interface if nobody needs it";

/// What a deleted flow used, as its record keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Used {
    source_connection: Option<String>,
    target_connection: Option<String>,
    mapping_set: Option<String>,
    dataset: Option<String>,
    schema: Option<String>,
    /// Whether nothing remains to be deleted.
    finished: bool,
}

impl Used {
    fn by(read: &ReadDataflow) -> Self {
        let ReadDataflow { flow, dataset, schema, .. } = read;
        Self {
            source_connection: flow.source_connections.first().map(ToString::to_string),
            target_connection: flow.target_connections.first().map(ToString::to_string),
            mapping_set: flow.mapping_set.as_ref().map(|set| set.id.to_string()),
            dataset: dataset.as_ref().map(ToString::to_string),
            schema: schema.as_ref().map(ToString::to_string),
            finished: false,
        }
    }

    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings always serialize")
    }

    fn parse(text: &str) -> Result<Self, DataflowError> {
        let damaged =
            |_| DataflowError::Store(StoreError::Unreadable("the record of a deletion is damaged".into()));
        serde_json::from_str(text).map_err(damaged)
    }
}

impl<P: Platform> Dataflows<P> {
    /// Deletes a dataflow, and returns what remains of it.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn delete_hubspot_dataflow(
        &self,
        at: &DataflowRef,
        allow_missing: bool,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Vec<Leftover>, DataflowError> {
        call.enter(Stage::Read);
        let lease = self.lease_of_deletion(at);
        let used = match self.read(at, deadline).await {
            Ok(read) => {
                let used = Used::by(&read);
                // The flow exists, so that an earlier record of its deletion says the same.
                self.record(&lease, &used).await?;
                call.enter(Stage::Delete);
                self.delete_flow(at, read.flow.state, deadline).await?;
                used
            }
            Err(DataflowError::NotFound) => match self.begun_deletion(&lease).await? {
                Some(used) if !used.finished => used,
                Some(_) | None if allow_missing => return Ok(Vec::new()),
                Some(_) | None => return Err(DataflowError::NotFound),
            },
            Err(error) => return Err(error),
        };
        call.enter(Stage::Delete);
        let mut leftovers = self.delete_used(at, &used, deadline).await;
        if leftovers.is_empty() {
            let finished = Used { finished: true, ..Used::default() };
            let replaced =
                self.engine.store.replace(&lease.request_id, &used.to_text(), &finished.to_text()).await;
            if let Err(error) = replaced {
                tracing::debug!(%error, dataflow_id = %at.id, "could not record that a deletion is finished");
            }
        }
        let kept = [(Part::Dataset, &used.dataset), (Part::Schema, &used.schema)];
        leftovers.extend(
            kept.into_iter()
                .filter_map(|(part, id)| Some(Leftover { part, id: id.clone()?, reason: KEPT.to_owned() })),
        );
        Ok(leftovers)
    }

    /// The record of a deletion has an id of its own.
    fn lease_of_deletion(&self, at: &DataflowRef) -> Lease {
        let (sandbox, id) = (at.sandbox.as_str(), at.id.as_str());
        let content = [("method", "DeleteHubSpotDataflow"), ("sandbox_name", sandbox), ("id", id)];
        Lease {
            request_id: RequestId::of_name(&format!("DeleteHubSpotDataflow {sandbox} {id}")),
            fingerprints: self.engine.fingerprint_keys.fingerprints(content),
            holder: Holder::generate(),
        }
    }

    async fn record(&self, lease: &Lease, used: &Used) -> Result<(), DataflowError> {
        let now_ms = (self.engine.wall_clock)();
        match self.engine.store.record(lease, Some(&used.to_text()), now_ms).await {
            Ok(Recorded::Done | Recorded::Already(_)) => Ok(()),
            Err(error) => Err(DataflowError::Store(error)),
        }
    }

    /// What the record of an earlier deletion keeps; `None` without one.
    async fn begun_deletion(&self, lease: &Lease) -> Result<Option<Used>, DataflowError> {
        let now_ms = (self.engine.wall_clock)();
        match self.engine.store.claim(lease, now_ms).await.map_err(DataflowError::Store)? {
            Claim::Done { outcome, .. } | Claim::OtherContent { outcome: Some(outcome), .. } => {
                Used::parse(&outcome).map(Some)
            }
            Claim::InProgress { retry_after } => Err(DataflowError::InProgress { retry_after }),
            _ => {
                // If this fails the lease ends by itself.
                let _ = self.engine.store.step(lease, Step::Release, "", now_ms).await;
                Ok(None)
            }
        }
    }

    /// Deletes a flow, and waits until it is gone.
    async fn delete_flow(
        &self,
        at: &DataflowRef,
        state: Option<DataflowState>,
        deadline: Instant,
    ) -> Result<(), DataflowError> {
        let mut lost = None;
        if state != Some(DataflowState::Deleting) {
            match self.platform.delete_flow(at, deadline).await {
                Ok(()) => {}
                Err(error) if error.may_have_arrived() => lost = Some((error, Instant::now() + UNCHANGED)),
                Err(error) if error.refusal() == Some(Refusal::NotFound) => {}
                // It may be the state of being deleted.
                Err(error) if error.refusal() == Some(Refusal::State) => {
                    match self.flow_state(at, deadline).await.map_err(failed(Part::Flow))? {
                        None | Some(Some(DataflowState::Deleting)) => {}
                        Some(state) => return Err(DataflowError::State { state }),
                    }
                }
                Err(error) => return Err(failed(Part::Flow)(error)),
            }
        }
        let mut reads = 0;
        loop {
            let read = self.flow_state(at, deadline).await;
            match (read, &mut lost) {
                (Ok(None), _) => return Ok(()),
                (Err(error), _) => {
                    let (cause, _) = lost.unwrap_or((error, deadline));
                    return Err(DataflowError::OutcomeUnknown(cause));
                }
                (Ok(Some(Some(DataflowState::Deleting))), lost) => *lost = None,
                (Ok(Some(_)), Some((_, give_up))) if Instant::now() >= *give_up => {
                    let (cause, _) = lost.expect("it matched");
                    return Err(DataflowError::OutcomeUnknown(cause));
                }
                (Ok(Some(_)), _) => {}
            }
            reads += 1;
            sleep(PAUSES.pause(reads)).await;
        }
    }

    /// The state of a flow; `None` where there is no such flow.
    async fn flow_state(
        &self,
        at: &DataflowRef,
        deadline: Instant,
    ) -> Result<Option<Option<DataflowState>>, CallError> {
        Ok(self.platform.get_flow(at, deadline).await?.map(|flow| flow.state))
    }

    /// Deletes what a flow used, unless another flow uses it too, and returns what could not be deleted.
    async fn delete_used(&self, at: &DataflowRef, used: &Used, deadline: Instant) -> Vec<Leftover> {
        let mut leftovers = Vec::new();
        let source = used.source_connection.as_deref().and_then(|id| SourceConnectionId::parse(id).ok());
        if let Some(id) = source {
            let ids = std::slice::from_ref(&id);
            let outcome = match self.unused(at, FlowSelection::OfSources(ids), deadline).await {
                Ok(()) => {
                    let deleted = self.platform.delete_source_connection(&at.sandbox, &id, deadline).await;
                    deleted.map_err(|error| not_deleted(&error))
                }
                Err(reason) => Err(reason),
            };
            leftovers.extend(leftover(Part::SourceConnection, id.as_str(), outcome));
        }
        let target = used.target_connection.as_deref().and_then(|id| TargetConnectionId::parse(id).ok());
        if let Some(id) = target {
            let ids = std::slice::from_ref(&id);
            let outcome = match self.unused(at, FlowSelection::OfTargets(ids), deadline).await {
                Ok(()) => {
                    let deleted = self.platform.delete_target_connection(&at.sandbox, &id, deadline).await;
                    deleted.map_err(|error| not_deleted(&error))
                }
                Err(reason) => Err(reason),
            };
            leftovers.extend(leftover(Part::TargetConnection, id.as_str(), outcome));
        }
        let mapping_set = used.mapping_set.as_deref().and_then(|id| MappingSetId::parse(id).ok());
        if let Some(id) = mapping_set {
            let outcome = match self.unused(at, FlowSelection::OfMappingSet(&id), deadline).await {
                Ok(()) => {
                    let deleted = self.platform.delete_mapping_set(&at.sandbox, &id, deadline).await;
                    deleted.map_err(|error| not_deleted(&error))
                }
                Err(reason) => Err(reason),
            };
            leftovers.extend(leftover(Part::MappingSet, id.as_str(), outcome));
        }
        leftovers
    }

    /// Whether no other flow uses it; otherwise the reason to keep it.
    async fn unused(
        &self,
        at: &DataflowRef,
        selection: FlowSelection<'_>,
        deadline: Instant,
    ) -> Result<(), String> {
        match other_flows(&*self.platform, &at.sandbox, selection, &at.id, deadline).await {
            Ok(others) => match &others[..] {
                [] => Ok(()),
                [Some(other), ..] => Err(format!("the dataflow {other} uses it")),
                [None, ..] => Err("another dataflow uses it".to_owned()),
            },
            Err(_) => Err("whether another dataflow uses it could not be read: repeat the call".to_owned()),
        }
    }
}

fn not_deleted(error: &CallError) -> String {
    match error.problem() {
        Some(problem) => format!("Adobe did not delete it ({problem}): repeat the call"),
        None => "it could not be deleted: repeat the call".to_owned(),
    }
}

fn leftover(part: Part, id: &str, outcome: Result<(), String>) -> Option<Leftover> {
    outcome.err().map(|reason| Leftover { part, id: id.to_owned(), reason })
}
