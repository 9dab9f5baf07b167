//! One creation, from its claim to its outcome: the state machine that keeps the promise.
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
//! The searches: see `search` and `search_first`. A connection that was created is tested where the caller
//! asked for that: see `verification`.
//!
//! What is sent is sent once. It is resent only where it is certain that nothing was created: by the reply,
//! because nothing left this process, or because the settle window has passed and there is nothing.
//!
//! One gap remains: a process that is frozen between the step to `sending` and the first byte, for
//! longer than it takes others to search for the creation and to prove that there is none, sends all the
//! same when it continues. The first byte has to leave within `SEND_WITHIN` by a clock that runs on in a
//! frozen process, so that the freeze would have to begin after that check, in the few instructions before
//! the write.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    adobe::FlowService,
    domain::{ConnectionId, CreatedConnection, Identity, NewConnection, RequestId, Stage, Verification},
    error::error_chain,
    exactly_once::{
        Comparison,
        store::{Claim, Lease, Moment, Origin, Outcome, StoreError, Verdict},
    },
    metrics::{ClaimOutcome, CreationMetrics, CreationOutcome},
};
use crate::{
    exactly_once::{
        known::Known,
        lease_keeper::keep_lease,
        search_first::{Listings, SearchFirst},
        sent::{self, Sent},
        shared::SharedCreation,
        unheard,
    },
    service::{
        Created, Failure, Parts, Permit,
        connections::{create::RecordProblem, verification::Finished},
    },
};

/// One creation.
pub(crate) struct Creation<F> {
    pub(crate) parts: Arc<Parts<F>>,
    pub(crate) lease: Lease,
    pub(crate) connection: NewConnection,
    pub(crate) verification: Verification,
    pub(crate) generated: bool,
    pub(crate) shared: Arc<SharedCreation>,
    /// The permit to wait for the Flow Service. Without one it gets no further than to what the store knows.
    pub(crate) permit: Option<Permit>,
    pub(crate) listings: Arc<Listings>,
    pub(crate) known: Known,
    /// Who began it, where callers are checked.
    pub(crate) caller: Option<Identity>,
    pub(crate) unheard: unheard::Listener,
    pub(crate) metrics: Arc<CreationMetrics>,
}

/// Where a creation goes next.
pub(crate) enum Next {
    /// Nothing was created so far.
    Send(Earlier),
    /// Nothing was created as far as the store knows, which may have forgotten it.
    SearchFirst {
        remembers_for: Duration,
    },
    /// The connection may exist. Once it is proven that it does not, it is sent as `absent` says.
    Search {
        sent: Sent,
        lost: Arc<Failure>,
        absent: Earlier,
    },
    End(Result<Finished, Failure>),
}

/// What the record says was sent before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Earlier {
    Nothing,
    /// It was lost. It is sent again only once it is proven that it created nothing.
    Lost(Sent),
}

