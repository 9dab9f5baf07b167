//! Dataflows that exist, and the connections between which they run, as the Flow Service returns them.

use super::{
    DataflowId, DataflowOptions, DatasetId, MappingSetRef, RunState, SchemaId, SourceConnectionId,
    TargetConnectionId,
};
use crate::domain::{ConnectionId, Etag, SandboxName, text::names};

/// A dataflow ID is unique within its sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DataflowRef {
    pub sandbox: SandboxName,
    pub id: DataflowId,
}

/// What the Flow Service shows of a flow, from any source. Some of it may be missing or unreadable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataflow {
    pub id: Option<DataflowId>,
    pub etag: Option<Etag>,
    pub name: Option<String>,
    /// As it is stored, with the reference of the request that created it.
    pub description: Option<String>,
    /// `None` for a state that this service does not know.
    pub state: Option<DataflowState>,
    /// In milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
    pub updated_at_ms: Option<i64>,
    /// The client that created it; Adobe's interface is `exc_app`.
    pub created_client: Option<String>,
    pub source_connections: Vec<SourceConnectionId>,
    pub target_connections: Vec<TargetConnectionId>,
    /// The base connection of its source.
    pub connection: Option<ConnectionId>,
    /// Whether its source is HubSpot; `None` where the flow does not show it.
    pub is_of_hubspot: Option<bool>,
    pub mapping_set: Option<MappingSetRef>,
    pub schedule: StoredSchedule,
    pub options: DataflowOptions,
    pub last_run: Option<LastRun>,
}

/// The schedule of a flow that exists. Other clients may have chosen one that [`Schedule`](super::Schedule) rejects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredSchedule {
    /// Adobe's name: `once`, `minute`, …
    pub frequency: Option<String>,
    pub interval: Option<i64>,
    /// In seconds since the Unix epoch.
    pub start: Option<i64>,
    pub backfill: Option<bool>,
    pub delta_column: Option<String>,
    pub date_format: Option<String>,
}

names! {
    /// The states of a flow that Adobe documents.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum DataflowState {
        Initializing = "initializing",
        Enabled = "enabled",
        Disabled = "disabled",
        /// Saved, and not published.
        Draft = "draft",
        Updating = "updating",
        Enabling = "enabling",
        Disabling = "disabling",
        Deleting = "deleting",
    }
}

impl DataflowState {
    /// Ignores case. `None` for a state that this service does not know.
    pub fn parse(state: &str) -> Option<Self> {
        match state.to_ascii_lowercase().as_str() {
            "enabled-finalizing" => Some(Self::Enabling),
            "disabled-finalizing" => Some(Self::Disabling),
            "delete-finalizing" => Some(Self::Deleting),
            state => Self::ALL.iter().copied().find(|known| known.name() == state),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    pub id: Option<String>,
    pub state: Option<RunState>,
    /// In milliseconds since the Unix epoch.
    pub started_at_ms: Option<i64>,
    pub completed_at_ms: Option<i64>,
}

/// The table that a flow reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConnection {
    pub id: SourceConnectionId,
    pub name: Option<String>,
    pub connection: Option<ConnectionId>,
    /// From `params.path` or `params.tableName`.
    pub table: Option<String>,
    pub is_of_hubspot: Option<bool>,
    /// In milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
}

/// The dataset that a flow writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetConnection {
    pub id: TargetConnectionId,
    pub name: Option<String>,
    pub dataset: Option<DatasetId>,
    pub schema: Option<SchemaId>,
    /// In milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
}
