//! Withdraws a creation that nobody will retry: its request id creates nothing any more, and what it has made is
//! deleted.
//!
//! The record is `done` with a *tombstone* before anything is deleted. From then on no creation can begin under the
//! request id, so that the deletions need no lease: what they delete is not used again. A withdrawal that is repeated
//! continues them. Once the record has expired, everything is found by its markers.
//!
//! Without a record it is not known when anything was sent, if it was: the store may have forgotten it, or a preparation
//! may have ended with requests on their way. So the tombstone counts as the last sending: until it is settled the
//! outcome is unknown, and a repetition after that proves by two lists that there is no resource. Before that nothing is
//! deleted but a resource that is found: what it uses may be all that leads to it.

use std::{future::pending, pin::pin, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    Comparison, Engine, Fingerprints,
    failure::{Failure, RecordProblem},
    made::{Head, Kind},
    operation::Outcome,
    record::{METHOD, reused},
    scope::{Hold, keep_renewing},
    search::APART,
    sent::{Sent, least_age},
    store::{Claim, Holder, Lease, Moment, Recorded, Step, StoreError},
    tombstone::Tombstone,
};
use crate::{
    adobe::CallError,
    domain::{RequestId, SandboxName, UpstreamWait},
    error::error_chain,
};

/// How long before its deadline a caller learns that the outcome of the creation is unknown.
const REPORTING: Duration = Duration::from_secs(1);
/// The pause between two lists before the settle window has passed.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the record may change while it is withdrawn.
const MOST_CLAIMS: usize = 5;
/// When to retry after that.
const CHANGED_RETRY: Duration = Duration::from_millis(200);

/// The withdrawal of one kind of creation.
pub(crate) trait Withdrawal: Send + Sync {
    /// Identifies the resource.
    type Id: Send + Sync + 'static;
    /// The outcome of its creation.
    type Outcome: Outcome<Id = Self::Id>;
    /// What a context says.
    type Context: Send + Sync;
    /// What the caller gets.
    type Deleted;
    /// Why it can fail in a way of its own.
    type Error: Send + Sync + 'static;

    /// What the creation makes.
    const KIND: Kind;

    /// Where it makes that: a creation in another sandbox is not withdrawn.
    fn sandbox(&self) -> &SandboxName;

    /// Reads a context; `None` where it is damaged, or of another version. That is not an empty one: what it names
    /// would stay for ever.
    fn read(context: &str) -> Option<Self::Context>;

    /// Whether a sending with this context has created the resource: by one complete list, as
    /// [`super::operation::Operation::list`] reads it. An item that could be it counts as an error.
    ///
    /// # Errors
    /// The list proves nothing.
    fn exists(
        &self,
        request_id: RequestId,
        context: &str,
        deadline: Instant,
    ) -> impl Future<Output = Result<bool, CallError>> + Send;

    /// Deletes the resource: the one that is `known`, and what the markers show. Unless it `is_settled`, a resource that
    /// is not found may be one that is not visible yet.
    ///
    /// Like [`Withdrawal::delete_rest`] it may find any part of it done, and run concurrently with itself.
    ///
    /// # Errors
    /// It has to be repeated.
    fn delete_resource(
        &self,
        request_id: RequestId,
        known: &KnownOf<Self>,
        is_settled: bool,
        deadline: Instant,
    ) -> impl Future<Output = Result<Deletion, Self::Error>> + Send;

    /// Deletes everything else that the creation has made and that holds no data, likewise. The resource is gone.
    ///
    /// # Errors
    /// It has to be repeated.
    fn delete_rest(
        &self,
        request_id: RequestId,
        known: &KnownOf<Self>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Deleted, Self::Error>> + Send;
}

type FailureOf<W> = Failure<<W as Withdrawal>::Id, <W as Withdrawal>::Error>;
pub(super) type KnownOf<W> = Known<<W as Withdrawal>::Context, <W as Withdrawal>::Outcome>;

/// What the record shows of a creation that is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known<C, T> {
    /// Nothing: all that there is, is found by its markers.
    Nothing,
    /// The context of its sending, or of its undo.
    Context(C),
    /// Its outcome.
    Outcome(T),
}

