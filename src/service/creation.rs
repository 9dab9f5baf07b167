//! One creation, from its claim to its outcome: the state machine that keeps the promise.
//!
//! ```text
//!            ┌────────── settled: it never arrived ─────────┐
//!            ▼                                              │
//! claim ─► Send ── answer ──► landed      Send ── lost ──► Look ── found ──► landed
//!   └──────────── a lost one, found in the store ───────────▲
//! ```
//!
//! How a lost one is looked for: see `search`. A connection that has landed is tested where the caller
//! asked for that: see `verification`.
//!
//! What is sent is sent once. It is sent again only where it is certain that nothing was created: by
//! the answer, because nothing left, or because the settle window has passed and there is nothing.
//!
//! One gap remains: a process that is frozen between the step to `sending` and the first byte, for
//! longer than it takes others to declare the creation lost and settled, sends all the same when it
//! thaws. The first byte has to leave within [`SEND_WITHIN`] by a clock that runs on in a frozen
//! process, so that the freeze would have to begin after that check, in the few instructions before
//! the write.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Failure, Parts, Place,
    candidates::Sent,
    create_hubspot_connection::Landing,
    flight::Flight,
    lease_keeper::keep_lease,
    verification::{Landed, Origin},
};
use crate::{
    domain::{CreatedConnection, NewConnection, Stage, Verification},
    error_chain::error_chain,
    flow_service::{CreateError, FlowService, NextStep},
    idempotency::{Claim, Keep, Lease, Outcome, Recorded, StoreError, Verdict},
    metrics::{ClaimOutcome, CreationMetrics, CreationOutcome},
};

/// How soon after the step to `sending` the first byte has to leave.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// How long before its end a deadline counts as spent, because the caller may be told so while the
/// store records the answer.
const TELLING: Duration = Duration::from_secs(2);
/// When to ask again for a creation that somebody else has taken over.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The pause between two attempts at recording a connection.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a creation is tried that is sent again after the settle window.
const RESEND_TIMEOUT: Duration = Duration::from_secs(20);

/// One creation.
pub(super) struct Creation<F> {
    pub(super) parts: Arc<Parts<F>>,
    pub(super) lease: Lease,
    pub(super) connection: NewConnection,
    pub(super) verification: Verification,
    pub(super) generated: bool,
    pub(super) deadline: Instant,
    pub(super) flight: Arc<Flight>,
    /// Its place among those who wait for the Flow Service. Without one it gets no further than to
    /// what the store knows.
    pub(super) place: Option<Place>,
    pub(super) metrics: Arc<CreationMetrics>,
}

/// Where a creation goes next.
pub(super) enum Next {
    /// Nothing was created so far; `Some` where that took the settle window to know.
    Send(Option<Sent>),
    /// The connection may exist.
    Look(Sent, Arc<Failure>),
    /// It is over.
    Land(Result<Landed, Failure>),
}

impl<F: FlowService> Creation<F> {
    /// Brings the creation to its end.
    pub(super) async fn run(&self) -> Result<Landing, Failure> {
        self.flight.progress.enter(Stage::Claim);
        let claim = self.parts.store.claim(&self.lease).await;
        self.metrics.claimed(outcome(&claim));
        if self.place.is_none() && self.needs_place(&claim) {
            return Err(self.turn_away(&claim).await);
        }
        let next = match claim {
            Ok(Claim::Fresh) => {
                self.flight.progress.set_may_exist(false);
                Next::Send(None)
            }
            Ok(Claim::Unknown { first_sent, last_sent }) => {
                let lost = Failure::OutcomeUnknown { problem: None, cause: None };
                Next::Look(Sent::ago(first_sent, last_sent), Arc::new(lost))
            }
            Ok(Claim::Done(Outcome { connection, verdict })) => {
                return self
                    .conclude(Landed { connection, replayed: true, verdict, origin: Origin::Record })
                    .await;
            }
            Ok(Claim::OtherContent) => return Err(Failure::RequestIdReused),
            Ok(Claim::InProgress { retry_after }) => return Err(Failure::RequestInProgress { retry_after }),
            Ok(Claim::NameInProgress { retry_after }) => return Err(Failure::NameInProgress { retry_after }),
            Err(error) => {
                if matches!(error, StoreError::Unavailable(_)) {
                    self.release_in_background();
                }
                return Err(Failure::Store(error));
            }
        };
        let replayed = matches!(next, Next::Look(..));
        let end = End { metrics: &self.metrics, outcome: CreationOutcome::Unknown };
        let landing = pin!(self.land(next));
        match keep_lease(&*self.parts.store, &self.lease, landing).await {
            Ok(landed) => {
                end.is(CreationOutcome::Created);
                self.conclude(Landed { replayed, ..landed }).await
            }
            Err(failure) => {
                end.is(failure.outcome());
                Err(failure)
            }
        }
    }

