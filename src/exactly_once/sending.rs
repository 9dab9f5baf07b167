//! Sends a creation, and records what it made.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    adobe::{CallError, FlowService, NextStep},
    domain::{CreatedConnection, Stage, Verification},
    error::error_chain,
    exactly_once::store::{Keep, Origin, Outcome, Recorded, SEND_WITHIN, StoreError},
};
use crate::{
    exactly_once::{
        creation::{Creation, Earlier, Next},
        sent::Sent,
    },
    service::{Failure, connections::verification::Finished},
};

/// How long before its end a deadline counts as exceeded, because the caller may get that error while the
/// store records the reply.
const REPORTING: Duration = Duration::from_secs(2);
/// When to ask again for a creation that another process has taken over.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The pause between two attempts at recording a connection.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a lost creation is tried again that is proven to have created nothing.
const RESEND_TIMEOUT: Duration = Duration::from_secs(20);

/// One attempt to send.
enum Attempt {
    Created(CreatedConnection),
    /// Its reply was lost.
    Lost(Sent, Failure),
    /// Nothing was created.
    Failed(CallError),
    /// It ended before a reply, or its end could not be recorded.
    Stopped(Failure),
}

impl<F: FlowService> Creation<F> {
    /// Sends the creation until there is a reply, it is lost, or sending it again makes no sense.
    pub(crate) async fn send(&self, earlier: Earlier) -> Next {
        let progress = &self.shared.progress;
        self.shared.running();
        progress.set_may_exist(false);
        let began = Instant::now();
        let mut attempt = 0;
        let mut refreshed = false;
        let mut earlier_error = None;
        loop {
            progress.enter(Stage::AdobeToken);
            // A caller that joins may wait longer than the one who began.
            let deadline = match earlier {
                Earlier::Nothing => self.shared.deadline(),
                Earlier::Lost(_) => self.shared.deadline().max(began + RESEND_TIMEOUT),
            };
            let permit = tokio::select! {
                // A drain ends what waits, and not what can continue at once.
                biased;
                permit = self.parts.flow_service.permit(deadline) => permit,
                () = self.parts.background.draining() => Err(CallError::Stopping),
            };
            if let Err(error) = &permit
                && self.shared.deadline() > deadline
                && (Instant::now() >= deadline || waits_for_token(error))
            {
                continue;
            }
            attempt += 1;
            let error = match permit {
                Ok(permit) => match self.attempt(&permit, earlier).await {
                    Attempt::Created(connection) => {
                        return self.record(connection, self.kept(earlier)).await;
                    }
                    Attempt::Lost(sent, failure) => {
                        return Next::Search { sent, lost: Arc::new(failure), absent: Earlier::Lost(sent) };
                    }
                    Attempt::Failed(error) => error,
                    Attempt::Stopped(failure) => return Next::End(Err(failure)),
                },
                Err(error) => error,
            };
            let deadline = deadline.max(self.shared.deadline());
            let pause = match error.next_step() {
                NextStep::RefreshToken if !refreshed => {
                    refreshed = true;
                    Some(Duration::ZERO)
                }
                NextStep::Retry(asked) => self.parts.flow_service.retry_in(attempt, asked, deadline),
                NextStep::RefreshToken | NextStep::GiveUp | NextStep::Search => None,
            };
            progress.set_may_exist(false);
            if !self.pauses(pause).await {
                if !self.give_back(earlier).await {
                    return Next::End(Err(self.taken_over()));
                }
                // That the breaker is open now says less than the failure that has opened it.
                let is_breaker = matches!(error, CallError::BreakerOpen { .. });
                let cause = if is_breaker { earlier_error.unwrap_or(error) } else { error };
                return Next::End(Err(self.failed(cause)));
            }
            earlier_error = Some(error);
        }
    }

    /// How much of the outcome is kept: all of it where a caller may ask for the id again. That is its own
    /// one, one whose outcome was unknown, one that an error has told the caller or is about to, and one
    /// whose verification may have to be resumed.
    fn kept(&self, earlier: Earlier) -> Keep {
        let is_told = !self.shared.is_awaited() || Instant::now() + REPORTING >= self.shared.deadline();
        let was_lost = matches!(earlier, Earlier::Lost(_));
        match self.verification {
            Verification::Report | Verification::Require => Keep::RememberUnverified,
            Verification::None if !self.generated || was_lost || is_told => Keep::Remember,
            Verification::None => Keep::Forget,
        }
    }