impl<F: FlowService> Creation<F> {
    /// Brings the creation to its end.
    pub(crate) async fn run(&self) -> Result<Created, Failure> {
        self.shared.progress.enter(Stage::Claim);
        let claim = self.parts.store.claim(&self.lease, self.now_ms()).await;
        self.metrics.claimed(outcome(&claim));
        let mut replayed = false;
        let next = match claim {
            Ok(claim) if self.permit.is_none() && self.needs_permit(&claim) => {
                return Err(self.shed(&claim).await);
            }
            Ok(Claim::Fresh { remembers_for }) => {
                if self.stays_possible(remembers_for) {
                    self.shared.progress.set_may_be_forgotten();
                }
                self.fresh(remembers_for)
            }
            Ok(Claim::Unknown { first_sent, last_sent }) => {
                replayed = true;
                match self.sent(first_sent, last_sent).await {
                    Ok(sent) => Next::Search { sent, lost: lost(), absent: Earlier::Lost(sent) },
                    Err(failure) => return Err(failure),
                }
            }
            Ok(Claim::Done { outcome, done }) => {
                let age = sent::age(done, self.now_ms()).unwrap_or_default();
                return self.verified(Finished::replayed(outcome, age)).await;
            }
            Ok(Claim::OtherContent { stored, connection }) => {
                return Err(match self.lease.fingerprints.compare(&stored) {
                    Comparison::Differs(differs) => Failure::RequestIdReused { differs, connection },
                    Comparison::Same | Comparison::UnknownKey => {
                        self.unusable(RecordProblem::KeyRemoved, connection)
                    }
                });
            }
            Ok(Claim::InProgress { retry_after }) => return Err(Failure::RequestInProgress { retry_after }),
            Err(error) => {
                self.abandon_in_background();
                return Err(self.store_failed(error));
            }
        };
        let end = End { metrics: &self.metrics, outcome: CreationOutcome::Unknown };
        let finished = pin!(self.steps(next));
        match keep_lease(&*self.parts.store, &self.lease, finished).await {
            Ok(finished) => {
                end.is(CreationOutcome::Created);
                self.verified(Finished { replayed: finished.replayed || replayed, ..finished }).await
            }
            Err(failure) => {
                end.is(failure.outcome());
                Err(failure)
            }
        }
    }

    async fn steps(&self, mut next: Next) -> Result<Finished, Failure> {
        loop {
            next = match next {
                Next::Send(earlier) => self.send(earlier).await,
                // In boxes, so that only those creations take the memory for it that need it.
                Next::SearchFirst { remembers_for } => Box::pin(self.search_first(remembers_for)).await,
                Next::Search { sent, lost, absent } => Box::pin(self.search(sent, lost, absent)).await,
                Next::End(end) => return end,
            };
        }
    }

    /// What follows where the store has no record.
    fn fresh(&self, remembers_for: Duration) -> Next {
        if !self.may_be_forgotten(remembers_for) {
            return Next::Send(Earlier::Nothing);
        }
        match self.parts.recovery.search_first {
            SearchFirst::Auto => Next::SearchFirst { remembers_for },
            SearchFirst::Strict => {
                let sent = Sent::ago(self.parts.retention.request_id, remembers_for);
                Next::Search { sent, lost: lost(), absent: Earlier::Nothing }
            }
            SearchFirst::Never => Next::Send(Earlier::Nothing),
        }
    }

    /// Whether the store may have forgotten an earlier attempt. A generated id has none.
    fn may_be_forgotten(&self, remembers_for: Duration) -> bool {
        !self.generated && remembers_for < self.parts.retention.request_id
    }

    /// Whether that attempt stays possible after the search that precedes this one: it may have no reference,
    /// and what was sent a short time before the store began to remember need not be visible yet.
    fn stays_possible(&self, remembers_for: Duration) -> bool {
        self.may_be_forgotten(remembers_for)
            && match self.parts.recovery.search_first {
                SearchFirst::Auto => {
                    let parts = &self.parts;
                    !parts.recovery.references || remembers_for <= parts.retention.settled_after()
                }
                SearchFirst::Strict => false,
                SearchFirst::Never => true,
            }
    }

    /// When a lost creation was sent. Where the clocks disagree its last sending counts from now.
    async fn sent(&self, first: Moment, last: Moment) -> Result<Sent, Failure> {
        let disagree = match Sent::recorded(first, last, self.now_ms()) {
            Ok(sent) => return Ok(sent),
            Err(disagree) => disagree,
        };
        tracing::warn!(?disagree, request_id = %self.request_id(), "the clocks of the store and of the replicas disagree");
        self.metrics.clocks_disagree.inc();
        match self.parts.store.distrust_clocks(&self.lease).await {
            Ok(()) => Ok(Sent::distrusted(first, self.now_ms())),
            Err(error) => {
                self.abandon_in_background();
                Err(self.store_failed(error))
            }
        }
    }

