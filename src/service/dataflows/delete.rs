//! The use case: delete a dataflow with what only it uses.
//!
//! Once the flow is gone nothing shows any more what it used. Before the first deletion the store therefore gets a
//! record of that, from which a retry continues.

use std::{future::pending, slice};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Dataflows,
    error::{DataflowError, Leftover, Part},
    flow_deletion::{NotGone, Visible, delete_flow},
    read::{ReadDataflow, failed},
    removal::{OfFlow, Removal, Removed},
};
use crate::{
    adobe::Platform,
    domain::{
        CallProgress, RequestId, Stage,
        dataflow::{DataflowRef, MappingSetId, SourceConnectionId, TargetConnectionId},
    },
    exactly_once::store::{Claim, Holder, Lease, Recorded, Step, StoreError},
};

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
                self.record(&lease, &used, deadline).await?;
                call.enter(Stage::Delete);
                delete_flow(&*self.platform, at, Visible::Certainly(read.flow.state), deadline).await?;
                used
            }
            Err(DataflowError::NotFound) => match self.begun_deletion(&lease, deadline).await? {
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
            let replaced = self
                .creations
                .engine
                .store
                .replace(&lease.request_id, &used.to_text(), &finished.to_text())
                .await;
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
            fingerprints: self.creations.engine.fingerprint_keys.fingerprints(content),
            holder: Holder::generate(),
        }
    }

    async fn record(&self, lease: &Lease, used: &Used, deadline: Instant) -> Result<(), DataflowError> {
        let engine = &self.creations.engine;
        let used = used.to_text();
        let record = || engine.store.record(lease, Some(&used), (engine.wall_clock)());
        match engine.repeat(deadline, pending(), record).await {
            Ok(Recorded::Done | Recorded::Already(_)) => Ok(()),
            Err(error) => Err(DataflowError::Store(error)),
        }
    }

    /// What the record of an earlier deletion keeps; `None` without one.
    async fn begun_deletion(&self, lease: &Lease, deadline: Instant) -> Result<Option<Used>, DataflowError> {
        let engine = &self.creations.engine;
        match engine.claim(lease, deadline, pending()).await.map_err(DataflowError::Store)?.1 {
            Claim::Done { outcome, .. } | Claim::OtherContent { outcome: Some(outcome), .. } => {
                Used::parse(&outcome).map(Some)
            }
            Claim::InProgress { retry_after } => Err(DataflowError::InProgress { retry_after }),
            Claim::Fresh { .. }
            | Claim::Unknown { .. }
            | Claim::Undoing { .. }
            | Claim::OtherContent { outcome: None, .. } => {
                // If this fails the lease ends by itself.
                let _ = engine.store.step(lease, Step::Release, "", (engine.wall_clock)()).await;
                Ok(None)
            }
        }
    }

    /// Deletes what a flow used, unless another flow uses it too, and returns what could not be deleted.
    async fn delete_used(&self, at: &DataflowRef, used: &Used, deadline: Instant) -> Vec<Leftover> {
        let removal = Removal { platform: &*self.platform, sandbox: &at.sandbox, deadline };
        let source = used.source_connection.as_deref().and_then(|id| SourceConnectionId::parse(id).ok());
        let target = used.target_connection.as_deref().and_then(|id| TargetConnectionId::parse(id).ok());
        let mapping_set = used.mapping_set.as_deref().and_then(|id| MappingSetId::parse(id).ok());
        let parts = [
            source.as_ref().map(OfFlow::Source),
            target.as_ref().map(OfFlow::Target),
            mapping_set.as_ref().map(OfFlow::MappingSet),
        ];
        let mut leftovers = Vec::new();
        for part in parts.into_iter().flatten() {
            let reason = match removal.unused(part, slice::from_ref(&at.id)).await {
                Removed::Gone => continue,
                Removed::Kept(reason) | Removed::InUse(reason) => reason,
                Removed::Remains(reason) => format!("{reason}: repeat the call"),
            };
            leftovers.push(Leftover { part: part.part(), id: part.id().to_owned(), reason });
        }
        leftovers
    }
}

impl From<NotGone> for DataflowError {
    fn from(not_gone: NotGone) -> Self {
        match not_gone {
            NotGone::State { state, .. } => Self::State { state },
            NotGone::NotDeleted(error) => failed(Part::Flow)(error),
            NotGone::Unknown(cause) => Self::OutcomeUnknown(cause),
        }
    }
}
