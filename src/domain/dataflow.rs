//! Dataflows: from a table of a HubSpot connection into a dataset.

mod existing;
mod mapping;
mod resources;
mod run;
mod schedule;

pub use self::{
    existing::{
        Dataflow, DataflowRef, DataflowState, LastRun, SourceConnection, StoredSchedule, TargetConnection,
    },
    mapping::{FieldMapping, MappingKind, MappingSource, XdmPath},
    resources::{
        ClassId, ColumnName, Dataset, MappingSet, MappingSetRef, Schema, SchemaField, SchemaId, SchemaRef,
        TitledResource,
    },
    run::{Run, RunError, RunStage, RunState},
    schedule::{
        DataflowOptions, DateFormat, DeltaColumn, Frequency, Percent, Repetition, Schedule, StartTime,
    },
};
use super::{ConnectionId, Description, Etag, ResourceName, SandboxName, TablePath, text::id};

id!(
    /// Identifies a dataflow within its sandbox.
    DataflowId
);
id!(
    /// Identifies the table of a connection that a dataflow reads.
    SourceConnectionId
);
id!(
    /// Identifies the dataset that a dataflow writes, as a connection.
    TargetConnectionId
);
id!(
    /// Identifies a mapping set.
    MappingSetId
);
id!(
    /// Identifies a dataset.
    DatasetId
);

/// A dataflow to create, with everything that the request decides. Whether it fits the table, the dataset and the
/// schema is not known yet.
#[derive(Clone, Debug)]
pub struct NewDataflow {
    pub sandbox: SandboxName,
    pub name: ResourceName,
    pub description: Option<Description>,
    pub connection: ConnectionId,
    pub table: TablePath,
    pub target: Target,
    /// Empty: by the names of the columns.
    pub mappings: Vec<FieldMapping>,
    pub schedule: Schedule,
    pub options: DataflowOptions,
}

/// Where a dataflow writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// It is never changed, and never deleted.
    Dataset(DatasetId),
    NewDataset(NewDataset),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDataset {
    pub name: ResourceName,
    pub description: Option<Description>,
    pub schema: SchemaSource,
}

/// The schema of a new dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaSource {
    Existing(SchemaId),
    Table(SchemaFromTable),
}

/// A schema with the columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFromTable {
    /// Unique in a sandbox.
    pub title: ResourceName,
    pub class: ClassId,
    /// Empty: every column.
    pub columns: Vec<ColumnName>,
}

/// What a creation has made, or found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataflowResources {
    pub source_connection: Option<SourceConnectionId>,
    pub target_connection: Option<TargetConnectionId>,
    pub mapping_set: Option<MappingSetId>,
    pub dataset: Option<DatasetId>,
    pub schema: Option<SchemaId>,
    pub is_dataset_created: bool,
    pub is_schema_created: bool,
}

/// The Flow Service's response to the creation of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedDataflow {
    pub id: DataflowId,
    pub etag: Etag,
}
