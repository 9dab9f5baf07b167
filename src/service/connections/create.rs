//! The use case: one request makes one connection, whatever fails in between.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::{
    adobe::{CallError, FlowService, Problem},
    domain::{
        CallProgress, ConnectionId, CreatedConnection, NewConnection, RequestId, SandboxName, TestReport,
        Verification,
    },
    error::Cause,
    exactly_once::{
        Field,
        store::{Holder, Lease, StoreError},
    },
    metrics::{ClaimOutcome, CreationOutcome},
    telemetry::spans,
};
use crate::{
    exactly_once::{
        Unheard,
        background::Outliving,
        creation::Creation,
        shared::{Outcome, SharedCreation, Waiter},
    },
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
    NotCreated {
        /// Why.
        #[source]
        error: CallError,
        /// Whether an earlier attempt may have created something that the store has forgotten.
        may_exist: bool,
    },
    /// The store may have forgotten the creation, and the Flow Service cannot be asked for it. This call sent
    /// nothing.
    #[error("the search for an earlier creation failed")]
    NotSearched(#[source] CallError),
    /// The connection may exist. The same request id is safe to retry.
    #[error("the connection may exist")]
    OutcomeUnknown {
        /// The reply, where there was one.
        problem: Option<Problem>,
        /// What went wrong.
        #[source]
        cause: Option<Cause>,
    },
    /// The connection may exist, and each of these could be it. Without references there may be none.
    #[error("each of {} connections could be the one created", .0.len())]
    Ambiguous(Vec<ConnectionId>),
    /// The request id names a creation with other content.
    #[error("the request id is that of other content: {differs:?} differ")]
    RequestIdReused {
        /// The fields that differ.
        differs: Vec<Field>,
        /// The connection that was created, where that is known.
        connection: Option<ConnectionId>,
    },
    /// The record of the request id cannot be used.
    #[error("the record of the request id cannot be used: {problem}")]
    RecordUnreadable {
        /// Why.
        problem: RecordProblem,
        /// The connection that was created, where that is known.
        connection: Option<ConnectionId>,
    },
    /// The creation is in progress elsewhere.
    #[error("the creation is in progress elsewhere")]
    RequestInProgress {
        /// When to ask again.
        retry_after: std::time::Duration,
    },
    /// As many calls wait for the Flow Service as may. This call sent nothing.
    #[error("too many calls wait for the Flow Service")]
    TooMany {
        /// Whether an earlier attempt may have created something.
        may_exist: bool,
    },
    /// The store failed. This call sent nothing.
    #[error("nothing was sent")]
    Store {
        /// Why.
        #[source]
        error: StoreError,
        /// Whether an earlier attempt may have created something.
        may_exist: bool,
    },
    /// The connection was created, and does not work.
    #[error("the connection does not work{}", left_behind.as_ref().map(|id| format!(" and {id} is left behind")).unwrap_or_default())]
    VerificationFailed {
        /// What the test of it found.
        report: TestReport,
        /// The connection, where it was not deleted again: it could not be, it may be another
        /// creation's, or it works by now.
        left_behind: Option<ConnectionId>,
    },
    /// The connection was created, and it is not known yet whether it works. The same request id is safe
    /// to retry.
    #[error("the connection {connection} was created and is not verified")]
    VerificationPending {
        /// The connection.
        connection: ConnectionId,
        /// What its test found so far.
        report: TestReport,
    },
    /// Every caller left before anything was sent.
    #[error("no caller waited for it any more")]
    Abandoned {
        /// Whether an earlier attempt may have created something.
        may_exist: bool,
    },
    /// A bug here, or the end of the process: how far it had come is not known.
    #[error("the creation ended before its outcome")]
    Crashed,
}

/// Why a record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// It is damaged, or a newer version wrote it.
    #[error("{0}")]
    Damaged(String),
    /// Its content was fingerprinted with a key that was removed.
    #[error("the fingerprint key that it was written with was removed")]
    KeyRemoved,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        if error.may_have_arrived() {
            Self::OutcomeUnknown { problem: error.problem().cloned(), cause: Some(error.into()) }
        } else {
            Self::NotCreated { error, may_exist: false }
        }
    }
}

