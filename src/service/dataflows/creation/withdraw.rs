//! Deletes what a creation has made that nobody will retry. Until then its record keeps it from being created again.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Markers,
    marked::{Marked, at, sources, titled},
    operation::flows_by_marks,
    outcome::Outcome,
    prepared::Prepared,
};
use crate::{
    adobe::{CallError, FlowSelection, Platform, TitledKind},
    domain::{
        RequestId, SandboxName,
        dataflow::{
            Dataflow, DataflowId, DataflowRef, DatasetId, SchemaId, SourceConnectionId, TitledResource,
        },
    },
    error::error_chain,
    exactly_once::{
        Kind,
        withdrawal::{Deletion, Known, Withdrawal},
    },
    service::dataflows::{
        error::{CreateDataflowError, Leftover, Part},
        flow_deletion::{NotGone, Visible, delete_flow},
        flows::flows_of,
        removal::{OfFlow, Removal, Removed},
    },
};

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

    async fn delete_resource(
        &self,
        request_id: RequestId,
        known: &Known<Prepared, Outcome>,
        is_settled: bool,
        deadline: Instant,
    ) -> Result<Deletion, CreateDataflowError> {
        let sources = self.sources(request_id, &prepared(known), deadline).await?;
        let flows = if sources.is_empty() {
            Vec::new()
        } else {
            let selection = FlowSelection::OfSources(&sources);
            flows_of(&*self.platform, &self.sandbox, selection, deadline).await.map_err(at(Part::Flow))?
        };
        if flows.iter().any(|flow| flow.source_connections.is_empty() || flow.id.is_none()) {
            let cause = "a flow does not show its ID and its source connection".into();
            return Err(at(Part::Flow)(CallError::Undecodable(cause)));
        }
        let is_ours = |flow: &&Dataflow| flow.source_connections.iter().any(|id| sources.contains(id));
        let mut ids: Vec<_> = flows.iter().filter(is_ours).filter_map(|flow| flow.id.clone()).collect();
        if let Known::Outcome(Outcome { dataflow, .. }) = known
            && !ids.contains(&dataflow.id)
        {
            ids.push(dataflow.id.clone());
        }
        if ids.is_empty() {
            return Ok(Deletion::NoneFound);
        }
        let visible = if is_settled { Visible::Certainly(None) } else { Visible::Perhaps };
        for id in ids {
            let flow = DataflowRef { sandbox: self.sandbox.clone(), id };
            match delete_flow(&*self.platform, &flow, visible, deadline).await {
                Ok(()) => {}
                Err(NotGone::Unknown(error)) => {
                    let (error, dataflow_id) = (error_chain(&error), &flow.id);
                    tracing::debug!(error, %dataflow_id, %request_id, "a dataflow to withdraw is not known to be gone");
                    return Ok(Deletion::Unknown);
                }
                Err(NotGone::State { error, .. } | NotGone::NotDeleted(error)) => {
                    return Err(at(Part::Flow)(error));
                }
            }
        }
        Ok(Deletion::Gone)
    }

    async fn delete_rest(
        &self,
        request_id: RequestId,
        known: &Known<Prepared, Outcome>,
        deadline: Instant,
    ) -> Result<Vec<Leftover>, CreateDataflowError> {
        let markers = Markers::of(request_id);
        let (platform, sandbox) = (&*self.platform, &self.sandbox);
        let prepared = prepared(known);
        let (marked, field_groups) = tokio::join!(
            Marked::of_names(platform, sandbox, &markers, deadline),
            titled(platform, sandbox, TitledKind::FieldGroup, &markers.field_group, deadline),
        );
        let marked = Marked { field_groups: field_groups.map_err(at(Part::FieldGroup))?, ..marked? };
        if *known == Known::Nothing && marked.is_empty(&markers) && !self.allow_missing {
            return Err(CreateDataflowError::NothingMade);
        }
        let sources = with(marked.sources.into_iter().map(|source| source.id), prepared.source);
        let targets = with(marked.targets.into_iter().map(|target| target.id), prepared.target);
        let known_set = prepared.mapping_set.map(|set| set.id);
        let sets = with(marked.mapping_sets.into_iter().map(|set| set.at.id), known_set);
        let removal = Removal { platform, sandbox, deadline };
        let mut leftovers = Leftovers::default();
        let gone_flows = self.gone_flows(known, &sources, deadline).await?;
        let mut gone = Vec::new();
        for part in OfFlow::all(&targets, &sources, &sets) {
            let removed = removal.unused(part, &gone_flows).await;
            if let (OfFlow::Target(id), Removed::Gone) = (part, &removed) {
                gone.push(id.clone());
            }
            leftovers.add(part.part(), part.id(), removed)?;
        }
        let schema = prepared.schema.filter(|_| prepared.is_schema_created);
        let schemas = self.schemas(&markers, schema, &marked.field_groups, deadline).await?;
        let groups = with(marked.field_groups.into_iter().map(|group| group.id), prepared.field_group);
        let own = prepared.dataset.filter(|_| prepared.is_dataset_created);
        let datasets = with(marked.datasets.into_iter().map(|dataset| dataset.id), own);
        let mut deleted: Vec<DatasetId> = Vec::new();
        for id in &datasets {
            let removed = removal.dataset(id, &gone, || true).await;
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

/// What the record shows of the preparation.
fn prepared(known: &Known<Prepared, Outcome>) -> Prepared {
    match known {
        Known::Nothing => Prepared::default(),
        Known::Context(prepared) => prepared.clone(),
        Known::Outcome(outcome) => outcome.prepared.clone(),
    }
}

/// The IDs that lists show, and the one that is known.
fn with<T: PartialEq>(listed: impl Iterator<Item = T>, known: Option<T>) -> Vec<T> {
    let mut ids: Vec<_> = listed.collect();
    ids.extend(known.filter(|id| !ids.contains(id)));
    ids
}

impl<P: Platform> WithdrawDataflow<P> {
    /// The source connections of the creation.
    async fn sources(
        &self,
        request_id: RequestId,
        prepared: &Prepared,
        deadline: Instant,
    ) -> Result<Vec<SourceConnectionId>, CreateDataflowError> {
        let listed = sources(&*self.platform, &self.sandbox, &Markers::of(request_id), deadline).await;
        let listed = listed.map_err(at(Part::SourceConnection))?;
        Ok(with(listed.into_iter().map(|source| source.id), prepared.source.clone()))
    }

    /// The flows of the creation that are gone, and that lists may still show.
    async fn gone_flows(
        &self,
        known: &Known<Prepared, Outcome>,
        sources: &[SourceConnectionId],
        deadline: Instant,
    ) -> Result<Vec<DataflowId>, CreateDataflowError> {
        let mut gone = Vec::new();
        if let Known::Outcome(Outcome { dataflow, .. }) = known {
            gone.push(dataflow.id.clone());
        }
        if sources.is_empty() {
            return Ok(gone);
        }
        let selection = FlowSelection::OfSources(sources);
        let listed =
            flows_of(&*self.platform, &self.sandbox, selection, deadline).await.map_err(at(Part::Flow))?;
        for id in listed.into_iter().filter_map(|flow| flow.id) {
            let flow = DataflowRef { sandbox: self.sandbox.clone(), id };
            if self.platform.get_flow(&flow, deadline).await.map_err(at(Part::Flow))?.is_none() {
                gone.push(flow.id);
            }
        }
        Ok(gone)
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
            Removed::Kept(reason) | Removed::InUse(reason) => {
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