/// What has become of a resource that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// It was found, or known, and is gone.
    Gone,
    /// None was found, by one complete list.
    NoneFound,
    /// It is not known to be gone.
    Unknown,
}

/// A creation whose record is a tombstone.
struct Closed<W: Withdrawal> {
    tombstone: Tombstone,
    known: KnownOf<W>,
    /// Whether everything that was sent for it is certainly visible.
    is_settled: bool,
    /// Whether two lists have just shown that it made no resource.
    is_absent: bool,
}

/// Withdraws a creation. If this future is dropped, a retry continues where it was.
///
/// # Errors
/// [`Failure`]. Where the creation may still be executed it is [`Failure::OutcomeUnknown`]: to be retried.
pub(crate) async fn withdraw<W: Withdrawal>(
    engine: &Engine,
    request_id: RequestId,
    withdrawal: &W,
    deadline: Instant,
) -> Result<W::Deleted, FailureOf<W>> {
    let content = [(METHOD, W::KIND.name()), ("sandbox_name", withdrawal.sandbox().as_str())];
    let own = engine.fingerprint_keys.fingerprints(content);
    let lease = Lease { request_id, fingerprints: own.clone(), holder: Holder::generate() };
    let this = Withdrawing { engine, withdrawal, lease, own, hold: Hold::default(), deadline };
    let closed = Box::pin(this.close()).await?;
    if !closed.tombstone.resource_gone {
        closed.delete_resource(request_id, withdrawal, deadline).await?;
        // What it used is deleted next, and a repetition could not find the resource by that any more.
        let gone = closed.tombstone.with_resource_gone();
        let replaced = engine.store.replace(&request_id, &closed.tombstone.text(), &gone.text()).await;
        replaced.map_err(|error| Failure::Store { error, may_exist: true })?;
    }
    withdrawal.delete_rest(request_id, &closed.known, deadline).await.map_err(Failure::Operation)
}

impl<W: Withdrawal> Closed<W> {
    /// Deletes the resource, and returns once it is proven that there is none.
    ///
    /// # Errors
    /// One may be there, or may still appear: [`Failure::OutcomeUnknown`]. Nothing else is deleted before: it may be
    /// all that leads to the resource.
    async fn delete_resource(
        &self,
        request_id: RequestId,
        withdrawal: &W,
        deadline: Instant,
    ) -> Result<(), FailureOf<W>> {
        let delete = async || {
            let deletion =
                withdrawal.delete_resource(request_id, &self.known, self.is_settled, deadline).await;
            deletion.map_err(Failure::Operation)
        };
        match delete().await? {
            Deletion::Unknown => Err(Failure::UNKNOWN),
            // A record has one sending at most. Without one there may be others.
            Deletion::Gone if self.is_settled || !matches!(self.known, Known::Nothing) => Ok(()),
            Deletion::NoneFound if self.is_absent => Ok(()),
            Deletion::NoneFound if self.is_settled && Instant::now() + APART + REPORTING < deadline => {
                UpstreamWait::pause(APART).await;
                match delete().await? {
                    Deletion::Gone | Deletion::NoneFound => Ok(()),
                    Deletion::Unknown => Err(Failure::UNKNOWN),
                }
            }
            Deletion::Gone | Deletion::NoneFound => Err(Failure::UNKNOWN),
        }
    }
}

struct Withdrawing<'a, W: Withdrawal> {
    engine: &'a Engine,
    withdrawal: &'a W,
    lease: Lease,
    /// The part of the content that is known.
    own: Fingerprints,
    hold: Hold,
    deadline: Instant,
}