impl Failure {
    /// What is counted.
    pub(crate) fn outcome(&self) -> CreationOutcome {
        match self {
            Self::NotCreated {
                error: CallError::Refused { .. } | CallError::TokenRefused { .. }, ..
            } => CreationOutcome::Refused,
            Self::OutcomeUnknown { .. } | Self::Crashed => CreationOutcome::Unknown,
            Self::Ambiguous(_) => CreationOutcome::Ambiguous,
            Self::VerificationFailed { .. } | Self::VerificationPending { .. } => CreationOutcome::Created,
            Self::NotCreated { .. }
            | Self::NotSearched(_)
            | Self::RequestIdReused { .. }
            | Self::RecordUnreadable { .. }
            | Self::RequestInProgress { .. }
            | Self::TooMany { .. }
            | Self::Store { .. }
            | Self::Abandoned { .. } => CreationOutcome::NotSent,
        }
    }
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
            request_id,
            fingerprints: self.parts.fingerprint_keys.fingerprints(&connection, verification),
            holder: Holder::generate(),
        };
        let (waiter, shared, guard) = self.shared.join(&lease, generated, deadline).map_err(|failure| {
            self.metrics.claimed(ClaimOutcome::Reused);
            if let Failure::RecordUnreadable { problem, .. } = &failure {
                tracing::error!(%request_id, %problem, "a repeated request cannot be compared with the creation in progress");
            }
            failed(Arc::new(failure))
        })?;
        let joined = waiter.joined;
        if joined {
            self.metrics.claimed(ClaimOutcome::Joined);
        }
        // A caller that joins uses the permit of the one who began.
        let mut permit = if joined { None } else { self.creations.enter() };
        // A known id may have its outcome in the store, a generated one has not.
        if permit.is_none() && generated {
            self.metrics.shed.inc();
            return Err(failed(Arc::new(Failure::TooMany { may_exist: false })));
        }
        call.follow(&shared.progress);
        let mut creation = guard.map(|guard| {
            let creation = Creation {
                parts: Arc::clone(&self.parts),
                lease,
                connection,
                verification,
                generated,
                shared: Arc::clone(&shared),
                permit: permit.take(),
                listings: Arc::clone(&self.listings),
                known: self.known.clone(),
                caller: call.caller().cloned(),
                unheard: self.unheard,
                metrics: Arc::clone(&self.metrics),
            };
            let (running, shared) = (self.metrics.begin(), Arc::clone(&shared));
            // In a box from the start: it is large, and would be copied into one.
            self.parts.background.outliving(Box::pin(async move {
                let _running = running;
                let outcome = creation.run().await.map_err(Arc::new);
                let Creation { caller, connection, permit, unheard, .. } = creation;
                // It is free before any caller gets the outcome.
                drop(permit);
                if !shared.is_awaited() {
                    let sandbox = connection.sandbox;
                    match &outcome {
                        Ok(created) => {
                            unheard(&Unheard::Created { caller: caller.as_ref(), sandbox: &sandbox, created })
                        }
                        Err(failure) => {
                            let failure = Arc::clone(failure);
                            let error = Error { request_id, generated, sandbox, failure };
                            let may_exist = shared.progress.may_exist();
                            unheard(&Unheard::Failed { caller: caller.as_ref(), error: &error, may_exist });
                        }
                    }
                }
                guard.finish(outcome);
            }))
        });

        let created = match &mut creation {
            None => waiter.outcome().await,
            Some(creation) => run_and_wait(creation, waiter, &shared).await,
        }
        .map_err(failed)?;
        Ok(Created { replayed: created.replayed || joined, ..created })
    }
}

/// Runs a creation within the call that began it, until there is something for that call to return.
async fn run_and_wait(creation: &mut Outliving, waiter: Waiter, shared: &SharedCreation) -> Outcome {
    // Dropped before the creation is: where that goes on by itself, this caller does not wait any more.
    let mut outcome = pin!(waiter.outcome());
    let mut was_lost = false;
    poll_fn(|context| {
        let is_over = creation.poll_unpin(context).is_ready();
        // That it is lost becomes known while it is polled, and nowhere else: until then there is nothing
        // to wait for.
        was_lost |= !shared.is_running();
        if is_over || was_lost { outcome.as_mut().poll(context) } else { Poll::Pending }
    })
    .await
}
