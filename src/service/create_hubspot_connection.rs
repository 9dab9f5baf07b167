//! The use case: one request makes one connection, whatever fails in between.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{
    Service,
    creation::Creation,
    flight::{Outcome, Seat},
};
use crate::{
    domain::{
        CallProgress, ConnectionId, CreatedConnection, NewConnection, RequestId, SandboxName, TestReport,
        Verification,
    },
    error_chain::error_chain,
    flow_service::{Cause, CreateError, FlowService, Problem},
    idempotency::{Holder, Key, Lease, StoreError},
    metrics::{ClaimOutcome, CreationOutcome},
    telemetry::spans,
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
    /// What the test of it found, where one was asked for.
    pub test: Option<TestReport>,
}

/// A creation that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("the creation failed")]
pub struct Error {
    /// The name of the creation.
    pub request_id: RequestId,
    /// Whether the caller had no name for it, so that it was generated.
    pub generated: bool,
    /// The sandbox that the connection was meant for.
    pub sandbox: SandboxName,
    /// Why it did not succeed.
    #[source]
    pub failure: Arc<Failure>,
}

/// Why a creation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was created.
    #[error("nothing was created")]
    NotCreated(#[source] CreateError),
    /// The connection may exist. The same request id is safe to repeat.
    #[error("the connection may exist")]
    OutcomeUnknown {
        /// What came back, where it was an answer of some kind.
        problem: Option<Problem>,
        /// What went wrong.
        #[source]
        cause: Option<Cause>,
    },
    /// Each of these connections could be the one.
    #[error("several connections could be the one created")]
    Ambiguous(Vec<ConnectionId>),
    /// The request id names a creation with other content.
    #[error("the request id is that of other content")]
    RequestIdReused,
    /// The creation is under way elsewhere.
    #[error("the creation is under way elsewhere")]
    RequestInProgress {
        /// When to ask again.
        retry_after: std::time::Duration,
    },
    /// A creation of the same name is under way, or lost and not settled.
    #[error("a creation of the same name is under way")]
    NameInProgress {
        /// When to ask again.
        retry_after: std::time::Duration,
    },
    /// As much waits for the Flow Service as may: nothing was sent to it.
    #[error("too much waits for the Flow Service")]
    TooMany,
    /// The store failed before anything was sent.
    #[error("nothing was sent")]
    Store(#[source] StoreError),
    /// The connection was created, and does not work.
    #[error("the connection does not work{}", left_behind.as_ref().map(|id| format!(" and {id} is left behind")).unwrap_or_default())]
    VerificationFailed {
        /// What the test of it found.
        report: TestReport,
        /// The connection, where it was not deleted again: it could not be, it may be another
        /// creation's, or it works by now.
        left_behind: Option<ConnectionId>,
    },
    /// The connection was created, and nobody knows yet whether it works. The same request id is safe
    /// to repeat.
    #[error("the connection {connection} was created and is not verified")]
    VerificationPending {
        /// The connection.
        connection: ConnectionId,
        /// What its test found so far.
        report: TestReport,
    },
    /// Everyone who waited for it left before anything was sent.
    #[error("nobody waited for it any more")]
    Abandoned,
    /// A bug here, or the end of the process: nobody knows how far it had come.
    #[error("the creation ended before its outcome")]
    Crashed,
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::OutcomeUnknown { problem, cause } => {
                Self::OutcomeUnknown { problem, cause: Some(cause) }
            }
            error @ (CreateError::Token(_)
            | CreateError::BreakerOpen { .. }
            | CreateError::Unreachable(_)
            | CreateError::TooLate
            | CreateError::Throttled { .. }
            | CreateError::TokenRefused { .. }
            | CreateError::Refused { .. }) => Self::NotCreated(error),
        }
    }
}

impl Failure {
    /// What is counted.
    pub(super) fn outcome(&self) -> CreationOutcome {
        match self {
            Self::NotCreated(CreateError::Refused { .. } | CreateError::TokenRefused { .. }) => {
                CreationOutcome::Refused
            }
            Self::OutcomeUnknown { .. } | Self::Crashed => CreationOutcome::Unknown,
            Self::Ambiguous(_) => CreationOutcome::Ambiguous,
            Self::VerificationFailed { .. } | Self::VerificationPending { .. } => CreationOutcome::Created,
            Self::NotCreated(_)
            | Self::RequestIdReused
            | Self::RequestInProgress { .. }
            | Self::NameInProgress { .. }
            | Self::TooMany
            | Self::Store(_)
            | Self::Abandoned => CreationOutcome::NotSent,
        }
    }
}

