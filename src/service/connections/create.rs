//! The use case: one request creates one connection, whatever fails in between.

use std::sync::Arc;

use tokio::time::Instant;

use super::{operation::CreateConnection, verification::VerificationError};
use crate::{
    adobe::FlowService,
    domain::{
        CallProgress, ConnectionId, ConnectionRef, CreatedConnection, Identity, NewConnection, RequestId,
        SandboxName, TestReport, Verification,
    },
    exactly_once,
    service::Service,
};

/// The command: what a valid request asks for, with everything decided.
#[derive(Clone, Debug)]
pub struct CreateHubSpotConnection {
    /// The caller's name for this creation.
    pub request_id: Option<RequestId>,
    /// The connection to create.
    pub connection: NewConnection,
    /// Whether it is tested.
    pub verification: Verification,
}

/// A creation that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The name of the creation.
    pub request_id: RequestId,
    /// The connection that it made.
    pub connection: CreatedConnection,
    /// Whether it is an earlier or a concurrent creation's.
    pub replayed: bool,
    /// The result of its test, where one was asked for.
    pub test: Option<TestReport>,
}

/// A creation that did not succeed.
pub type Error = exactly_once::Error<ConnectionId, VerificationError>;

/// Why a creation did not succeed.
pub type Failure = exactly_once::Failure<ConnectionId, VerificationError>;

/// What no response reports, for the audit trail.
#[derive(Debug)]
pub enum UnreportedOutcome<'a> {
    /// A creation for which no caller waits any more.
    Created { sandbox: &'a SandboxName, created: &'a Created },
    /// The same, and it failed.
    Failed { error: &'a Error, may_exist: bool },
    /// A new connection that did not work was deleted.
    Deleted { at: &'a ConnectionRef, request_id: RequestId },
}

/// Reports what no response does, with the caller that began the creation, where callers are checked.
pub(in crate::service) type Observer = fn(Option<&Identity>, &UnreportedOutcome<'_>);

impl<F: FlowService> Service<F> {
    /// Creates a connection, or returns the one that the same request id has created.
    ///
    /// If the caller leaves, or its deadline is exceeded, this future is dropped. The creation then continues in
    /// the background, and what has been sent is still brought to its outcome.
    ///
    /// # Errors
    /// [`Failure`], with the name of the creation.
    pub async fn create_hubspot_connection(
        &self,
        command: CreateHubSpotConnection,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Created, Error> {
        let CreateHubSpotConnection { request_id, connection, verification } = command;
        let operation = CreateConnection {
            flow_service: Arc::clone(&self.flow_service),
            connection,
            verification,
            hubspot: self.hubspot.clone(),
            recent: self.recent.clone(),
            caller: call.caller().cloned(),
            observer: self.observer,
        };
        let (created, joined) = self.creations.create(request_id, operation, deadline, call).await?;
        Ok(Created { replayed: created.replayed || joined, ..created })
    }
}