    async fn land(&self, mut next: Next) -> Result<Landed, Failure> {
        loop {
            next = match next {
                Next::Send(earlier) => self.send(earlier).await,
                // In a box, so that only those have room for it that need it.
                Next::Look(sent, lost) => Box::pin(self.look(sent, lost)).await,
                Next::Land(landed) => return landed,
            };
        }
    }
}

impl<F: FlowService> Creation<F> {
    /// Sends the creation until there is an answer, it is lost, or sending it again makes no sense.
    async fn send(&self, earlier: Option<Sent>) -> Next {
        let progress = &self.flight.progress;
        self.flight.flying();
        // Who waits for a creation that took the settle window is not the one who began it.
        let deadline = if earlier.is_some() { Instant::now() + RESEND_TIMEOUT } else { self.deadline };
        let mut attempt = 0;
        let mut refreshed = false;
        let mut earlier_error = None;
        loop {
            progress.enter(Stage::AdobeToken);
            attempt += 1;
            let pass = tokio::select! {
                // A drain ends what waits, and not what may go on at once.
                biased;
                pass = self.parts.flow_service.pass(deadline) => pass,
                () = self.parts.background.draining() => Err(CreateError::TooLate),
            };
            let error = match pass {
                Ok(pass) => match self.attempt(&pass, earlier).await {
                    Attempt::Created(connection) => {
                        return self.record(connection, self.kept(earlier)).await;
                    }
                    Attempt::Lost(sent, failure) => return Next::Look(sent, Arc::new(failure)),
                    Attempt::Failed(error) => error,
                    Attempt::Stopped(failure) => return Next::Land(Err(failure)),
                },
                Err(error) => error,
            };
            let pause = match error.next_step() {
                NextStep::RefreshToken if !refreshed => {
                    refreshed = true;
                    Some(Duration::ZERO)
                }
                NextStep::SendAgain(asked) => self.parts.flow_service.retry_in(attempt, asked, deadline),
                NextStep::RefreshToken | NextStep::GiveUp | NextStep::LookFor => None,
            };
            progress.set_may_exist(false);
            if !self.pauses(pause).await {
                self.release().await;
                // That the breaker is open now says less than the failure that has opened it.
                let is_breaker = matches!(error, CreateError::BreakerOpen { .. });
                let cause = if is_breaker { earlier_error.unwrap_or(error) } else { error };
                return Next::Land(Err(Failure::from(cause)));
            }
            earlier_error = Some(error);
        }
    }

    /// How much of the outcome is kept: all of it where the id will be asked for again. That is the
    /// caller's own, one whose outcome was unknown, one that the caller has been given with a spent
    /// deadline, or is just about to be, and one whose verification may have to be resumed.
    fn kept(&self, earlier: Option<Sent>) -> Keep {
        let is_told = !self.flight.is_awaited() || Instant::now() + TELLING >= self.deadline;
        match self.verification {
            Verification::Report | Verification::Require => Keep::RememberUnverified,
            Verification::None if !self.generated || earlier.is_some() || is_told => Keep::Remember,
            Verification::None => Keep::Forget,
        }
    }

    /// What is known of a connection that was just recorded.
    pub(super) fn landed(&self, connection: CreatedConnection, origin: Origin) -> Landed {
        let verdict = match self.verification {
            Verification::Report | Verification::Require => Some(Verdict::Pending),
            Verification::None => None,
        };
        Landed { connection, replayed: false, verdict, origin }
    }

