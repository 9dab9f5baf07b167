//! Deletes what a creation has made that nobody will retry. Until then its record keeps it from being created again.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Markers,
    marked::{Marked, at, titled},
    operation::flows_by_marks,
    outcome::Outcome,
    prepared::Prepared,
    removal::{Removal, Removed},
};
use crate::{
    adobe::{CallError, FlowSelection, Platform, TitledKind},
    domain::{
        RequestId, SandboxName,
        dataflow::{Dataflow, DataflowId, DataflowRef, DatasetId, SchemaId, TitledResource},
    },
    exactly_once::{
        Kind,
        withdrawal::{Known, Withdrawal},
    },
    service::dataflows::{
        error::{CreateDataflowError, Leftover, Part},
        flows::flows_of,
    },
};

/// The pause between two reads of a flow that is deleted.
const PAUSE: Duration = Duration::from_millis(500);

/// The withdrawal of one creation.
pub(in crate::service::dataflows) struct WithdrawDataflow<P> {
    pub(in crate::service::dataflows) platform: Arc<P>,
    pub(in crate::service::dataflows) sandbox: SandboxName,
    pub(in crate::service::dataflows) allow_missing: bool,
}

impl<P: Platform> Withdrawal for WithdrawDataflow<P> {
    type Id = DataflowId;
    type Outcome = Outcome;
    type Context = Prepared;
    type Deleted = Vec<Leftover>;
    type Error = CreateDataflowError;

    const KIND: Kind = Kind::Dataflow;

    fn sandbox(&self) -> &SandboxName {
        &self.sandbox
    }

    fn read(context: &str) -> Option<Prepared> {
        Prepared::parse_context(context)
    }

    async fn exists(
        &self,
        request_id: RequestId,
        context: &str,
        deadline: Instant,
    ) -> Result<bool, CallError> {
        let flows =
            flows_by_marks(&*self.platform, &self.sandbox, request_id, Some(context), deadline).await?;
        if flows.iter().any(|flow| flow.source_connections.is_empty()) {
            return Err(CallError::Undecodable("a flow does not show its source connection".into()));
        }
        Ok(!flows.is_empty())
    }

    async fn delete(
        &self,
        request_id: RequestId,
        known: &Known<Prepared, Outcome>,
        deadline: Instant,
    ) -> Result<Vec<Leftover>, CreateDataflowError> {
        let markers = Markers::of(request_id);
        let (platform, sandbox) = (&*self.platform, &self.sandbox);
        let (marked, field_groups) = tokio::join!(
            Marked::of_names(platform, sandbox, &markers, deadline),
            titled(platform, sandbox, TitledKind::FieldGroup, &markers.field_group, deadline),
        );
        let mut marked = Marked { field_groups: field_groups.map_err(at(Part::FieldGroup))?, ..marked? };
        let (prepared, flow) = match known {
            Known::Nothing => (Prepared::default(), None),
            Known::Context(prepared) => (prepared.clone(), None),
            Known::Outcome(outcome) => (outcome.prepared.clone(), Some(&outcome.dataflow.id)),
        };
        if *known == Known::Nothing && marked.is_empty(&markers) && !self.allow_missing {
            return Err(CreateDataflowError::NothingMade);
        }
        let mut sources: Vec<_> = marked.sources.drain(..).map(|source| source.id).collect();
        sources.extend(prepared.source.clone().filter(|id| !sources.contains(id)));
        self.delete_flows(&sources, flow, deadline).await?;

        let mut targets: Vec<_> = marked.targets.iter().map(|target| target.id.clone()).collect();
        targets.extend(prepared.target.clone().filter(|id| !targets.contains(id)));
        let mut sets: Vec<_> = marked.mapping_sets.iter().map(|set| set.at.id.clone()).collect();
        sets.extend(prepared.mapping_set.as_ref().map(|set| set.id.clone()).filter(|id| !sets.contains(id)));
        let removal = Removal { platform, sandbox, deadline };
        let mut leftovers = Leftovers::default();
        for id in &targets {
            leftovers.add(Part::TargetConnection, id.as_str(), removal.target(id).await)?;
        }
        for id in &sources {
            leftovers.add(Part::SourceConnection, id.as_str(), removal.source(id).await)?;
        }
        for id in &sets {
            leftovers.add(Part::MappingSet, id.as_str(), removal.mapping_set(id).await)?;
        }
        let schema = prepared.schema.clone().filter(|_| prepared.is_schema_created);
        let schemas = self.schemas(&markers, schema, &marked.field_groups, deadline).await?;
        let mut groups: Vec<_> = marked.field_groups.iter().map(|group| group.id.clone()).collect();
        groups.extend(prepared.field_group.clone().filter(|id| !groups.contains(id)));
        let mut datasets: Vec<_> = marked.datasets.iter().map(|dataset| dataset.id.clone()).collect();
        let own = prepared.dataset.clone().filter(|_| prepared.is_dataset_created);
        datasets.extend(own.filter(|id| !datasets.contains(id)));
        let mut deleted: Vec<DatasetId> = Vec::new();
        for id in &datasets {
            let removed = removal.dataset(id, &targets, || true).await;
            if removed == Removed::Gone {
                deleted.push(id.clone());
            }
            leftovers.add(Part::Dataset, id.as_str(), removed)?;
        }
        let mut is_schema_kept = false;
        for schema in &schemas {
            let removed = removal.schema(schema, &deleted, || true).await;
            is_schema_kept |= removed != Removed::Gone;
            leftovers.add(Part::Schema, schema.as_str(), removed)?;
        }
        for id in &groups {
            let removed = if is_schema_kept {
                Removed::Kept("its schema is kept".to_owned())
            } else {
                removal.titled(TitledKind::FieldGroup, id).await
            };
            leftovers.add(Part::FieldGroup, id.as_str(), removed)?;
        }
        Ok(leftovers.0)
    }
}