/// What a creation comes to when it succeeds.
#[derive(Clone, Debug)]
pub(super) struct Landing {
    pub(super) connection: CreatedConnection,
    /// Whether it is an earlier creation's.
    pub(super) replayed: bool,
    /// What the test of it found, where one was asked for.
    pub(super) test: Option<TestReport>,
}

impl<F: FlowService> Service<F> {
    /// Creates a connection, or answers with the one that the same request id has created.
    ///
    /// Where the caller leaves, or its deadline is spent, this future is dropped. The creation then goes on
    /// in the background, and what has been sent is still brought to its end.
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
        let generated = request_id.is_none();
        let request_id = request_id.unwrap_or_else(RequestId::generate);
        spans::note("request_id", request_id.encode(&mut [0; RequestId::LENGTH]));
        let sandbox = connection.sandbox.clone();
        let failed = |failure| Error { request_id, generated, sandbox: sandbox.clone(), failure };

        let lease = Lease {
            key: Key { sandbox: sandbox.clone(), request_id },
            name: connection.name.clone(),
            fingerprints: self.parts.fingerprint_keys.fingerprints(&connection, verification),
            holder: Holder::generate(),
        };
        let (seat, flight, pilot) = self
            .flights
            .board(&lease.key, lease.fingerprints.current, generated, deadline)
            .map_err(|failure| {
                self.metrics.claimed(ClaimOutcome::Reused);
                failed(Arc::new(failure))
            })?;
        if seat.joined {
            self.metrics.claimed(ClaimOutcome::Joined);
        }
        // Whoever joins waits with the place of another one.
        let mut place = if seat.joined { None } else { self.creations.enter() };
        // A known id may have its answer in the store, a generated one has not.
        if place.is_none() && generated {
            self.metrics.shed.inc();
            return Err(failed(Arc::new(Failure::TooMany)));
        }
        call.follow(&flight.progress);
        let mut creation = pilot.map(|pilot| {
            let parts = Arc::clone(&self.parts);
            let flight = Arc::clone(&flight);
            let creation = Creation {
                parts,
                lease,
                connection,
                verification,
                generated,
                deadline,
                flight: Arc::clone(&flight),
                place: place.take(),
                metrics: Arc::clone(&self.metrics),
            };
            let running = self.metrics.begin();
            // In a box from the start: it is large, and would be copied into one.
            self.parts.background.outliving(Box::pin(async move {
                let _running = running;
                let outcome = creation.run().await.map_err(Arc::new);
                // Its place is free before anybody hears of it.
                drop(creation);
                if !flight.is_awaited() {
                    log_unheard(request_id, &outcome);
                }
                pilot.land(outcome);
            }))
        });

        let Seat { joined, .. } = seat;
        // Dropped before the creation is: where that goes on by itself, nobody waits for it any more.
        let mut outcome = pin!(seat.outcome());
        let outcome = match &mut creation {
            None => outcome.await,
            Some(creation) => {
                let mut was_lost = false;
                poll_fn(|context| {
                    let is_over = creation.poll_unpin(context).is_ready();
                    // That it is lost turns out while it is polled, and nowhere else: until then there is
                    // nothing to wait for.
                    was_lost |= !flight.is_flying();
                    if is_over || was_lost { outcome.as_mut().poll(context) } else { Poll::Pending }
                })
                .await
            }
        };
        let Landing { connection, replayed, test } = outcome.map_err(failed)?;
        Ok(Created { request_id, connection, replayed: replayed || joined, test })
    }
}

/// The outcome of a creation whose callers have all left is told to the log alone.
fn log_unheard(request_id: RequestId, outcome: &Outcome) {
    match outcome {
        Ok(Landing { connection, .. }) => {
            // The audit trail of the call has ended with it.
            tracing::info!(target: "audit", action = "create", outcome = "OK", %request_id, connection_id = %connection.id, "created a connection whose caller has left");
        }
        Err(failure) => {
            tracing::warn!(target: "audit", action = "create", outcome = %failure, %request_id, cause = error_chain(&**failure), "a creation failed whose caller has left");
        }
    }
}