    /// Sends the creation once.
    async fn attempt(&self, permit: &F::Permit, earlier: Earlier) -> Attempt {
        let progress = &self.shared.progress;
        // A caller whose deadline is exceeded reads this after it has left. Written first and looked for
        // second, no caller reads that nothing exists while it is being sent.
        progress.set_may_exist(true);
        if !self.shared.is_awaited() {
            progress.set_may_exist(false);
            let may_exist = progress.may_exist();
            let is_held = self.give_back(earlier).await;
            return Attempt::Stopped(if is_held {
                Failure::Abandoned { may_exist }
            } else {
                self.taken_over()
            });
        }
        let began = Instant::now();
        let (store, now_ms) = (&self.parts.store, self.now_ms());
        let begun = match earlier {
            Earlier::Nothing => store.begin_sending(&self.lease, now_ms).await,
            Earlier::Lost(_) => store.resend(&self.lease, now_ms).await,
        };
        if let Err(error) = begun {
            progress.set_may_exist(false);
            return Attempt::Stopped(match error {
                StoreError::LeaseLost => self.taken_over(),
                error @ (StoreError::Unavailable(_) | StoreError::Full | StoreError::Unreadable(_)) => {
                    self.abandon_in_background();
                    self.store_failed(error)
                }
            });
        }
        progress.enter(Stage::Create);
        let flow_service = &self.parts.flow_service;
        let send_by = began + SEND_WITHIN;
        let created = flow_service
            .create_connection(permit, &self.connection, self.reference(), send_by, progress)
            .await;
        match created {
            Ok(connection) => Attempt::Created(connection),
            Err(error) if error.next_step() == NextStep::Search => {
                // Where this fails the record says `sending`, which becomes `unknown` when the lease ends.
                self.note(store.outcome_unknown(&self.lease).await, "the outcome is unknown");
                let earlier = match earlier {
                    Earlier::Nothing => None,
                    Earlier::Lost(sent) => Some(sent),
                };
                Attempt::Lost(Sent::at(earlier, began), Failure::from(error))
            }
            Err(error) => match store.not_created(&self.lease).await {
                Ok(()) => Attempt::Failed(error),
                // The step may still be on its way to the store: it must not meet another attempt.
                Err(store_error) => {
                    progress.set_may_exist(false);
                    self.note(Err(store_error), "nothing was created");
                    self.abandon_in_background();
                    Attempt::Stopped(self.failed(error))
                }
            },
        }
    }

    /// Records the reply. Where the store is gone the caller still gets it, and recording goes on.
    async fn record(&self, connection: CreatedConnection, keep: Keep) -> Next {
        let recorded =
            self.parts.store.done(&self.lease, &connection, Origin::Reply, keep, self.now_ms()).await;
        let request_id = self.request_id();
        Next::End(Ok(match recorded {
            Ok(Recorded::Done) => self.created(connection, Origin::Reply),
            Ok(Recorded::Already(outcome)) => self.already(outcome, &connection),
            Err(error) => {
                tracing::warn!(error = error_chain(&error), %request_id, connection_id = %connection.id, "could not record a connection: trying again");
                self.go_on_recording(connection.clone(), keep);
                Finished { is_recorded: false, ..self.created(connection, Origin::Reply) }
            }
        }))
    }

    /// What it comes to that the record is done already: its outcome stays.
    pub(crate) fn already(&self, outcome: Outcome, created: &CreatedConnection) -> Finished {
        if outcome.connection.id != created.id {
            self.metrics.duplicates.inc();
            tracing::error!(request_id = %self.request_id(), created = %created.id, recorded = %outcome.connection.id, "a request made two connections");
        }
        Finished::replayed(outcome, Duration::ZERO)
    }

    fn go_on_recording(&self, connection: CreatedConnection, keep: Keep) {
        let (store, lease, clock) =
            (Arc::clone(&self.parts.store), self.lease.clone(), self.parts.wall_clock);
        let give_up = Instant::now() + self.parts.retention.request_id;
        let background = self.parts.background.clone();
        self.parts.background.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while Instant::now() < give_up {
                let is_last = background.is_draining();
                match store.done(&lease, &connection, Origin::Reply, keep, clock()).await {
                    Err(StoreError::Unavailable(_) | StoreError::Full | StoreError::LeaseLost) => {}
                    Ok(_) | Err(StoreError::Unreadable(_)) => break,
                }
                // A retry finds the connection by a search; a store that is down must not hold up the end.
                if is_last {
                    tracing::warn!(request_id = %lease.request_id, connection_id = %connection.id, "a connection stays unrecorded: the process ends while the store is down");
                    break;
                }
                tokio::select! {
                    () = background.draining() => {}
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// A creation that came to nothing: what an earlier attempt made may have been forgotten.
    fn failed(&self, error: CallError) -> Failure {
        Failure::NotCreated { error, may_exist: self.shared.progress.may_exist() }
    }

    /// What it means that the lease is lost: the process that has taken it over may have sent the creation,
    /// and brings it to its end.
    fn taken_over(&self) -> Failure {
        self.shared.progress.set_may_exist(true);
        Failure::RequestInProgress { retry_after: ASK_AGAIN }
    }
}

/// Whether what is missing is an access token, which is given up a moment before the deadline.
fn waits_for_token(error: &CallError) -> bool {
    match error {
        CallError::Token(error) => error.may_pass(),
        CallError::NoTokenInTime => true,
        CallError::BreakerOpen { .. }
        | CallError::Unreachable(_)
        | CallError::TooLate
        | CallError::Stopping
        | CallError::Throttled { .. }
        | CallError::TokenRefused { .. }
        | CallError::Refused { .. }
        | CallError::OtherSource
        | CallError::Unavailable { .. }
        | CallError::Unrecognized { .. }
        | CallError::Undecodable(_) => false,
    }
}