impl<W: Withdrawal> Withdrawing<'_, W> {
    /// Leaves a tombstone, once it is certain that no resource of a recorded sending can arrive any more.
    async fn close(mut self) -> Result<Closed<W>, FailureOf<W>> {
        for _ in 0..MOST_CLAIMS {
            // When the caller leaves this is dropped.
            let claim =
                self.engine.claim(&self.lease, self.deadline, pending()).await.map(|(_, claim)| claim);
            let (known, context, [is_settled, is_absent]) = match claim
                .map_err(|error| self.store_failed(error))?
            {
                Claim::Fresh { .. } => (Known::Nothing, None, [false; 2]),
                Claim::Undoing { context } => (self.known(&context).await?, Some(context), [false; 2]),
                Claim::Unknown { first_sent, last_sent, context } => {
                    let known = self.known(&context).await?;
                    let proof = self.settle(first_sent, last_sent, &context).await?;
                    (known, Some(context), proof)
                }
                Claim::Done { outcome, done } => match self.replace(outcome, done).await? {
                    Some(closed) => return Ok(closed),
                    None => continue,
                },
                Claim::OtherContent { stored, outcome } => {
                    self.compare(&stored, outcome.as_deref())?;
                    // From here on it is claimed with its own content.
                    self.lease.fingerprints = Fingerprints { current: stored, previous: None };
                    continue;
                }
                Claim::InProgress { retry_after } => return Err(Failure::RequestInProgress { retry_after }),
            };
            let tombstone = Tombstone::of(W::KIND, context, None);
            let text = tombstone.text();
            match self.engine.store.step(&self.lease, Step::Withdraw, &text, self.now_ms()).await {
                Ok(()) => return Ok(Closed { tombstone, known, is_settled, is_absent }),
                // It may have its outcome by now.
                Err(StoreError::LeaseLost) => {}
                Err(error) => return Err(self.store_failed(error)),
            }
        }
        Err(Failure::RequestInProgress { retry_after: CHANGED_RETRY })
    }

    /// What a context says. If it cannot be read, the record stays as it is.
    async fn known(&self, context: &str) -> Result<KnownOf<W>, FailureOf<W>> {
        if let Some(context) = W::read(context) {
            return Ok(Known::Context(context));
        }
        // If this fails the lease ends by itself.
        let _ = self.engine.store.step(&self.lease, Step::Abandon, "", self.now_ms()).await;
        let problem = "its context is damaged, or of another version".into();
        Err(self.store_failed(StoreError::Unreadable(problem)))
    }

    /// Only the method and the sandbox of the creation are known.
    fn compare(&self, stored: &super::Fingerprint, outcome: Option<&str>) -> Result<(), FailureOf<W>> {
        let differs = match self.own.compare(stored) {
            Comparison::Differs(mut differs) => {
                differs.retain(|field| field == METHOD || field == "sandbox_name");
                Comparison::Differs(differs)
            }
            comparison @ (Comparison::Same | Comparison::UnknownKey) => comparison,
        };
        if differs == Comparison::Differs(Vec::new()) {
            return Ok(());
        }
        let created = outcome.and_then(Head::parse).and_then(Head::made);
        Err(reused(differs, self.lease.request_id, created))
    }

    /// Replaces the outcome of a creation by a tombstone. `None` where it has changed meanwhile.
    async fn replace(&self, outcome: String, done: Moment) -> Result<Option<Closed<W>>, FailureOf<W>> {
        let is_settled = least_age(done, self.now_ms()) > self.engine.retention.settled_after();
        let is_withdrawn = Head::parse(&outcome).is_some_and(|head| head.withdrawn);
        let read = if is_withdrawn {
            Tombstone::parse(&outcome).and_then(|tombstone| Some((tombstone.known::<W>()?, tombstone)))
        } else {
            W::Outcome::parse(&outcome).map(|known| {
                let tombstone = Tombstone::of(W::KIND, None, Some(known.to_text()));
                (Known::Outcome(known), tombstone)
            })
        };
        let (known, tombstone) = read.ok_or_else(|| {
            self.store_failed(StoreError::Unreadable("its outcome is damaged, or of another version".into()))
        })?;
        let closed = Closed { tombstone, known, is_settled, is_absent: false };
        if is_withdrawn {
            return Ok(Some(closed));
        }
        let text = closed.tombstone.text();
        match self.engine.store.replace(&self.lease.request_id, &outcome, &text).await {
            Ok(Recorded::Done) => Ok(Some(closed)),
            Ok(Recorded::Already(_)) => Ok(None),
            Err(error) => Err(self.store_failed(error)),
        }
    }

    /// Waits until the resource of a lost sending is found, or it is proven that there is none. The lease is renewed
    /// meanwhile. Returns whether everything of it is certainly visible, and whether there is none.
    async fn settle(&self, first: Moment, last: Moment, context: &str) -> Result<[bool; 2], FailureOf<W>> {
        let Engine { store, retention, .. } = self.engine;
        let sent = match Sent::recorded(first, last, self.now_ms()) {
            Ok(sent) => sent,
            Err(disagree) => {
                tracing::warn!(?disagree, request_id = %self.lease.request_id, "the clocks of the store and of the replicas disagree");
                self.engine.metrics.clocks_disagree.inc();
                let step = store.step(&self.lease, Step::DistrustClocks, "", self.now_ms()).await;
                step.map_err(|error| self.store_failed(error))?;
                Sent::distrusted(first, self.now_ms())
            }
        };
        let mut proof = pin!(self.proof(sent, context));
        let proof = tokio::select! {
            biased;
            proof = &mut proof => proof,
            () = keep_renewing(&**store, &self.lease, &self.hold, retention.lease) => {
                return Err(Failure::RequestInProgress { retry_after: CHANGED_RETRY });
            }
        };
        if let Some(is_absent) = proof {
            return Ok([sent.last_ago(Instant::now()) > retention.settled_after(), is_absent]);
        }
        // If this fails the lease ends by itself.
        let _ = store.step(&self.lease, Step::Abandon, "", self.now_ms()).await;
        Err(Failure::UNKNOWN)
    }

    /// Whether it is proven that the sending has created nothing; false if it is found. `None` at the deadline.
    async fn proof(&self, sent: Sent, context: &str) -> Option<bool> {
        let settled_after = self.engine.retention.settled_after();
        let end = self.deadline.checked_sub(REPORTING).unwrap_or(self.deadline);
        let mut absent_since: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let is_settled = sent.last_ago(began) > settled_after;
            let exists = tokio::select! {
                biased;
                () = self.engine.background.draining() => return None,
                () = sleep_until(end) => return None,
                exists = self.withdrawal.exists(self.lease.request_id, context, end) => exists,
            };
            match exists {
                Ok(true) => return Some(false),
                Ok(false) if is_settled => match absent_since {
                    Some(since) if began.duration_since(since) >= APART => return Some(true),
                    Some(_) => {}
                    None => absent_since = Some(began),
                },
                Ok(false) => {}
                Err(error) => {
                    absent_since = None;
                    let (error, request_id) = (error_chain(&error), self.lease.request_id);
                    tracing::debug!(error, %request_id, "a search for a creation to withdraw was inconclusive");
                }
            }
            let pause = absent_since.map_or(PAUSE, |since| APART.saturating_sub(since.elapsed()));
            let _wait = UpstreamWait::begin();
            tokio::select! {
                () = self.engine.background.draining() => return None,
                () = sleep_until(end.min(Instant::now() + pause)) => {}
            }
        }
    }

    fn now_ms(&self) -> i64 {
        (self.engine.wall_clock)()
    }

    /// After a step whose reply was lost only the end of the lease may follow.
    fn store_failed(&self, error: StoreError) -> FailureOf<W> {
        if let StoreError::Unreadable(problem) = error {
            let problem = RecordProblem::Damaged(problem);
            return Failure::RecordUnreadable { problem, created: None };
        }
        self.engine.end_hold(self.lease.clone(), Step::Abandon);
        Failure::Store { error, may_exist: true }
    }
}
