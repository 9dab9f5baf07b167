//! What follows the creation of a dataflow: what a lost reply has left behind is deleted by a later call.

use std::slice;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    CreateDataflow, Markers,
    marked::Marked,
    outcome::Outcome,
    prepared::{Prepared, Surplus},
};
use crate::{
    adobe::{Platform, TargetSelection},
    exactly_once::{
        creation::{Creation, Finished},
        operation::Outcome as _,
    },
    service::dataflows::{
        create::DataflowCreated,
        error::CreateDataflowError,
        removal::{OfFlow, Removal, Removed},
    },
};

/// How long an outcome is completed that a caller waits for.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

impl<P: Platform> Creation<CreateDataflow<P>> {
    /// The response; before it, what may be done by now.
    pub(super) async fn completed(&self, finished: Finished<Outcome>) -> DataflowCreated {
        let Finished { mut outcome, replayed, is_recorded, recorded_at } = finished;
        let deadline = Instant::now() + TIMEOUT;
        let is_settled = recorded_at.elapsed() > self.engine.retention.settled_after();
        if outcome.prepared.is_sweep_due && is_recorded && is_settled {
            Box::pin(self.sweep(&mut outcome, deadline)).await;
        }
        if outcome.prepared.dataset.is_none() {
            Box::pin(self.operation.fill(self.request_id(), &mut outcome.prepared, deadline)).await;
        }
        let Outcome { dataflow, prepared, .. } = outcome;
        let resources = prepared.resources();
        let start = prepared.start.or(self.operation.dataflow.schedule.start);
        DataflowCreated {
            request_id: self.request_id(),
            dataflow,
            replayed,
            resources,
            mappings: prepared.mappings,
            unmapped_columns: prepared.unmapped_columns,
            start,
        }
    }

    /// Deletes what carries this request's markers and is not the flow's, and records that nothing more can appear.
    async fn sweep(&self, outcome: &mut Outcome, deadline: Instant) {
        let markers = Markers::of(self.request_id());
        match self.operation.delete_surplus(&markers, &outcome.prepared, deadline).await {
            Ok(0) => {}
            Ok(remaining) => {
                return tracing::warn!(request_id = %self.request_id(), remaining, "could not delete all that lost replies have left");
            }
            Err(error) => {
                return tracing::debug!(request_id = %self.request_id(), %error, "could not look for what lost replies have left");
            }
        }
        let expected = outcome.to_text();
        outcome.prepared.is_sweep_due = false;
        outcome.prepared.surplus = Surplus::default();
        let replaced = self.engine.store.replace(&self.request_id(), &expected, &outcome.to_text()).await;
        self.note(replaced.map(drop), "record that nothing is left behind");
    }
}

impl<P: Platform> CreateDataflow<P> {
    /// Deletes what carries the markers of a request and is not `used`. Returns how many remain that should be deleted.
    ///
    /// # Errors
    /// What there is cannot be listed.
    pub(super) async fn delete_surplus(
        &self,
        markers: &Markers,
        used: &Prepared,
        deadline: Instant,
    ) -> Result<usize, CreateDataflowError> {
        let (platform, sandbox) = (&*self.platform, &self.dataflow.sandbox);
        let marked = Marked::of_names(platform, sandbox, markers, deadline).await?;
        let removal = Removal { platform, sandbox, deadline };
        let used_set = used.mapping_set.as_ref().map(|set| &set.id);
        let sources: Vec<_> = marked.sources.iter().map(|source| source.id.clone()).collect();
        let targets: Vec<_> = marked.targets.iter().map(|target| target.id.clone()).collect();
        let sets: Vec<_> = marked.mapping_sets.iter().map(|set| set.at.id.clone()).collect();
        let parts = OfFlow::all(&targets, &sources, &sets).filter(|part| match part {
            OfFlow::Source(id) => Some(*id) != used.source.as_ref(),
            OfFlow::Target(id) => Some(*id) != used.target.as_ref(),
            OfFlow::MappingSet(id) => Some(*id) != used_set,
        });
        let removed = join_all(parts.map(async |part| {
            let removed = removal.unused(part, &[]).await;
            if let (OfFlow::Source(source_connection), Removed::InUse(_)) = (part, &removed) {
                self.metrics.duplicates.inc();
                tracing::error!(%source_connection, "one request created several dataflows");
            }
            (part, removed)
        }))
        .await;
        let gone: Vec<_> = removed
            .iter()
            .filter_map(|(part, removed)| match part {
                OfFlow::Target(id) if *removed == Removed::Gone => Some((*id).clone()),
                OfFlow::Target(_) | OfFlow::Source(_) | OfFlow::MappingSet(_) => None,
            })
            .collect();
        // A dataset that is not the flow's was never used, unless its target connection is.
        let datasets = marked.datasets.iter().filter(|dataset| {
            used.is_dataset_created && used.dataset.is_some() && Some(&dataset.id) != used.dataset.as_ref()
        });
        let datasets = join_all(datasets.map(|dataset| removal.dataset(&dataset.id, &gone, || true))).await;
        let removed = removed.into_iter().map(|(_, removed)| removed).chain(datasets);
        Ok(removed.filter(|removed| matches!(removed, Removed::Remains(_))).count())
    }

    /// Adds what the outcome of a forgotten creation does not show.
    async fn fill(&self, request_id: crate::domain::RequestId, prepared: &mut Prepared, deadline: Instant) {
        let Some(target) = prepared.target.clone() else { return };
        let (sandbox, markers) = (&self.dataflow.sandbox, Markers::of(request_id));
        let (targets, sets) = tokio::join!(
            self.platform.list_target_connections(
                sandbox,
                TargetSelection::Ids(slice::from_ref(&target)),
                deadline
            ),
            super::marked::mapping_sets(&*self.platform, sandbox, &markers, deadline),
        );
        if let Some(found) =
            targets.ok().and_then(|targets| targets.into_iter().find(|found| found.id == target))
        {
            prepared.dataset = found.dataset;
            prepared.schema = prepared.schema.take().or(found.schema);
        }
        let is_used = |id| prepared.mapping_set.as_ref().is_some_and(|set| set.id == id);
        let used = sets.ok().and_then(|sets| sets.into_iter().find(|set| is_used(set.at.id.clone())));
        if prepared.mappings.is_empty() {
            prepared.mappings = used.and_then(|set| set.mappings).unwrap_or_default();
        }
    }
}