    /// Sends the creation once.
    async fn attempt(&self, pass: &F::Pass, earlier: Option<Sent>) -> Attempt {
        let progress = &self.flight.progress;
        // A caller whose time is up reads this after it has left. Said first and looked for second,
        // nobody is told that nothing exists while it is being sent.
        progress.set_may_exist(true);
        if !self.flight.is_awaited() {
            progress.set_may_exist(false);
            self.release().await;
            return Attempt::Stopped(Failure::Abandoned);
        }
        let before = Instant::now();
        let send_by = before + SEND_WITHIN;
        if let Err(error) = self.parts.store.begin_sending(&self.lease).await {
            progress.set_may_exist(false);
            return Attempt::Stopped(match error {
                // Whoever has taken the lease over brings the creation to its end.
                StoreError::LeaseLost => Failure::RequestInProgress { retry_after: ASK_AGAIN },
                error @ (StoreError::Unavailable(_) | StoreError::Full) => {
                    self.release_in_background();
                    Failure::Store(error)
                }
            });
        }
        let after = Instant::now();
        progress.enter(Stage::Create);
        let answer =
            self.parts.flow_service.create_connection(pass, &self.connection, send_by, progress).await;
        match answer {
            Ok(connection) => Attempt::Created(connection),
            Err(error) if error.next_step() == NextStep::LookFor => {
                // Where this fails the record says `sending`, which is `unknown` as soon as the lease
                // ends.
                self.note(self.parts.store.outcome_unknown(&self.lease).await, "the outcome is unknown");
                Attempt::Lost(Sent::between(earlier, before, after), Failure::from(error))
            }
            Err(error) => match self.parts.store.not_created(&self.lease).await {
                Ok(()) => Attempt::Failed(error),
                // The step may still be on its way to the store: it must not meet another attempt.
                Err(store_error) => {
                    progress.set_may_exist(false);
                    self.note(Err(store_error), "nothing was created");
                    self.release_in_background();
                    Attempt::Stopped(Failure::from(error))
                }
            },
        }
    }

    /// Records the answer. Where the store is gone the caller still gets it, and recording goes on.
    async fn record(&self, connection: CreatedConnection, keep: Keep) -> Next {
        let recorded = self.parts.store.done(&self.lease, &connection, keep).await;
        let request_id = self.lease.key.request_id;
        Next::Land(Ok(match recorded {
            Ok(Recorded::Done) => self.landed(connection, Origin::Answer),
            Ok(Recorded::Already(Outcome { connection: other, verdict })) => {
                if other.id != connection.id {
                    tracing::error!(%request_id, created = %connection.id, recorded = %other.id, "a request made two connections");
                }
                Landed { verdict, ..self.landed(other, Origin::Record) }
            }
            Ok(Recorded::BelongsToAnother) => {
                tracing::error!(%request_id, created = %connection.id, "a new connection is recorded for another request");
                self.landed(connection, Origin::Unrecorded)
            }
            Err(error) => {
                tracing::warn!(error = error_chain(&error), %request_id, connection_id = %connection.id, "could not record a connection: going on trying");
                self.go_on_recording(connection.clone(), keep);
                self.landed(connection, Origin::Unrecorded)
            }
        }))
    }

