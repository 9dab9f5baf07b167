//! One creation, from its claim to its outcome: the state machine that keeps the promise.
//!
//! ```text
//!            ┌────────── settled: it never arrived ─────────┐
//!            ▼                                              │
//! claim ─► Send ── answer ──► landed      Send ── lost ──► Look ── found ──► landed
//!   └──────────── a lost one, found in the store ───────────▲
//! ```
//!
//! A connection that has landed is tested where the caller asked for that: see `verification`.
//!
//! What is sent is sent once. It is sent again only where it is certain that nothing was created: by
//! the answer, because nothing left, or because the settle window has passed and there is nothing.
//!
//! One gap remains: a process that is frozen between the step to `sending` and the first byte, for
//! longer than it takes others to declare the creation lost and settled, sends all the same when it
//! thaws. The first byte has to leave within [`SEND_WITHIN`] by a clock that runs on in a frozen
//! process, so that the freeze would have to begin after that check, in the few instructions before
//! the write.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Failure, Parts,
    candidates::{Sent, sight},
    create_hubspot_connection::Landing,
    flight::Flight,
    lease_keeper::LeaseKeeper,
    verification::{Landed, Origin},
};
use crate::{
    domain::{CreatedConnection, NewConnection, Stage, Verification},
    error_chain::error_chain,
    flow_service::{Cause, CreateError, FlowService, ListQuery, NextStep, redacted},
    idempotency::{Claim, Keep, Lease, Outcome, Recorded, StoreError, Verdict},
};

/// How soon after the step to `sending` the first byte has to leave.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// How long before its end a deadline counts as spent, because the caller may be told so while the
/// store records the answer.
const TELLING: Duration = Duration::from_secs(2);
/// The pause between two looks for a lost connection: at first the answer is only just lost, and
/// later the other side has most likely never got the request.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest that one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a creation is tried that is sent again after the settle window.
const RESEND_TIMEOUT: Duration = Duration::from_secs(20);
/// More pages than the connections of any organization fill.
const MAX_PAGES: usize = 100;

/// One creation.
pub(super) struct Creation<F> {
    pub(super) parts: Arc<Parts<F>>,
    pub(super) lease: Lease,
    pub(super) connection: NewConnection,
    pub(super) verification: Verification,
    pub(super) generated: bool,
    pub(super) deadline: Instant,
    pub(super) flight: Arc<Flight>,
}

/// Where a creation goes next.
enum Next {
    /// Nothing was created so far; `Some` where that took the settle window to know.
    Send(Option<Sent>),
    /// The connection may exist.
    Look(Sent, Arc<Failure>),
    /// It is over.
    Land(Result<Landed, Failure>),
}

