//! The use case: one request creates one dataflow, whatever fails in between.

use tokio::time::Instant;

use super::{Dataflows, error::CreateDataflowError};
use crate::{
    adobe::Platform,
    domain::{
        CallProgress, RequestId,
        dataflow::{CreatedDataflow, DataflowId, DataflowResources, FieldMapping, NewDataflow, StartTime},
    },
    exactly_once,
};

/// The command: what a valid request asks for.
#[derive(Clone, Debug)]
pub struct CreateHubSpotDataflow {
    /// The caller's name for this creation.
    pub request_id: Option<RequestId>,
    pub dataflow: NewDataflow,
}

/// A creation that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataflowCreated {
    /// The name of the creation.
    pub request_id: RequestId,
    pub dataflow: CreatedDataflow,
    /// Whether it is an earlier or a concurrent creation's.
    pub replayed: bool,
    pub resources: DataflowResources,
    pub mappings: Vec<FieldMapping>,
    pub unmapped_columns: Vec<String>,
    pub start: StartTime,
}

/// A creation that did not succeed.
pub type Error = exactly_once::Error<DataflowId, CreateDataflowError>;

impl<P: Platform> Dataflows<P> {
    /// Creates a dataflow, or returns the one that the same request id has created.
    ///
    /// # Errors
    /// With the name of the creation.
    pub async fn create_hubspot_dataflow(
        &self,
        _command: CreateHubSpotDataflow,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<DataflowCreated, Error> {
        unimplemented!()
    }
}
