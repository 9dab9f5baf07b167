//! The use cases: find and read dataflows, also those that other clients created.

use tokio::time::Instant;

use super::{Dataflows, error::DataflowError};
use crate::{
    adobe::{PageToken, Platform},
    domain::{
        CallProgress, ConnectionId, SandboxName,
        dataflow::{Dataflow, DataflowRef, DatasetId, SchemaId},
    },
};

/// A dataflow of HubSpot, with what its source and target connections show.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadDataflow {
    pub flow: Dataflow,
    pub table: Option<String>,
    pub dataset: Option<DatasetId>,
    pub schema: Option<SchemaId>,
}

/// The command to list dataflows.
#[derive(Clone, Debug)]
pub struct ListHubSpotDataflows {
    pub sandbox: SandboxName,
    pub filter: DataflowFilter,
    /// The most dataflows on a page, 1 to 100.
    pub page_size: u8,
    /// The page, unless it is the first.
    pub page: Option<PageToken>,
}

/// Which dataflows to list: those that match everything that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataflowFilter {
    pub connection: Option<ConnectionId>,
    pub name: Option<String>,
}

/// A page of dataflows, newest first. Where only some are listed it can be shorter than it could be, and even
/// empty, without being the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedDataflows {
    pub dataflows: Vec<ReadDataflow>,
    /// The next page; `None` on the last one.
    pub next: Option<PageToken>,
}

impl<P: Platform> Dataflows<P> {
    /// Reads a dataflow.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn get_hubspot_dataflow(
        &self,
        _at: &DataflowRef,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<ReadDataflow, DataflowError> {
        unimplemented!()
    }

    /// Lists dataflows.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn list_hubspot_dataflows(
        &self,
        _command: &ListHubSpotDataflows,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<ListedDataflows, DataflowError> {
        unimplemented!()
    }

    /// Counts the dataflows of a sandbox, or some of them.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn count_hubspot_dataflows(
        &self,
        _sandbox: &SandboxName,
        _filter: &DataflowFilter,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<u64, DataflowError> {
        unimplemented!()
    }
}
