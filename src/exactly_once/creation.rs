//! One creation, from its claim to its outcome: the state machine that keeps the promise, for any operation.
//!
//! ```text
//!            ┌──────── proven: nothing was created ─────────┐
//!            ▼                                              │
//! claim ─► Send ── reply ──► End         Send ── lost ──► Search ── found ──► End
//!   ├──────────── a lost one, according to the store ────────▲
//!   └─► SearchFirst, where the store may have forgotten it: found ──► End, not found ──► Send
//!       (strict: Search)
//! ```
//!
//! The request is sent once. It is resent only where it is certain that nothing was created: by the reply,
//! because nothing left this process, or because the settle window has passed and there is nothing.
//!
//! One gap remains: a process that is frozen between the step to `sending` and the first byte, for
//! longer than it takes others to search for the creation and to prove that there is none, sends all the
//! same when it continues. The first byte has to leave within `SEND_WITHIN` by a clock that continues in a
//! frozen process, so that the freeze would have to begin after that check, in the few instructions before
//! the write.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    Comparison, SearchFirst,
    engine::{Engine, SharedOutcome},
    failure::{Error, Failure, RecordProblem},
    listing::Listings,
    operation::{FailureOf, Operation, Outcome},
    sent::{self, Sent},
    shared::{Guard, SharedCreation},
    store::{Claim, Lease, Moment, Step, StoreError, keep_renewing},
};
use crate::{
    domain::{RequestId, Stage},
    error::error_chain,
    metrics::{ClaimOutcome, CreationMetrics, CreationOutcome},
};

/// One creation.
pub(crate) struct Creation<O: Operation> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) operation: O,
    pub(crate) shared: Arc<SharedCreation<SharedOutcome<O>>>,
    pub(super) generated: bool,
    pub(super) listings: Arc<Listings<O>>,
    /// Without one it gets no further than to what the store knows.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// A creation that has its outcome.
pub(crate) struct Finished<T> {
    pub(crate) outcome: T,
    /// Whether it is an earlier creation's.
    pub(crate) replayed: bool,
    pub(crate) is_recorded: bool,
    /// When it was recorded, at the latest.
    pub(crate) recorded_at: Instant,
}

impl<T> Finished<T> {
    /// An outcome that was recorded just now.
    pub(super) fn now(outcome: T, replayed: bool) -> Self {
        Self { outcome, replayed, is_recorded: true, recorded_at: Instant::now() }
    }
}

/// The next step of a creation.
pub(super) enum Next<O: Operation> {
    /// Nothing was created so far.
    Send(Option<Lost>),
    /// Nothing was created as far as the store knows, which may have forgotten it.
    SearchFirst {
        remembers_for: Duration,
    },
    /// The resource may exist. Once it is proven that it does not, it is sent, again if it is recorded as sent.
    Search {
        lost: Lost,
        failure: FailureOf<O>,
        is_recorded: bool,
    },
    End(Result<Finished<O::Outcome>, FailureOf<O>>),
}

/// A sending whose reply was lost. The request is resent only once it is proven that it created nothing.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) sent: Sent,
    pub(super) context: String,
}

/// The id names another content, or one that cannot be compared.
pub(super) fn reused<I, E>(
    comparison: Comparison,
    request_id: RequestId,
    created: Option<I>,
) -> Failure<I, E> {
    match comparison {
        Comparison::Differs(differs) => Failure::RequestIdReused { differs, created },
        Comparison::Same | Comparison::UnknownKey => unusable(RecordProblem::KeyRemoved, request_id, created),
    }
}

fn unusable<I, E>(problem: RecordProblem, request_id: RequestId, created: Option<I>) -> Failure<I, E> {
    tracing::error!(%request_id, %problem, "a record of the idempotency store cannot be used: nothing is created for its request id");
    Failure::RecordUnreadable { problem, created }
}

