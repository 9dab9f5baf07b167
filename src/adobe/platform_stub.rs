//! Until the client has the calls for dataflows.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::domain::{dataflow::*, *};

impl Platform for HttpFlowService {
    async fn table_parameter(
        &self,
        _sandbox: &SandboxName,
        _deadline: Instant,
    ) -> Result<TableParameter, CallError> {
        unimplemented!()
    }
    async fn flow_spec_drift(
        &self,
        _sandbox: &SandboxName,
        _deadline: Instant,
    ) -> Result<Vec<String>, CallError> {
        unimplemented!()
    }
    async fn create_source_connection(
        &self,
        _source: &NewSourceConnection<'_>,
        _deadline: Instant,
    ) -> Result<SourceConnectionId, CallError> {
        unimplemented!()
    }
    async fn list_source_connections(
        &self,
        _sandbox: &SandboxName,
        _selection: Selection<'_, SourceConnectionId>,
        _deadline: Instant,
    ) -> Result<Vec<SourceConnection>, CallError> {
        unimplemented!()
    }
    async fn delete_source_connection(
        &self,
        _sandbox: &SandboxName,
        _id: &SourceConnectionId,
        _deadline: Instant,
    ) -> Result<(), CallError> {
        unimplemented!()
    }
    async fn create_target_connection(
        &self,
        _target: &NewTargetConnection<'_>,
        _deadline: Instant,
    ) -> Result<TargetConnectionId, CallError> {
        unimplemented!()
    }
    async fn list_target_connections(
        &self,
        _sandbox: &SandboxName,
        _selection: TargetSelection<'_>,
        _deadline: Instant,
    ) -> Result<Vec<TargetConnection>, CallError> {
        unimplemented!()
    }
    async fn delete_target_connection(
        &self,
        _sandbox: &SandboxName,
        _id: &TargetConnectionId,
        _deadline: Instant,
    ) -> Result<(), CallError> {
        unimplemented!()
    }
    async fn create_flow(
        &self,
        _permit: &Self::Permit,
        _flow: &NewFlow<'_>,
        _send_by: Instant,
        _progress: &Arc<Progress>,
    ) -> Result<CreatedDataflow, CallError> {
        unimplemented!()
    }
    async fn list_flows(
        &self,
        _query: &FlowQuery<'_>,
        _page: Option<&PageToken>,
        _deadline: Instant,
    ) -> Result<FlowPage, CallError> {
        unimplemented!()
    }
    async fn count_flows(&self, _sandbox: &SandboxName, _deadline: Instant) -> Result<u64, CallError> {
        unimplemented!()
    }
    async fn get_flow(&self, _at: &DataflowRef, _deadline: Instant) -> Result<Option<Dataflow>, CallError> {
        unimplemented!()
    }
    async fn set_flow_enabled(
        &self,
        _at: &DataflowRef,
        _enabled: bool,
        _deadline: Instant,
    ) -> Result<Option<Etag>, CallError> {
        unimplemented!()
    }
    async fn delete_flow(&self, _at: &DataflowRef, _deadline: Instant) -> Result<(), CallError> {
        unimplemented!()
    }
    async fn list_runs(
        &self,
        _query: &RunQuery<'_>,
        _page: Option<&PageToken>,
        _deadline: Instant,
    ) -> Result<RunPage, CallError> {
        unimplemented!()
    }
    async fn tenant(&self, _sandbox: &SandboxName, _deadline: Instant) -> Result<String, CallError> {
        unimplemented!()
    }
    async fn get_schema(
        &self,
        _sandbox: &SandboxName,
        _id: &SchemaId,
        _deadline: Instant,
    ) -> Result<Option<Schema>, CallError> {
        unimplemented!()
    }
    async fn list_titles(
        &self,
        _sandbox: &SandboxName,
        _kind: TitledKind,
        _title: &str,
        _deadline: Instant,
    ) -> Result<Vec<TitledResource>, CallError> {
        unimplemented!()
    }
    async fn create_field_group(
        &self,
        _group: &NewFieldGroup<'_>,
        _deadline: Instant,
    ) -> Result<Titled, CallError> {
        unimplemented!()
    }
    async fn create_schema(&self, _schema: &NewSchema<'_>, _deadline: Instant) -> Result<Titled, CallError> {
        unimplemented!()
    }
    async fn delete_titled(
        &self,
        _sandbox: &SandboxName,
        _kind: TitledKind,
        _id: &SchemaId,
        _deadline: Instant,
    ) -> Result<(), CallError> {
        unimplemented!()
    }
    async fn get_dataset(
        &self,
        _sandbox: &SandboxName,
        _id: &DatasetId,
        _deadline: Instant,
    ) -> Result<Option<Dataset>, CallError> {
        unimplemented!()
    }
    async fn list_datasets(
        &self,
        _sandbox: &SandboxName,
        _selection: DatasetSelection<'_>,
        _deadline: Instant,
    ) -> Result<Vec<Dataset>, CallError> {
        unimplemented!()
    }
    async fn create_dataset(
        &self,
        _dataset: &NewDatasetRequest<'_>,
        _deadline: Instant,
    ) -> Result<DatasetId, CallError> {
        unimplemented!()
    }
    async fn has_batches(
        &self,
        _sandbox: &SandboxName,
        _id: &DatasetId,
        _deadline: Instant,
    ) -> Result<bool, CallError> {
        unimplemented!()
    }
    async fn delete_dataset(
        &self,
        _sandbox: &SandboxName,
        _id: &DatasetId,
        _deadline: Instant,
    ) -> Result<(), CallError> {
        unimplemented!()
    }
    async fn list_mapping_sets(
        &self,
        _sandbox: &SandboxName,
        _name: &str,
        _deadline: Instant,
    ) -> Result<Vec<MappingSet>, CallError> {
        unimplemented!()
    }
    async fn validate_mappings(
        &self,
        _set: &NewMappingSet<'_>,
        _deadline: Instant,
    ) -> Result<Vec<Option<String>>, CallError> {
        unimplemented!()
    }
    async fn create_mapping_set(
        &self,
        _set: &NewMappingSet<'_>,
        _deadline: Instant,
    ) -> Result<MappingSetRef, CallError> {
        unimplemented!()
    }
    async fn delete_mapping_set(
        &self,
        _sandbox: &SandboxName,
        _id: &MappingSetId,
        _deadline: Instant,
    ) -> Result<(), CallError> {
        unimplemented!()
    }
}
