//! One creation, from its claim to its outcome: the state machine that keeps the promise, for any operation.
//!
//! ```text
//!            ┌──────── proven: nothing was created ─────────┐
//!            ▼                                              │
//! claim ─► Send ── reply ──► End         Send ── lost ──► Search ── found ──► End
//!   ├──────────── a lost one, according to the store ────────▲
//!   ├─► SearchFirst, where the store may have forgotten it: found ──► End, not found ──► Send
//!   │   (strict: Search)
//!   └─► Undo, where that was begun ──► Send              Send ── refused ──► Undo ──► End
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
    SearchFirst,
    ending::{End, claim_outcome},
    engine::{Engine, SharedOutcome},
    failure::{Error, Failure},
    listing::Listings,
    operation::{FailureOf, Operation},
    record::reused,
    scope::{Hold, Scope, keep_renewing},
    sent::{self, Sent},
    shared::{Guard, SharedCreation},
    store::{Claim, Moment, Step, StoreError},
};
use crate::{
    domain::{RequestId, Stage, UpstreamWait},
    metrics::CreationOutcome,
};

/// One creation.
pub(crate) struct Creation<O: Operation> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) operation: O,
    pub(crate) shared: Arc<SharedCreation<SharedOutcome<O>>>,
    pub(super) generated: bool,
    pub(super) listings: Arc<Listings<O>>,
    pub(super) hold: Arc<Hold>,
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
    /// Nothing was created, and what was prepared is deleted again.
    Undo {
        context: String,
        /// The refusal. `None` where an earlier holder has begun it.
        refused: Option<FailureOf<O>>,
    },
    End(Result<Finished<O::Outcome>, FailureOf<O>>),
}

/// A sending whose reply was lost. The request is resent only once it is proven that it created nothing.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) sent: Sent,
    pub(super) context: String,
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
                    may_be_forgotten: shared.progress.may_be_forgotten(),
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
        let claim = self.claim().await;
        metrics.claimed(claim_outcome::<O>(&claim));
        let replayed;
        let next = match claim {
            Ok(Claim::Fresh { remembers_for }) if self.permit.is_none() => {
                return Err(self.shed(false, self.may_be_forgotten(remembers_for)).await);
            }
            Ok(Claim::Unknown { .. } | Claim::Undoing { .. }) if self.permit.is_none() => {
                return Err(self.shed(true, true).await);
            }
            Ok(held @ (Claim::Fresh { .. } | Claim::Unknown { .. } | Claim::Undoing { .. })) => {
                replayed = !matches!(held, Claim::Fresh { .. });
                self.held(Ok(held)).await
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
                let created = outcome.map(|outcome| self.made(&outcome)).transpose()?.flatten();
                return Err(reused(self.lease().fingerprints.compare(&stored), self.request_id(), created));
            }
            Ok(Claim::InProgress { retry_after }) => return Err(Failure::RequestInProgress { retry_after }),
            Err(error) => return Err(self.step_lost(error)),
        };
        let end = End::begin(metrics);
        let mut steps = pin!(self.steps(next));
        // The lease is renewed in the same task, so that short work costs no other. If it is lost the work
        // continues; its next step finds that out from the store.
        let finished = tokio::select! {
            biased;
            finished = &mut steps => finished,
            never = keep_renewing(&**store, self.lease(), &self.hold, self.engine.retention.lease) => never,
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
                Next::Undo { context, refused } => Box::pin(self.undo(context, refused)).await,
                Next::End(end) => return end,
            };
        }
    }

    /// What follows where the claim of this creation holds the record, or was expected to.
    pub(super) async fn held(&self, claim: Result<Claim, StoreError>) -> Next<O> {
        match claim {
            Ok(Claim::Fresh { remembers_for }) => self.fresh(remembers_for),
            Ok(Claim::Unknown { first_sent, last_sent, context }) => {
                match self.sent(first_sent, last_sent).await {
                    Ok(sent) => {
                        let lost = Lost { sent, context };
                        Next::Search { lost, failure: Failure::UNKNOWN, is_recorded: true }
                    }
                    Err(failure) => Next::End(Err(failure)),
                }
            }
            Ok(Claim::Undoing { context }) => Next::Undo { context, refused: None },
            Ok(Claim::Done { .. } | Claim::OtherContent { .. } | Claim::InProgress { .. }) => {
                Next::End(Err(self.taken_over()))
            }
            Err(error) => self.ended(error),
        }
    }

    /// What follows where the store has no record.
    pub(super) fn fresh(&self, remembers_for: Duration) -> Next<O> {
        let Engine { recovery, retention, .. } = &*self.engine;
        if !self.may_be_forgotten(remembers_for) {
            return Next::Send(None);
        }
        // Whether an earlier attempt stays possible after the search: it may have no reference, and what was
        // sent a short time before the store began to remember need not be visible yet.
        let (next, stays_possible) = match recovery.search_first {
            SearchFirst::Auto => {
                let is_visible = self.is_recognizable() && remembers_for > retention.settled_after();
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

    /// Whether a lost resource is certainly recognized.
    pub(super) fn is_recognizable(&self) -> bool {
        self.engine.recovery.references || O::IS_RECOGNIZED_BY_CONTEXT
    }

    /// What the operation may do until a deadline.
    pub(super) fn scope(&self, deadline: Instant) -> Scope {
        let progress = Arc::clone(&self.shared.progress);
        let (request_id, hold) = (self.request_id(), Arc::clone(&self.hold));
        let (may_be_forgotten, may_be_retry) = (progress.may_be_forgotten(), !self.generated);
        let engine = Arc::clone(&self.engine);
        Scope { engine, request_id, deadline, may_be_forgotten, may_be_retry, progress, hold }
    }

    /// The reference that the resource gets, where references are in use.
    pub(super) fn reference(&self) -> Option<RequestId> {
        self.engine.recovery.references.then(|| self.request_id())
    }

    /// Waits, if there is something to wait for and the process does not end.
    pub(crate) async fn pauses(&self, pause: Option<Duration>) -> bool {
        let Some(pause) = pause else { return false };
        self.shared.progress.enter(Stage::BackOff);
        let _wait = UpstreamWait::begin();
        timeout(pause, self.engine.background.draining()).await.is_err()
    }
}
