//! The use case: change a connection, even if the reply is lost.
//!
//! The Flow Service changes a connection only in the version that the change is meant for, so that
//! a change that is sent twice is made at most once. If a reply is lost the connection is read: in
//! the same version the change is retried; in another one it was made, or another client made one.

use tokio::time::Instant;

use crate::service::{ConnectionError, Service};
use crate::{
    adobe::{CallError, FlowService, Refusal},
    domain::{CallProgress, Connection, ConnectionChanges, ConnectionRef, Etag, Stage, UpstreamWait},
};

const MOST_ATTEMPTS: u32 = 4;

/// The command to change a connection.
#[derive(Clone, Debug)]
pub struct UpdateHubSpotConnection {
    /// The connection.
    pub at: ConnectionRef,
    /// The version that the change is meant for; the current one where there is none.
    pub etag: Option<Etag>,
    /// The changes.
    pub changes: ConnectionChanges,
}

impl<F: FlowService> Service<F> {
    /// Changes a connection, and returns its new version.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub async fn update_hubspot_connection(
        &self,
        command: &UpdateHubSpotConnection,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Etag, ConnectionError> {
        let UpdateHubSpotConnection { at, etag: meant_for, changes } = command;
        let flow_service = &*self.flow_service;
        let mut before = self.get_hubspot_connection(at, deadline, call).await?;
        if meant_for.as_ref().is_some_and(|etag| !etag.is_same(&before.etag)) {
            return Err(ConnectionError::EtagMismatch);
        }

        let mut lost: Option<CallError> = None;
        for attempt in 1..=MOST_ATTEMPTS {
            // Nothing to change, or changed by the attempt before.
            if changes.credentials().is_none() && changes.show_in(&before) {
                return Ok(before.etag);
            }
            call.enter(Stage::Update);
            let mut is_retryable = true;
            match flow_service.update_connection(&at.sandbox, &before, changes, deadline).await {
                Ok(etag) => return Ok(etag),
                Err(error) if error.refusal() == Some(Refusal::EtagMismatch) => {
                    // An earlier attempt may have arrived.
                    if meant_for.is_some() && lost.is_none() {
                        return Err(ConnectionError::EtagMismatch);
                    }
                }
                Err(error) if error.may_have_arrived() => {
                    is_retryable = error.is_retryable();
                    lost = Some(error);
                }
                Err(error) => return Err(failure(lost, error, meant_for.as_ref())),
            }
            let may_repeat = is_retryable && attempt < MOST_ATTEMPTS;
            let pause = if may_repeat { flow_service.retry_in(attempt, None, deadline) } else { None };
            if let Some(pause) = pause {
                UpstreamWait::pause(pause).await;
            }
            let after = match flow_service.get_connection(at, deadline).await {
                Ok(Some(after)) => after,
                Ok(None) => return Err(ConnectionError::NotFound),
                Err(error) => return Err(failure(lost, error, meant_for.as_ref())),
            };
            if meant_for.is_some() && !after.etag.is_same(&before.etag) {
                return made_or_not(changes, &before, after, lost);
            }
            before = after;
            if pause.is_none() {
                break;
            }
        }
        if changes.credentials().is_none() && changes.show_in(&before) {
            return Ok(before.etag);
        }
        Err(match lost {
            Some(cause) => unknown(cause, meant_for.as_ref()),
            None => ConnectionError::KeepsChanging,
        })
    }
}

/// What it means that a connection has moved on from the version that a lost change was meant for:
/// the name and the description show it, unless they already had their new values.
fn made_or_not(
    changes: &ConnectionChanges,
    before: &Connection,
    after: Connection,
    lost: Option<CallError>,
) -> Result<Etag, ConnectionError> {
    match lost {
        _ if changes.show_in(&after) && !changes.show_in(before) => Ok(after.etag),
        // Somebody may have renamed it after the change was made; only of a mere name it does not matter.
        Some(cause) if changes.show_in(before) || changes.credentials().is_some() => {
            Err(ConnectionError::OutcomeUnknown { is_safe_to_repeat: false, cause })
        }
        _ => Err(ConnectionError::EtagMismatch),
    }
}

/// A failure by which nothing was changed, unless an earlier attempt has arrived.
fn failure(lost: Option<CallError>, error: CallError, meant_for: Option<&Etag>) -> ConnectionError {
    match lost {
        Some(cause) => unknown(cause, meant_for),
        None => ConnectionError::about_connection(error),
    }
}

/// With the version that it was meant for, a retried change is refused if the first one was made.
fn unknown(cause: CallError, meant_for: Option<&Etag>) -> ConnectionError {
    ConnectionError::OutcomeUnknown { is_safe_to_repeat: meant_for.is_none(), cause }
}
