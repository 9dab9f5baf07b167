//! The use case: one request creates one dataflow, whatever fails in between.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Dataflows,
    creation::CreateDataflow,
    error::{CreateDataflowError, Part},
    refusal,
};
use crate::{
    adobe::Platform,
    domain::{
        CallProgress, Identity, RequestId, SandboxName,
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
    /// `None` where the record was lost, and the flow does not show it.
    pub start: Option<StartTime>,
}

/// A creation that did not succeed.
pub type Error = exactly_once::Error<DataflowId, CreateDataflowError>;

/// Why a creation did not succeed.
pub type Failure = exactly_once::Failure<DataflowId, CreateDataflowError>;

/// What no response reports, for the audit trail.
#[derive(Debug)]
pub enum UnreportedDataflow<'a> {
    /// A creation for which no caller waits any more.
    Created { sandbox: &'a SandboxName, created: &'a DataflowCreated },
    /// The same, and it failed.
    Failed { error: &'a Error, may_exist: bool },
}

/// Reports what no response does, with the caller that began the creation, where callers are checked.
pub type Observer = fn(Option<&Identity>, &UnreportedDataflow<'_>);

impl<P: Platform> Dataflows<P> {
    /// Creates a dataflow, or returns the one that the same request id has created.
    ///
    /// If the caller leaves, or its deadline is exceeded, this future is dropped. The creation then continues in
    /// the background, and what has been sent is still brought to its outcome.
    ///
    /// # Errors
    /// With the name of the creation.
    pub async fn create_hubspot_dataflow(
        &self,
        command: CreateHubSpotDataflow,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<DataflowCreated, Error> {
        let CreateHubSpotDataflow { request_id, dataflow } = command;
        let engine = &self.creations.engine;
        let operation = CreateDataflow::new(
            Arc::clone(&self.platform),
            Arc::clone(&self.specs),
            dataflow,
            (engine.wall_clock, engine.metrics.clone()),
            (call.caller().cloned(), self.observer),
        );
        let created = self.creations.create(request_id, operation, deadline, call).await;
        let (created, joined) = created.map_err(as_if_found_here)?;
        Ok(DataflowCreated { replayed: created.replayed || joined, ..created })
    }
}

/// A refusal of the flow that is about a field of the request, as a violation of it.
fn as_if_found_here(error: Error) -> Error {
    match invalid(&error.failure) {
        Some(failure) => Error { failure: Arc::new(failure), ..error },
        None => error,
    }
}

fn invalid(failure: &Failure) -> Option<Failure> {
    if let exactly_once::Failure::LeftBehind { failure, leftovers } = failure {
        let failure = Box::new(invalid(failure)?);
        return Some(exactly_once::Failure::LeftBehind { failure, leftovers: leftovers.clone() });
    }
    let exactly_once::Failure::NotCreated { error, .. } = failure else { return None };
    let violation = refusal::violation(Part::Flow, error)?;
    Some(exactly_once::Failure::Operation(CreateDataflowError::Invalid(vec![violation])))
}