impl<O: Operation> Creation<O> {
    /// Brings the creation to its end, and gives every caller the outcome.
    pub(super) fn run_to_end(self, guard: Guard<SharedOutcome<O>>) -> BoxFuture<'static, ()> {
        let running = self.engine.metrics.begin();
        // In a box from the start: it is large, and would be copied into one.
        Box::pin(async move {
            let _running = running;
            let outcome = self.run().await.map_err(Arc::new);
            let Self { operation, shared, generated, permit, .. } = self;
            // It is free before any caller gets the outcome.
            drop(permit);
            if !shared.is_awaited() {
                let outcome = outcome.as_ref().map_err(|failure| Error {
                    request_id: shared.lease.request_id,
                    generated,
                    sandbox: operation.sandbox().clone(),
                    failure: Arc::clone(failure),
                });
                operation.report_abandoned(outcome, shared.progress.may_exist());
            }
            guard.finish(outcome);
        })
    }

    async fn run(&self) -> Result<O::Created, FailureOf<O>> {
        let Engine { store, metrics, .. } = &*self.engine;
        self.shared.progress.enter(Stage::Claim);
        let claim = store.claim(self.lease(), self.now_ms()).await;
        metrics.claimed(claim_outcome::<O::Outcome>(&claim));
        let mut replayed = false;
        let next = match claim {
            Ok(Claim::Fresh { remembers_for }) if self.permit.is_none() => {
                return Err(self.shed(false, self.may_be_forgotten(remembers_for)).await);
            }
            Ok(Claim::Unknown { .. }) if self.permit.is_none() => return Err(self.shed(true, true).await),
            Ok(Claim::Fresh { remembers_for }) => self.fresh(remembers_for),
            Ok(Claim::Unknown { first_sent, last_sent, context }) => {
                replayed = true;
                let sent = self.sent(first_sent, last_sent).await?;
                let lost = Lost { sent, context };
                Next::Search { lost, failure: Failure::UNKNOWN, is_recorded: true }
            }
            Ok(Claim::Done { outcome, done }) => {
                let outcome = self.parse(&outcome)?;
                if self.permit.is_none() && !self.operation.is_complete(&outcome) {
                    metrics.shed.inc();
                    return Err(Failure::TooMany { may_exist: true });
                }
                let finished = Finished::now(outcome, true);
                let age = sent::age(done, self.now_ms()).unwrap_or_default();
                let recorded_at = finished.recorded_at.checked_sub(age).unwrap_or(finished.recorded_at);
                return O::complete(self, Finished { recorded_at, ..finished }).await;
            }
            Ok(Claim::OtherContent { stored, outcome }) => {
                let outcome = outcome.map(|outcome| self.parse(&outcome)).transpose()?;
                let created = outcome.map(|outcome| outcome.id().clone());
                return Err(reused(self.lease().fingerprints.compare(&stored), self.request_id(), created));
            }
            Ok(Claim::InProgress { retry_after }) => return Err(Failure::RequestInProgress { retry_after }),
            Err(error) => return Err(self.step_lost(error)),
        };
        let end = End { metrics, outcome: CreationOutcome::Unknown };
        let mut steps = pin!(self.steps(next));
        // The lease is renewed in the same task, so that short work costs no other. If it is lost the work
        // continues; its next step finds that out from the store.
        let finished = tokio::select! {
            biased;
            finished = &mut steps => finished,
            () = keep_renewing(&**store, self.lease()) => steps.await,
        };
        end.is(finished.as_ref().map_or_else(Failure::outcome, |_| CreationOutcome::Created));
        let finished = finished?;
        O::complete(self, Finished { replayed: finished.replayed || replayed, ..finished }).await
    }

    async fn steps(&self, mut next: Next<O>) -> Result<Finished<O::Outcome>, FailureOf<O>> {
        loop {
            next = match next {
                Next::Send(earlier) => self.send(earlier).await,
                // In boxes, so that only those creations take the memory for it that need it.
                Next::SearchFirst { remembers_for } => Box::pin(self.search_first(remembers_for)).await,
                Next::Search { lost, failure, is_recorded } => {
                    self.shared.searching(Err(Arc::new(failure)));
                    Box::pin(self.search(lost, is_recorded)).await
                }
                Next::End(end) => return end,
            };
        }
    }

    /// What follows where the store has no record.
    fn fresh(&self, remembers_for: Duration) -> Next<O> {
        let Engine { recovery, retention, .. } = &*self.engine;
        if !self.may_be_forgotten(remembers_for) {
            return Next::Send(None);
        }
        // Whether an earlier attempt stays possible after the search: it may have no reference, and what was
        // sent a short time before the store began to remember need not be visible yet.
        let (next, stays_possible) = match recovery.search_first {
            SearchFirst::Auto => {
                let is_visible = recovery.references && remembers_for > retention.settled_after();
                (Next::SearchFirst { remembers_for }, !is_visible)
            }
            SearchFirst::Strict => {
                let sent = Sent::ago(retention.request_id, remembers_for);
                let lost = Lost { sent, context: String::new() };
                (Next::Search { lost, failure: Failure::UNKNOWN, is_recorded: false }, false)
            }
            SearchFirst::Never => (Next::Send(None), true),
        };
        if stays_possible {
            self.shared.progress.set_may_be_forgotten();
        }
        next
    }

    /// Whether the store may have forgotten an earlier attempt. A generated id has none.
    fn may_be_forgotten(&self, remembers_for: Duration) -> bool {
        !self.generated && remembers_for < self.engine.retention.request_id
    }

    /// When a lost creation was sent. If the clocks disagree its last sending counts from now.
    async fn sent(&self, first: Moment, last: Moment) -> Result<Sent, FailureOf<O>> {
        let disagree = match Sent::recorded(first, last, self.now_ms()) {
            Ok(sent) => return Ok(sent),
            Err(disagree) => disagree,
        };
        tracing::warn!(?disagree, request_id = %self.request_id(), "the clocks of the store and of the replicas disagree");
        self.engine.metrics.clocks_disagree.inc();
        self.step(Step::DistrustClocks).await.map_err(|error| self.step_lost(error))?;
        Ok(Sent::distrusted(first, self.now_ms()))
    }

    /// The reference that the resource gets, where references are in use.
    pub(super) fn reference(&self) -> Option<RequestId> {
        self.engine.recovery.references.then(|| self.request_id())
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.shared.lease
    }

    pub(crate) fn request_id(&self) -> RequestId {
        self.lease().request_id
    }

    pub(super) fn now_ms(&self) -> i64 {
        (self.engine.wall_clock)()
    }

    /// Reads a recorded outcome.
    pub(super) fn parse(&self, outcome: &str) -> Result<O::Outcome, FailureOf<O>> {
        O::Outcome::parse(outcome).ok_or_else(|| {
            self.store_failed(StoreError::Unreadable("its outcome is damaged, or of another version".into()))
        })
    }

    /// Without a permit, returns the record to the next claim.
    async fn shed(&self, was_sent: bool, may_exist: bool) -> FailureOf<O> {
        self.engine.metrics.shed.inc();
        self.give_back(was_sent).await;
        Failure::TooMany { may_exist }
    }

    /// Ends the hold on the record, which is removed unless something `was_sent` for it. False if another
    /// process has taken it over.
    pub(super) async fn give_back(&self, was_sent: bool) -> bool {
        let given_back = self.step(if was_sent { Step::Abandon } else { Step::Release }).await;
        let is_held = !matches!(given_back, Err(StoreError::LeaseLost));
        self.note(given_back, "give the record back");
        is_held
    }

    pub(super) async fn step(&self, step: Step) -> Result<(), StoreError> {
        self.engine.store.step(self.lease(), step, "", self.now_ms()).await
    }

    /// After a step whose reply was lost, abandons the record: the step may still arrive, and must find nothing
    /// that a later step has changed.
    pub(super) fn step_lost(&self, error: StoreError) -> FailureOf<O> {
        self.abandon_in_background();
        self.store_failed(error)
    }

    pub(super) fn abandon_in_background(&self) {
        let (store, shared) = (Arc::clone(&self.engine.store), Arc::clone(&self.shared));
        let now_ms = self.now_ms();
        self.engine.background.spawn(async move {
            // If this fails the lease ends by itself.
            let _ = store.step(&shared.lease, Step::Abandon, "", now_ms).await;
        });
    }

    pub(super) fn store_failed(&self, error: StoreError) -> FailureOf<O> {
        match error {
            StoreError::Unreadable(problem) => {
                unusable(RecordProblem::Damaged(problem), self.request_id(), None)
            }
            error @ (StoreError::Unavailable(_) | StoreError::Full | StoreError::LeaseLost) => {
                Failure::Store { error, may_exist: self.shared.progress.may_exist() }
            }
        }
    }

    /// Logs a failed step that only records what is certain already: the lease ends by itself, and the
    /// record is not wrong.
    pub(crate) fn note(&self, step: Result<(), StoreError>, what: &str) {
        if let Err(error) = step {
            let request_id = self.request_id();
            tracing::debug!(error = error_chain(&error), %request_id, what, "a step of the store failed");
        }
    }

    /// Waits, if there is something to wait for and the process does not end.
    pub(crate) async fn pauses(&self, pause: Option<Duration>) -> bool {
        let Some(pause) = pause else { return false };
        self.shared.progress.enter(Stage::BackOff);
        timeout(pause, self.engine.background.draining()).await.is_err()
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

fn claim_outcome<T: Outcome>(claim: &Result<Claim, StoreError>) -> ClaimOutcome {
    match claim {
        Ok(Claim::Done { outcome, .. } | Claim::OtherContent { outcome: Some(outcome), .. })
            if T::parse(outcome).is_none() =>
        {
            ClaimOutcome::Unreadable
        }
        Ok(Claim::Fresh { .. }) => ClaimOutcome::Fresh,
        Ok(Claim::Unknown { .. }) => ClaimOutcome::Resumed,
        Ok(Claim::Done { .. }) => ClaimOutcome::Replayed,
        Ok(Claim::OtherContent { .. }) => ClaimOutcome::Reused,
        Ok(Claim::InProgress { .. }) => ClaimOutcome::InProgress,
        Err(StoreError::Full) => ClaimOutcome::Full,
        Err(StoreError::Unreadable(_)) => ClaimOutcome::Unreadable,
        Err(StoreError::Unavailable(_) | StoreError::LeaseLost) => ClaimOutcome::Unavailable,
    }
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
