//! The calls for dataflows.

use std::sync::Arc;

use tokio::time::Instant;

use super::HttpPlatform;
use crate::{
    adobe::{
        CallError, DatasetSelection, FlowPage, FlowQuery, NewDatasetRequest, NewFieldGroup, NewFlow,
        NewMappingSet, NewSchema, NewSourceConnection, NewTargetConnection, PageToken, Permit, Platform,
        Refusal, RunPage, RunQuery, Selection, TableParameter, TargetSelection, Titled, TitledKind,
        catalog::{batches, datasets},
        data_prep::mapping_sets,
        flow_service::{connection_specs, flow_specs, flows, runs, source_connections, target_connections},
        schema_registry::{self, create, schemas, titles},
    },
    domain::{
        Etag, Progress, SandboxName, Stage,
        dataflow::{
            CreatedDataflow, Dataflow, DataflowRef, Dataset, DatasetId, MappingSet, MappingSetId,
            MappingSetRef, RunError, Schema, SchemaId, SourceConnection, SourceConnectionId,
            TargetConnection, TargetConnectionId, TitledResource,
        },
    },
};

/// The most IDs in one filter, so that servers and proxies accept the length of the URL.
const MOST_IDS: usize = 40;

/// What was read, `None` if it does not exist.
fn found<T>(outcome: Result<Option<T>, CallError>) -> Result<Option<T>, CallError> {
    match outcome {
        Err(error) if error.refusal() == Some(Refusal::NotFound) => Ok(None),
        outcome => outcome,
    }
}

/// A deletion. What does not exist is deleted.
fn deleted(outcome: Result<(), CallError>) -> Result<(), CallError> {
    found(outcome.map(Some)).map(|_| ())
}