    fn go_on_recording(&self, connection: CreatedConnection, keep: Keep) {
        let (store, lease) = (Arc::clone(&self.parts.store), self.lease.clone());
        let give_up = Instant::now() + self.parts.retention.request_id;
        self.parts.background.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while Instant::now() < give_up && store.done(&lease, &connection, keep).await.is_err() {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Whether the Flow Service has to be asked before there is an answer.
    fn needs_place(&self, claim: &Result<Claim, StoreError>) -> bool {
        match claim {
            Ok(Claim::Fresh | Claim::Unknown { .. }) => true,
            Ok(Claim::Done(Outcome { verdict, .. })) => match verdict {
                Some(Verdict::Pending) => true,
                // It is deleted again.
                Some(Verdict::Failed(_)) => self.verification == Verification::Require,
                Some(Verdict::Passed(_) | Verdict::Deleted(_)) | None => false,
            },
            Ok(Claim::OtherContent | Claim::InProgress { .. } | Claim::NameInProgress { .. }) | Err(_) => {
                false
            }
        }
    }

    /// Gives the record to whoever claims it next.
    async fn turn_away(&self, claim: &Result<Claim, StoreError>) -> Failure {
        self.metrics.shed.inc();
        match claim {
            Ok(Claim::Fresh) => {
                self.flight.progress.set_may_exist(false);
                self.release().await;
            }
            Ok(Claim::Unknown { .. }) => {
                self.note(self.parts.store.abandon(&self.lease).await, "turned away");
            }
            Ok(
                Claim::Done(_)
                | Claim::OtherContent
                | Claim::InProgress { .. }
                | Claim::NameInProgress { .. },
            )
            | Err(_) => {}
        }
        Failure::TooMany
    }

    /// Gives the record and the name free: nothing was created.
    async fn release(&self) {
        self.note(self.parts.store.release(&self.lease).await, "released");
    }

    /// Does the same where the store may only have lost its answer: without it the record would block
    /// its id and name until it settles. The holder takes no other step, so that a late one meets
    /// nothing.
    fn release_in_background(&self) {
        let (store, lease) = (Arc::clone(&self.parts.store), self.lease.clone());
        self.parts.background.spawn(async move {
            // The lease ends by itself.
            let _ = store.release(&lease).await;
        });
    }

    /// A step that only tells the store what is certain already: where it fails the lease ends by
    /// itself, and the record says no less than the truth.
    pub(super) fn note(&self, step: Result<(), StoreError>, what: &str) {
        if let Err(error) = step {
            let request_id = self.lease.key.request_id;
            tracing::debug!(error = error_chain(&error), %request_id, what, "could not tell the store");
        }
    }

    /// Waits, if there is something to wait for and the process does not end.
    pub(super) async fn pauses(&self, pause: Option<Duration>) -> bool {
        let Some(pause) = pause else { return false };
        self.flight.progress.enter(Stage::BackOff);
        tokio::select! {
            () = self.parts.background.draining() => false,
            () = sleep(pause) => true,
        }
    }
}

/// Counts how a creation ends. One that panics, or is ended with the process, may have been sent.
struct End<'a> {
    metrics: &'a CreationMetrics,
    outcome: CreationOutcome,
}

impl End<'_> {
    fn is(mut self, outcome: CreationOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.metrics.ended(self.outcome);
    }
}

/// What is counted of a claim.
fn outcome(claim: &Result<Claim, StoreError>) -> ClaimOutcome {
    match claim {
        Ok(Claim::Fresh) => ClaimOutcome::Fresh,
        Ok(Claim::Unknown { .. }) => ClaimOutcome::Resumed,
        Ok(Claim::Done(_)) => ClaimOutcome::Replayed,
        Ok(Claim::OtherContent) => ClaimOutcome::Reused,
        Ok(Claim::InProgress { .. }) => ClaimOutcome::InProgress,
        Ok(Claim::NameInProgress { .. }) => ClaimOutcome::NameInProgress,
        Err(StoreError::Full) => ClaimOutcome::Full,
        Err(StoreError::Unavailable(_) | StoreError::LeaseLost) => ClaimOutcome::Unavailable,
    }
}

/// What one attempt to send comes to.
enum Attempt {
    Created(CreatedConnection),
    /// Its answer was lost.
    Lost(Sent, Failure),
    /// Nothing was created.
    Failed(CreateError),
    /// It was not made.
    Stopped(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_that_does_not_get_to_its_end_counts_as_unknown() {
        let metrics = CreationMetrics::default();
        let begin = || End { metrics: &metrics, outcome: CreationOutcome::Unknown };
        drop(begin());
        begin().is(CreationOutcome::Created);
        let ends = [CreationOutcome::Unknown, CreationOutcome::Created].map(|outcome| metrics.ends(outcome));
        assert_eq!(ends, [1, 1]);
    }
}