impl<F: FlowService> Creation<F> {
    /// Brings the creation to its end.
    pub(super) async fn run(self) -> Result<Landing, Failure> {
        self.flight.progress.enter(Stage::Claim);
        let mut next = match self.parts.store.claim(&self.lease).await {
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
        let keeper = LeaseKeeper::start(Arc::clone(&self.parts.store), self.lease.clone());
        loop {
            next = match next {
                Next::Send(earlier) => self.send(earlier).await,
                Next::Look(sent, lost) => self.look(sent, lost).await,
                Next::Land(Ok(landed)) => {
                    drop(keeper);
                    return self.conclude(Landed { replayed, ..landed }).await;
                }
                Next::Land(Err(failure)) => return Err(failure),
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
                biased;
                () = self.parts.background.draining() => Err(CreateError::TooLate),
                pass = self.parts.flow_service.pass(deadline) => pass,
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
    fn landed(&self, connection: CreatedConnection, origin: Origin) -> Landed {
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
                StoreError::LeaseLost => Failure::RequestInProgress { retry_after: FIRST_PAUSE },
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

    /// Looks for the connection of a lost creation until it is found, or the settle window has passed
    /// without it.
    async fn look(&self, sent: Sent, lost: Arc<Failure>) -> Next {
        let progress = &self.flight.progress;
        progress.set_may_exist(true);
        progress.enter(Stage::Reconcile);
        self.flight.looking(Arc::clone(&lost));
        let mut pause = FIRST_PAUSE;
        let mut found: Option<CreatedConnection> = None;
        loop {
            // A look that begins after the end of the window, and sees nothing, proves that there is
            // nothing; one that begins before it does not.
            let is_settled = sent.last_ago() > self.parts.retention.settle_window;
            let candidates = tokio::select! {
                biased;
                () = self.parts.background.draining() => return self.leave().await,
                // The store may have recorded it and only its answer was lost. Another look could see
                // a younger connection of the same name as well.
                candidates = async { match &found {
                    Some(found) => Ok(vec![CreatedConnection::clone(found)]),
                    None => self.candidates(&sent).await,
                } } => candidates,
            };
            match candidates.as_deref() {
                Ok([]) if is_settled && self.flight.is_awaited() => return Next::Send(Some(sent)),
                Ok([]) if is_settled => return self.leave().await,
                Ok([]) => {}
                Ok([candidate]) => match self.adopt(candidate).await {
                    Adoption::Adopted(next) => return next,
                    Adoption::BelongsToAnother => found = None,
                    Adoption::StoreFailed => found = Some(candidate.clone()),
                },
                Ok(several) => {
                    let ids = several.iter().map(|connection| connection.id.clone()).collect();
                    self.note(self.parts.store.abandon(&self.lease).await, "several could be it");
                    return Next::Land(Err(Failure::Ambiguous(ids)));
                }
                Err(error) => {
                    // Nothing keeps the other side from repeating there what it was told before.
                    let error = redacted(&error_chain(&**error), &self.connection.credentials);
                    tracing::debug!(error, "could not look for a lost connection");
                }
            }
            if is_settled && !self.flight.is_awaited() {
                return self.leave().await;
            }
            let window_left = self.parts.retention.settle_window.saturating_sub(sent.last_ago());
            let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            let until_settled = window_left + Duration::from_millis(1);
            let wait = if window_left.is_zero() { jittered } else { jittered.min(until_settled) };
            if !self.pauses(Some(wait)).await {
                return self.leave().await;
            }
            progress.enter(Stage::Reconcile);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Lists the connections that could be the lost one and are nobody else's.
    async fn candidates(&self, sent: &Sent) -> Result<Vec<CreatedConnection>, Cause> {
        let deadline = Instant::now() + LOOK_TIMEOUT;
        let settle_window = self.parts.retention.settle_window;
        let mut candidates = Vec::new();
        let mut page = None;
        for _ in 0..MAX_PAGES {
            let listed = self
                .parts
                .flow_service
                .list_connections(&ListQuery::all(&self.lease.key.sandbox), page.as_ref(), deadline)
                .await?;
            page = listed.next.clone();
            let sighting = sight(listed, &self.connection, sent, settle_window);
            candidates.extend(
                sighting.candidates.into_iter().map(|c| CreatedConnection { id: c.id, etag: c.etag }),
            );
            if sighting.is_blurred {
                return Err("a connection that could be the lost one cannot be read".into());
            }
            if sighting.is_past || page.is_none() {
                // A connection that is created while pages are read moves others onto the next page.
                candidates.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
                candidates.dedup_by(|a, b| a.id == b.id);
                return self.nobody_elses(candidates).await;
            }
        }
        Err(format!("the connections are more than {MAX_PAGES} pages").into())
    }

    async fn nobody_elses(
        &self,
        mut candidates: Vec<CreatedConnection>,
    ) -> Result<Vec<CreatedConnection>, Cause> {
        if !candidates.is_empty() {
            let ids: Vec<_> = candidates.iter().map(|connection| connection.id.clone()).collect();
            let taken = self.parts.store.outcomes_of_others(&self.lease.key, &ids).await?;
            candidates.retain(|connection| !taken.contains(&connection.id));
        }
        Ok(candidates)
    }

    /// Makes the one candidate the outcome.
    async fn adopt(&self, found: &CreatedConnection) -> Adoption {
        // It is asked for again: its outcome was unknown.
        let keep = match self.verification {
            Verification::Report | Verification::Require => Keep::RememberUnverified,
            Verification::None => Keep::Remember,
        };
        let landed = match self.parts.store.done(&self.lease, found, keep).await {
            Ok(Recorded::Done) => self.landed(found.clone(), Origin::Record),
            Ok(Recorded::Already(Outcome { connection, verdict })) => {
                Landed { verdict, ..self.landed(connection, Origin::Record) }
            }
            Ok(Recorded::BelongsToAnother) => return Adoption::BelongsToAnother,
            Err(error) => {
                tracing::debug!(error = error_chain(&error), "could not record a connection that was found");
                return Adoption::StoreFailed;
            }
        };
        tracing::info!(connection_id = %landed.connection.id, request_id = %self.lease.key.request_id, "found a lost connection");
        Adoption::Adopted(Next::Land(Ok(landed)))
    }

    /// Leaves a lost creation to whoever asks for it next.
    async fn leave(&self) -> Next {
        self.note(self.parts.store.abandon(&self.lease).await, "left for a later call");
        Next::Land(Err(Failure::OutcomeUnknown { problem: None, cause: None }))
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

/// What recording a connection that was found comes to.
enum Adoption {
    Adopted(Next),
    BelongsToAnother,
    StoreFailed,
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
