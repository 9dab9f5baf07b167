//! The port to the services that a dataflow needs: the Flow Service, the Schema Registry, the Catalog and Data Prep.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    DatasetSelection, FlowPage, FlowQuery, FlowService, NewDatasetRequest, NewFieldGroup, NewFlow,
    NewMappingSet, NewSchema, NewSourceConnection, NewTargetConnection, RunPage, RunQuery, Selection,
    TableParameter, TargetSelection, Titled, TitledKind,
};
use crate::{
    adobe::{CallError, PageToken},
    domain::{
        Etag, Progress, SandboxName,
        dataflow::{
            CreatedDataflow, Dataflow, DataflowRef, Dataset, DatasetId, MappingSet, MappingSetId,
            MappingSetRef, Schema, SchemaId, SourceConnection, SourceConnectionId, TargetConnection,
            TargetConnectionId, TitledResource,
        },
    },
};

/// The calls for dataflows. Reads are retried within `deadline`, and a list is read to its end unless it is paged
/// here. A write that may have arrived is not retried: [`CallError::may_have_arrived`]. A deletion of something that
/// does not exist succeeds, unless it is that of a flow.
pub trait Platform: FlowService {
    /// The name that the source connection's parameter for the table has, by HubSpot's live connection specification.
    fn table_parameter(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<TableParameter, CallError>> + Send;

    /// The differences between Adobe's flow specification for tables and what this service sends.
    fn flow_spec_drift(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<String>, CallError>> + Send;

    fn create_source_connection(
        &self,
        source: &NewSourceConnection<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<SourceConnectionId, CallError>> + Send;

    fn list_source_connections(
        &self,
        sandbox: &SandboxName,
        selection: Selection<'_, SourceConnectionId>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<SourceConnection>, CallError>> + Send;

    fn delete_source_connection(
        &self,
        sandbox: &SandboxName,
        id: &SourceConnectionId,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    fn create_target_connection(
        &self,
        target: &NewTargetConnection<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<TargetConnectionId, CallError>> + Send;

    fn list_target_connections(
        &self,
        sandbox: &SandboxName,
        selection: TargetSelection<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<TargetConnection>, CallError>> + Send;

    fn delete_target_connection(
        &self,
        sandbox: &SandboxName,
        id: &TargetConnectionId,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Creates a flow. The request is sent once, and only if its first byte leaves before `send_by`. `progress`
    /// reports from when on the flow may exist.
    fn create_flow(
        &self,
        permit: &Self::Permit,
        flow: &NewFlow<'_>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> impl Future<Output = Result<CreatedDataflow, CallError>> + Send;

    /// Reads one page of flows, newest first: the first page, or the one that the page before names as its next. The
    /// list may have flows that do not match.
    fn list_flows(
        &self,
        query: &FlowQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> impl Future<Output = Result<FlowPage, CallError>> + Send;

    /// Counts the flows of HubSpot in a sandbox.
    fn count_flows(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<u64, CallError>> + Send;

    /// Reads a flow, of any source; `None` if there is none with this ID.
    fn get_flow(
        &self,
        at: &DataflowRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Dataflow>, CallError>> + Send;

    /// Enables or disables a flow, or begins to, and returns its new version where the reply has it.
    fn set_flow_enabled(
        &self,
        at: &DataflowRef,
        enabled: bool,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Etag>, CallError>> + Send;

    /// Deletes a flow, or begins to. A flow that is not found is a refusal: it may not be visible yet.
    fn delete_flow(
        &self,
        at: &DataflowRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Reads one page of the runs of a flow, newest first. The list may have runs that do not match.
    fn list_runs(
        &self,
        query: &RunQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> impl Future<Output = Result<RunPage, CallError>> + Send;

    /// The organization's namespace: custom fields are below `_{tenant}`.
    fn tenant(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<String, CallError>> + Send;

    /// Reads a schema with all its fields; `None` if there is none with this ID.
    fn get_schema(
        &self,
        sandbox: &SandboxName,
        id: &SchemaId,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Schema>, CallError>> + Send;

    /// The schemas, or the field groups, with this title, with their descriptions.
    fn list_titles(
        &self,
        sandbox: &SandboxName,
        kind: TitledKind,
        title: &str,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<TitledResource>, CallError>> + Send;

    fn create_field_group(
        &self,
        group: &NewFieldGroup<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Titled, CallError>> + Send;

    fn create_schema(
        &self,
        schema: &NewSchema<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Titled, CallError>> + Send;

    /// Deletes a schema or a field group.
    fn delete_titled(
        &self,
        sandbox: &SandboxName,
        kind: TitledKind,
        id: &SchemaId,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Reads a dataset; `None` if there is none with this ID.
    fn get_dataset(
        &self,
        sandbox: &SandboxName,
        id: &DatasetId,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Dataset>, CallError>> + Send;

    fn list_datasets(
        &self,
        sandbox: &SandboxName,
        selection: DatasetSelection<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Dataset>, CallError>> + Send;

    fn create_dataset(
        &self,
        dataset: &NewDatasetRequest<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<DatasetId, CallError>> + Send;

    /// Whether anything was ever ingested into a dataset, also without success.
    fn has_batches(
        &self,
        sandbox: &SandboxName,
        id: &DatasetId,
        deadline: Instant,
    ) -> impl Future<Output = Result<bool, CallError>> + Send;

    /// Deletes a dataset with its data.
    fn delete_dataset(
        &self,
        sandbox: &SandboxName,
        id: &DatasetId,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// The mapping sets of this name.
    fn list_mapping_sets(
        &self,
        sandbox: &SandboxName,
        name: &str,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<MappingSet>, CallError>> + Send;

    /// What Data Prep finds wrong with each mapping, in their order; `None` for those that are right.
    fn validate_mappings(
        &self,
        set: &NewMappingSet<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Option<String>>, CallError>> + Send;

    fn create_mapping_set(
        &self,
        set: &NewMappingSet<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<MappingSetRef, CallError>> + Send;

    fn delete_mapping_set(
        &self,
        sandbox: &SandboxName,
        id: &MappingSetId,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;
}
