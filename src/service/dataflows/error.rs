//! Why a call about dataflows did not succeed.

use std::time::Duration;

use crate::{
    adobe::{AskedService, CallError},
    domain::{
        ConnectionId, InvalidReason, TablePath,
        dataflow::{DataflowState, DatasetId, SchemaId},
    },
    exactly_once::store::StoreError,
};

/// A thing at Adobe that a dataflow consists of or depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Connection,
    Table,
    FlowSpec,
    FieldGroup,
    Schema,
    Dataset,
    MappingSet,
    SourceConnection,
    TargetConnection,
    Flow,
    Run,
}

impl Part {
    /// Its kind in error metadata and in the leftovers of a deletion.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Table => "table",
            Self::FlowSpec => "flow_spec",
            Self::FieldGroup => "field_group",
            Self::Schema => "schema",
            Self::Dataset => "dataset",
            Self::MappingSet => "mapping_set",
            Self::SourceConnection => "source_connection",
            Self::TargetConnection => "target_connection",
            Self::Flow => "flow",
            Self::Run => "run",
        }
    }

    /// The service of Adobe that has it.
    pub fn service(self) -> AskedService {
        match self {
            Self::FieldGroup | Self::Schema => AskedService::SchemaRegistry,
            Self::Dataset => AskedService::Catalog,
            Self::MappingSet => AskedService::DataPrep,
            Self::Connection
            | Self::Table
            | Self::FlowSpec
            | Self::SourceConnection
            | Self::TargetConnection
            | Self::Flow
            | Self::Run => AskedService::FlowService,
        }
    }
}

/// Something that remains at Adobe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    pub part: Part,
    pub id: String,
    /// Why it remains: a sentence.
    pub reason: String,
}

/// A field of the request that does not fit what is at Adobe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path in the request, such as `mappings[2].destination`.
    pub field: String,
    pub reason: InvalidReason,
    /// What is wrong and how to correct it, to follow the name of the field.
    pub sentence: String,
}

/// Why a dataflow cannot be created, beyond what every creation can fail with.
#[derive(Debug, thiserror::Error)]
pub enum CreateDataflowError {
    /// The request does not fit what is at Adobe: everything that was found.
    #[error("the request is invalid: {0:?}")]
    Invalid(Vec<Violation>),
    #[error("there is no connection {0}, or it is not to HubSpot")]
    ConnectionNotFound(ConnectionId),
    #[error("the connection has no table {0}")]
    TableNotFound(TablePath),
    #[error("there is no dataset {0}")]
    DatasetNotFound(DatasetId),
    #[error("there is no schema {0}")]
    SchemaNotFound(SchemaId),
    /// Something that this request did not make has the title of the new schema.
    #[error("the title {title:?} is taken by {owner}")]
    TitleTaken { title: String, owner: SchemaId },
    /// Adobe refuses or cannot be asked.
    #[error("{} failed", .part.service())]
    Call {
        part: Part,
        #[source]
        error: CallError,
    },
    /// The request has made nothing that could be deleted.
    #[error("the request has made nothing")]
    NothingMade,
    /// The lease of the creation has ended.
    #[error("another process may have taken the creation over")]
    TakenOver,
    /// The store failed. No dataflow was created.
    #[error("no dataflow was created")]
    Store(#[source] StoreError),
    #[error("too many calls are in progress")]
    TooMany,
}

/// Why a call about dataflows that exist did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DataflowError {
    /// There is no dataflow of this ID in this sandbox, or its source is not HubSpot.
    #[error("there is no such dataflow")]
    NotFound,
    /// Its state does not allow it.
    #[error("the state of the dataflow does not allow it: {state:?}")]
    State { state: Option<DataflowState> },
    /// Adobe did not do it. Nothing was changed.
    #[error("{} failed", .part.service())]
    Call {
        part: Part,
        #[source]
        error: CallError,
    },
    /// A change was sent, and it is unknown whether it was made. It is safe to repeat the call.
    #[error("the change may have been made")]
    OutcomeUnknown(#[source] CallError),
    /// Another call is deleting it.
    #[error("another call is deleting it")]
    InProgress { retry_after: Duration },
    /// The store failed. Nothing was changed.
    #[error("nothing was changed")]
    Store(#[source] StoreError),
}