    /// A connection that was just created or found, before its test.
    pub(crate) fn created(&self, connection: CreatedConnection, origin: Origin) -> Finished {
        let verdict = match self.verification {
            Verification::Report | Verification::Require => Some(Verdict::Pending),
            Verification::None => None,
        };
        let outcome = Outcome { connection, origin, verdict };
        Finished { replayed: false, ..Finished::replayed(outcome, Duration::ZERO) }
    }

    /// The reference that the connection gets, where references are in use.
    pub(crate) fn reference(&self) -> Option<RequestId> {
        self.parts.recovery.references.then_some(self.lease.request_id)
    }

    pub(crate) fn request_id(&self) -> RequestId {
        self.lease.request_id
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.parts.wall_clock)()
    }

    /// Whether the Flow Service has to be asked before there is an outcome.
    fn needs_permit(&self, claim: &Claim) -> bool {
        match claim {
            Claim::Fresh { .. } | Claim::Unknown { .. } => true,
            Claim::Done { outcome: Outcome { verdict, .. }, .. } => match verdict {
                Some(Verdict::Pending) => true,
                // It is deleted again.
                Some(Verdict::Failed(_)) => self.verification == Verification::Require,
                Some(Verdict::Passed(_) | Verdict::Deleted(_)) | None => false,
            },
            Claim::OtherContent { .. } | Claim::InProgress { .. } => false,
        }
    }

    /// Leaves the record to the next one who claims it.
    async fn shed(&self, claim: &Claim) -> Failure {
        self.metrics.shed.inc();
        match claim {
            Claim::Fresh { remembers_for } => {
                self.give_back(Earlier::Nothing).await;
                Failure::TooMany { may_exist: self.may_be_forgotten(*remembers_for) }
            }
            Claim::Unknown { .. } => {
                self.note(self.parts.store.abandon(&self.lease).await, "gives the record back");
                Failure::TooMany { may_exist: true }
            }
            Claim::Done { .. } | Claim::OtherContent { .. } | Claim::InProgress { .. } => {
                Failure::TooMany { may_exist: true }
            }
        }
    }

    /// Ends the hold on the record: of one that nothing was sent for nothing stays. False where another
    /// process has taken it over.
    pub(crate) async fn give_back(&self, earlier: Earlier) -> bool {
        let given_back = match earlier {
            Earlier::Nothing => self.parts.store.release(&self.lease).await,
            Earlier::Lost(_) => self.parts.store.abandon(&self.lease).await,
        };
        let is_held = !matches!(given_back, Err(StoreError::LeaseLost));
        self.note(given_back, "gives the record back");
        is_held
    }

    /// What has to follow a step whose reply was lost: it may still arrive, and must find nothing that a
    /// later step has changed.
    pub(crate) fn abandon_in_background(&self) {
        let (store, lease) = (Arc::clone(&self.parts.store), self.lease.clone());
        self.parts.background.spawn(async move {
            // Where this fails the lease ends by itself.
            let _ = store.abandon(&lease).await;
        });
    }

    pub(crate) fn store_failed(&self, error: StoreError) -> Failure {
        match error {
            StoreError::Unreadable(problem) => self.unusable(RecordProblem::Damaged(problem), None),
            error @ (StoreError::Unavailable(_) | StoreError::Full | StoreError::LeaseLost) => {
                Failure::Store { error, may_exist: self.shared.progress.may_exist() }
            }
        }
    }

    fn unusable(&self, problem: RecordProblem, connection: Option<ConnectionId>) -> Failure {
        let request_id = self.request_id();
        tracing::error!(%request_id, %problem, "a record of the idempotency store cannot be used: nothing is created for its request id");
        Failure::RecordUnreadable { problem, connection }
    }

    /// A step that only makes the record say what is certain already: where it fails the lease ends by
    /// itself, and the record says no less than the truth.
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
        tokio::select! {
            () = self.parts.background.draining() => false,
            () = sleep(pause) => true,
        }
    }
}

/// What a caller gets that only knows that an earlier creation was lost.
fn lost() -> Arc<Failure> {
    Arc::new(Failure::OutcomeUnknown { problem: None, cause: None })
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