impl<P: Platform> WithdrawDataflow<P> {
    /// Deletes the flows of these source connections, and waits until they are gone.
    async fn delete_flows(
        &self,
        sources: &[crate::domain::dataflow::SourceConnectionId],
        known: Option<&DataflowId>,
        deadline: Instant,
    ) -> Result<(), CreateDataflowError> {
        let flows = if sources.is_empty() {
            Vec::new()
        } else {
            let selection = FlowSelection::OfSources(sources);
            flows_of(&*self.platform, &self.sandbox, selection, deadline).await.map_err(at(Part::Flow))?
        };
        if flows.iter().any(|flow| flow.source_connections.is_empty() || flow.id.is_none()) {
            let cause = "a flow does not show its ID and its source connection".into();
            return Err(at(Part::Flow)(CallError::Undecodable(cause)));
        }
        let is_ours = |flow: &&Dataflow| flow.source_connections.iter().any(|id| sources.contains(id));
        let mut ids: Vec<_> = flows.iter().filter(is_ours).filter_map(|flow| flow.id.clone()).collect();
        ids.extend(known.filter(|id| !ids.contains(id)).cloned());
        for id in ids {
            let flow = DataflowRef { sandbox: self.sandbox.clone(), id };
            self.delete_flow(&flow, deadline).await.map_err(at(Part::Flow))?;
        }
        Ok(())
    }

    async fn delete_flow(&self, flow: &DataflowRef, deadline: Instant) -> Result<(), CallError> {
        // It may not be visible yet: that it cannot be read proves something only once the deletion was accepted.
        self.platform.delete_flow(flow, deadline).await?;
        loop {
            if self.platform.get_flow(flow, deadline).await?.is_none() {
                return Ok(());
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(CallError::Unavailable {
                    retry_after: None,
                    problem: None,
                    cause: format!("the flow {} is still being deleted", flow.id).into(),
                });
            }
            sleep(PAUSE).await;
        }
    }

    /// The schemas that the request has made: the one that is known, and those with the titles that its field groups
    /// name.
    async fn schemas(
        &self,
        markers: &Markers,
        known: Option<SchemaId>,
        field_groups: &[TitledResource],
        deadline: Instant,
    ) -> Result<Vec<SchemaId>, CreateDataflowError> {
        let mut made: Vec<_> = known.into_iter().collect();
        let descriptions = field_groups.iter().filter_map(|group| group.description.as_deref());
        for title in descriptions.filter_map(|description| markers.schema_title(description)) {
            let schemas = titled(&*self.platform, &self.sandbox, TitledKind::Schema, title, deadline).await;
            let schemas = schemas.map_err(at(Part::Schema))?.into_iter();
            let own = schemas.filter(|schema| markers.is_in(schema.description.as_deref()));
            for schema in own.map(|schema| schema.id) {
                if !made.contains(&schema) {
                    made.push(schema);
                }
            }
        }
        Ok(made)
    }
}

/// What remains.
#[derive(Default)]
struct Leftovers(Vec<Leftover>);

impl Leftovers {
    /// # Errors
    /// The deletion has to be repeated.
    fn add(&mut self, part: Part, id: &str, removed: Removed) -> Result<(), CreateDataflowError> {
        match removed {
            Removed::Gone => Ok(()),
            Removed::Kept(reason) => {
                self.0.push(Leftover { part, id: id.to_owned(), reason });
                Ok(())
            }
            Removed::Remains(reason) => {
                let cause = format!("{} {id}: {reason}", part.kind()).into();
                Err(at(part)(CallError::Unavailable { retry_after: None, problem: None, cause }))
            }
        }
    }
}