impl Platform for HttpPlatform {
    async fn table_parameter(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> Result<TableParameter, CallError> {
        self.flow_service.call(connection_specs::table_parameter(sandbox), deadline).await
    }

    async fn flow_spec_drift(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> Result<Vec<String>, CallError> {
        self.drift(flow_specs::drift(sandbox), deadline).await
    }

    async fn create_source_connection(
        &self,
        source: &NewSourceConnection<'_>,
        deadline: Instant,
    ) -> Result<SourceConnectionId, CallError> {
        self.flow_service.call(source_connections::create(source), deadline).await
    }

    async fn list_source_connections(
        &self,
        sandbox: &SandboxName,
        selection: Selection<'_, SourceConnectionId>,
        deadline: Instant,
    ) -> Result<Vec<SourceConnection>, CallError> {
        let Selection::Ids(ids) = selection else {
            let call = |page: Option<&PageToken>| source_connections::list(sandbox, selection, page);
            return self.flow_service.list(call, deadline).await;
        };
        let mut found = Vec::new();
        for ids in ids.chunks(MOST_IDS) {
            let call =
                |page: Option<&PageToken>| source_connections::list(sandbox, Selection::Ids(ids), page);
            found.extend(self.flow_service.list(call, deadline).await?);
        }
        Ok(found)
    }

    async fn delete_source_connection(
        &self,
        sandbox: &SandboxName,
        id: &SourceConnectionId,
        deadline: Instant,
    ) -> Result<(), CallError> {
        deleted(self.flow_service.call(source_connections::delete(sandbox, id), deadline).await)
    }

    async fn create_target_connection(
        &self,
        target: &NewTargetConnection<'_>,
        deadline: Instant,
    ) -> Result<TargetConnectionId, CallError> {
        self.flow_service.call(target_connections::create(target), deadline).await
    }

    async fn list_target_connections(
        &self,
        sandbox: &SandboxName,
        selection: TargetSelection<'_>,
        deadline: Instant,
    ) -> Result<Vec<TargetConnection>, CallError> {
        let TargetSelection::Ids(ids) = selection else {
            let call = |page: Option<&PageToken>| target_connections::list(sandbox, selection, page);
            return self.flow_service.list(call, deadline).await;
        };
        let mut found = Vec::new();
        for ids in ids.chunks(MOST_IDS) {
            let call =
                |page: Option<&PageToken>| target_connections::list(sandbox, TargetSelection::Ids(ids), page);
            found.extend(self.flow_service.list(call, deadline).await?);
        }
        Ok(found)
    }

    async fn delete_target_connection(
        &self,
        sandbox: &SandboxName,
        id: &TargetConnectionId,
        deadline: Instant,
    ) -> Result<(), CallError> {
        deleted(self.flow_service.call(target_connections::delete(sandbox, id), deadline).await)
    }

    async fn create_flow(
        &self,
        permit: &Permit,
        flow: &NewFlow<'_>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedDataflow, CallError> {
        progress.enter(Stage::Create);
        self.flow_service.post(flows::create(flow), permit, send_by, progress).await
    }

    async fn list_flows(
        &self,
        query: &FlowQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> Result<FlowPage, CallError> {
        self.flow_service.call(flows::list(query, page), deadline).await
    }

    async fn count_flows(&self, sandbox: &SandboxName, deadline: Instant) -> Result<u64, CallError> {
        self.flow_service.call(flows::count(sandbox), deadline).await
    }

    async fn get_flow(&self, at: &DataflowRef, deadline: Instant) -> Result<Option<Dataflow>, CallError> {
        found(self.flow_service.call(flows::get(at), deadline).await)
    }

    async fn set_flow_enabled(
        &self,
        at: &DataflowRef,
        enabled: bool,
        deadline: Instant,
    ) -> Result<Option<Etag>, CallError> {
        self.flow_service.call(flows::set_enabled(at, enabled), deadline).await
    }

    async fn delete_flow(&self, at: &DataflowRef, deadline: Instant) -> Result<(), CallError> {
        match self.flow_service.call(flows::delete(at), deadline).await {
            Err(error) if flows::is_being_deleted(&error) => Ok(()),
            outcome => outcome,
        }
    }

    async fn list_runs(
        &self,
        query: &RunQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> Result<RunPage, CallError> {
        let mut page = self.flow_service.call(runs::list(query, page), deadline).await?;
        for RunError { code, message, .. } in page.items.iter_mut().flat_map(|run| &mut run.errors) {
            *code = self.without_token(code);
            *message = self.without_token(message);
        }
        Ok(page)
    }

    async fn tenant(&self, sandbox: &SandboxName, deadline: Instant) -> Result<String, CallError> {
        self.schema_registry.call(schema_registry::tenant(sandbox), deadline).await
    }

    async fn get_schema(
        &self,
        sandbox: &SandboxName,
        id: &SchemaId,
        deadline: Instant,
    ) -> Result<Option<Schema>, CallError> {
        found(self.schema_registry.call(schemas::get(sandbox, id), deadline).await.map(Some))
    }

    async fn list_titles(
        &self,
        sandbox: &SandboxName,
        kind: TitledKind,
        title: &str,
        deadline: Instant,
    ) -> Result<Vec<TitledResource>, CallError> {
        let call = |page: Option<&PageToken>| titles::list(sandbox, kind, title, page);
        let mut titled = Vec::new();
        for id in self.schema_registry.list(call, deadline).await? {
            // The list has no descriptions.
            let read = self.schema_registry.call(titles::get(sandbox, kind, &id), deadline).await;
            titled.extend(found(read.map(Some))?);
        }
        Ok(titled)
    }

    async fn create_field_group(
        &self,
        group: &NewFieldGroup<'_>,
        deadline: Instant,
    ) -> Result<Titled, CallError> {
        create::titled(self.schema_registry.call(create::field_group(group), deadline).await)
    }

    async fn create_schema(&self, schema: &NewSchema<'_>, deadline: Instant) -> Result<Titled, CallError> {
        create::titled(self.schema_registry.call(create::schema(schema), deadline).await)
    }

    async fn delete_titled(
        &self,
        sandbox: &SandboxName,
        kind: TitledKind,
        id: &SchemaId,
        deadline: Instant,
    ) -> Result<(), CallError> {
        deleted(self.schema_registry.call(titles::delete(sandbox, kind, id), deadline).await)
    }

    async fn get_dataset(
        &self,
        sandbox: &SandboxName,
        id: &DatasetId,
        deadline: Instant,
    ) -> Result<Option<Dataset>, CallError> {
        found(self.catalog.call(datasets::get(sandbox, id), deadline).await)
    }

    async fn list_datasets(
        &self,
        sandbox: &SandboxName,
        selection: DatasetSelection<'_>,
        deadline: Instant,
    ) -> Result<Vec<Dataset>, CallError> {
        let call = |page: Option<&PageToken>| datasets::list(sandbox, selection, page);
        self.catalog.list(call, deadline).await
    }

    async fn create_dataset(
        &self,
        dataset: &NewDatasetRequest<'_>,
        deadline: Instant,
    ) -> Result<DatasetId, CallError> {
        self.catalog.call(datasets::create(dataset), deadline).await
    }

    async fn has_batches(
        &self,
        sandbox: &SandboxName,
        id: &DatasetId,
        deadline: Instant,
    ) -> Result<bool, CallError> {
        self.catalog.call(batches::any(sandbox, id), deadline).await
    }

    async fn delete_dataset(
        &self,
        sandbox: &SandboxName,
        id: &DatasetId,
        deadline: Instant,
    ) -> Result<(), CallError> {
        deleted(self.catalog.call(datasets::delete(sandbox, id), deadline).await)
    }

    async fn list_mapping_sets(
        &self,
        sandbox: &SandboxName,
        name: &str,
        deadline: Instant,
    ) -> Result<Vec<MappingSet>, CallError> {
        let call = |page: Option<&PageToken>| mapping_sets::list(sandbox, name, page);
        self.data_prep.list(call, deadline).await
    }

    async fn validate_mappings(
        &self,
        set: &NewMappingSet<'_>,
        deadline: Instant,
    ) -> Result<Vec<Option<String>>, CallError> {
        let verdicts = self.data_prep.call(mapping_sets::validate(set), deadline).await?;
        Ok(verdicts.into_iter().map(|said| said.map(|said| self.without_token(&said))).collect())
    }

    async fn create_mapping_set(
        &self,
        set: &NewMappingSet<'_>,
        deadline: Instant,
    ) -> Result<MappingSetRef, CallError> {
        self.data_prep.call(mapping_sets::create(set), deadline).await
    }

    async fn delete_mapping_set(
        &self,
        sandbox: &SandboxName,
        id: &MappingSetId,
        deadline: Instant,
    ) -> Result<(), CallError> {
        deleted(self.data_prep.call(mapping_sets::delete(sandbox, id), deadline).await)
    }
}
