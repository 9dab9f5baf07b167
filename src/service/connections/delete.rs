//! The use case: delete a connection, even if the reply is lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::service::{ConnectionError, Service, dataflows::flows::flows_of};
use crate::{
    adobe::{CallError, FlowSelection, FlowService, Platform, Refusal},
    domain::{CallProgress, ConnectionRef, ConnectionState, Stage, UpstreamWait},
    error::error_chain,
};

const MOST_ATTEMPTS: u32 = 4;

/// What it means that a connection is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    /// There is none.
    ProvesAbsence,
    /// Nothing: it was created so shortly before that it need not be visible everywhere yet.
    ProvesNothing,
}

impl NotFound {
    /// Of a connection that was recorded at this time: each is visible so long after.
    pub(super) fn of(recorded_at: Instant, visible_after: Duration) -> Self {
        if recorded_at.elapsed() > visible_after { Self::ProvesAbsence } else { Self::ProvesNothing }
    }
}

/// The result of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    /// It is gone, or about to be.
    Deleted,
    /// There was nothing to delete.
    WasMissing,
}

impl<P: Platform> Service<P> {
    /// Deletes a connection. With `allow_missing` one that does not exist is a success.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub async fn delete_hubspot_connection(
        &self,
        at: &ConnectionRef,
        allow_missing: bool,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<(), ConnectionError> {
        call.enter(Stage::Read);
        let not_found = self.recent.not_found(at, self.creations.engine.retention.settled_after());
        let deletion = match self.prove(at, deadline).await {
            Err(ConnectionError::NotFound) if not_found == NotFound::ProvesAbsence => Deletion::WasMissing,
            // It was created here, so that it may exist without being visible yet.
            Ok(()) | Err(ConnectionError::NotFound) => {
                call.enter(Stage::Delete);
                match delete(&*self.flow_service, at, not_found, deadline).await {
                    Ok(deletion) => deletion,
                    Err(error) => return Err(self.naming_flows(error, at, deadline).await),
                }
            }
            Err(error) => return Err(error),
        };
        self.recent.deleted(at);
        match deletion {
            Deletion::WasMissing if !allow_missing => Err(ConnectionError::NotFound),
            Deletion::WasMissing | Deletion::Deleted => Ok(()),
        }
    }

    /// Adds the flows that use the connection to a refusal that names none, where they can be listed.
    async fn naming_flows(
        &self,
        mut error: ConnectionError,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> ConnectionError {
        if let ConnectionError::Call(CallError::Refused { refusal: Refusal::InUse, problem }) = &mut error
            && problem.flows.is_empty()
        {
            // The refusal must still reach the caller.
            let deadline = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
            let selection = FlowSelection::OfConnection(&at.id);
            match flows_of(&*self.flow_service, &at.sandbox, selection, deadline).await {
                Ok(flows) => {
                    let of_connection = flows.iter().filter(|flow| flow.connection.as_ref() == Some(&at.id));
                    problem.flows =
                        of_connection.filter_map(|flow| Some(flow.id.as_ref()?.to_string())).collect();
                }
                Err(error) => tracing::debug!(
                    error = error_chain(&error),
                    connection_id = %at.id,
                    "could not list the dataflows that use a connection"
                ),
            }
        }
        error
    }
}

/// Deletes a connection that is known to be to HubSpot. Where a reply is lost, the connection is read to
/// find out.
pub(super) async fn delete<F: FlowService>(
    flow_service: &F,
    at: &ConnectionRef,
    not_found: NotFound,
    deadline: Instant,
) -> Result<Deletion, ConnectionError> {
    let unknown = |cause| ConnectionError::OutcomeUnknown { is_safe_to_repeat: true, cause };
    let mut lost: Option<CallError> = None;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let cause = match flow_service.delete_connection(at, deadline).await {
            Ok(()) => return Ok(Deletion::Deleted),
            Err(error) if error.refusal() == Some(Refusal::NotFound) => match not_found {
                NotFound::ProvesAbsence if lost.is_some() => return Ok(Deletion::Deleted),
                NotFound::ProvesAbsence => return Ok(Deletion::WasMissing),
                NotFound::ProvesNothing => error,
            },
            Err(error) if error.may_have_arrived() => error,
            Err(error) => {
                let is_there = match error.refusal() {
                    Some(Refusal::InUse) => true,
                    // It may be the state of being deleted.
                    Some(Refusal::State) => match is_gone(flow_service, at, not_found, deadline).await {
                        Ok(true) => return Ok(Deletion::Deleted),
                        Ok(false) => true,
                        Err(_) => false,
                    },
                    _ => false,
                };
                return Err(match lost {
                    Some(_) if is_there => ConnectionError::Call(error),
                    Some(cause) => unknown(cause),
                    None => ConnectionError::Call(error),
                });
            }
        };
        // One that is not found need not be visible yet.
        let is_worth_it = cause.is_retryable() || cause.refusal() == Some(Refusal::NotFound);
        let may_repeat = is_worth_it && attempt < MOST_ATTEMPTS;
        let pause = if may_repeat { flow_service.retry_in(attempt, None, deadline) } else { None };
        if let Some(pause) = pause {
            UpstreamWait::pause(pause).await;
        }
        match is_gone(flow_service, at, not_found, deadline).await {
            Ok(true) => return Ok(Deletion::Deleted),
            Ok(false) if pause.is_some() => lost = Some(cause),
            Ok(false) | Err(_) => return Err(unknown(cause)),
        }
    }
}

/// Whether a connection is gone, or about to be.
async fn is_gone<F: FlowService>(
    flow_service: &F,
    at: &ConnectionRef,
    not_found: NotFound,
    deadline: Instant,
) -> Result<bool, CallError> {
    Ok(match flow_service.get_connection(at, deadline).await? {
        Some(connection) => connection.state == Some(ConnectionState::Deleting),
        None => not_found == NotFound::ProvesAbsence,
    })
}
