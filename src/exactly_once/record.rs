//! What a creation does with its record.

use tokio::time::Instant;

use super::{
    Comparison,
    creation::{Creation, Next},
    failure::{Failure, RecordProblem},
    made::{Head, Made},
    operation::{FailureOf, Operation, Outcome as _},
    store::{Claim, Lease, Step, StoreError},
};
use crate::{domain::RequestId, error::error_chain};

/// The field of a content that the engine adds: what is created.
pub(super) const METHOD: &str = "method";

/// What an operation can read of a recorded outcome.
pub(super) enum Recorded<O: Operation> {
    Own(O::Outcome),
    /// The creation was withdrawn.
    Withdrawn,
    /// Another kind of creation has recorded it.
    Other(Option<Made>),
    /// It is damaged, or of another version.
    Unreadable,
}

impl<O: Operation> Recorded<O> {
    pub(super) fn parse(text: &str) -> Self {
        match Head::parse(text) {
            None => Self::Unreadable,
            Some(head) if head.kind != O::KIND => Self::Other(head.made()),
            Some(head) if head.withdrawn => Self::Withdrawn,
            Some(_) => O::Outcome::parse(text).map_or(Self::Unreadable, Self::Own),
        }
    }
}

/// A resource of an operation, as other kinds of creations see it.
pub(super) fn made<O: Operation>(id: &O::Id) -> Made {
    Made { kind: O::KIND, id: id.to_string() }
}

/// The id names another content, or one that cannot be compared.
pub(super) fn reused<I: 'static, E: 'static>(
    comparison: Comparison,
    request_id: RequestId,
    created: Option<Made>,
) -> Failure<I, E> {
    match comparison {
        // Two methods have few fields in common.
        Comparison::Differs(differs) if differs.iter().any(|field| field == METHOD) => {
            Failure::RequestIdReused { differs: vec![METHOD.to_owned()], created }
        }
        Comparison::Differs(differs) => Failure::RequestIdReused { differs, created },
        Comparison::Same | Comparison::UnknownKey => unusable(RecordProblem::KeyRemoved, request_id, created),
    }
}

fn unusable<I: 'static, E: 'static>(
    problem: RecordProblem,
    request_id: RequestId,
    created: Option<Made>,
) -> Failure<I, E> {
    tracing::error!(%request_id, %problem, "a record of the idempotency store cannot be used: nothing is created for its request id");
    Failure::RecordUnreadable { problem, created }
}

impl<O: Operation> Creation<O> {
    pub(super) fn lease(&self) -> &Lease {
        &self.shared.lease
    }

    pub(crate) fn request_id(&self) -> RequestId {
        self.lease().request_id
    }

    pub(super) fn now_ms(&self) -> i64 {
        (self.engine.wall_clock)()
    }

    /// Claims the record. Without a permit for what follows, it does not wait for a store that is away.
    pub(super) async fn claim(&self) -> Result<Claim, StoreError> {
        self.claim_by(if self.permit.is_some() { self.shared.deadline() } else { Instant::now() }).await
    }

    async fn claim_by(&self, deadline: Instant) -> Result<Claim, StoreError> {
        let (began, claim) = self.engine.claim(self.lease(), deadline, self.shared.abandoned()).await?;
        self.hold.claimed(began, self.engine.retention.lease);
        Ok(claim)
    }

    /// Waits for a store that is away, before the step to `sending`, which is taken once. After a wait or a lapse of the
    /// lease it claims the record again, because another process may have taken it over, or another server may have
    /// replaced this one and know less. Returns what follows from that; `None` if it is certain that nothing has changed.
    pub(super) async fn await_store(&self, was_sent: bool) -> Option<Next<O>> {
        let waited = self.engine.await_store(self.shared.deadline(), self.shared.abandoned()).await;
        if waited.is_none() && self.hold.is_unbroken() {
            return None;
        }
        // If the record still names this claim, nobody has taken it over as far as this server knows. It knows everything
        // if it has forgotten nothing since that claim.
        let is_unchanged = self.step(Step::Renew).await.is_ok();
        let claimed_at = self.hold.claimed_at();
        let is_away = waited == Some(false);
        let claim = self.claim_by(if is_away { Instant::now() } else { self.shared.deadline() }).await;
        match claim {
            Ok(Claim::Fresh { remembers_for })
                if is_unchanged
                    && !was_sent
                    && claimed_at.is_some_and(|at| at.elapsed() <= remembers_for) =>
            {
                None
            }
            claim => Some(self.held(claim).await),
        }
    }

    /// Reads a recorded outcome.
    pub(super) fn parse(&self, text: &str) -> Result<O::Outcome, FailureOf<O>> {
        match Recorded::<O>::parse(text) {
            Recorded::Own(outcome) => Ok(outcome),
            Recorded::Withdrawn => Err(Failure::Withdrawn),
            Recorded::Other(_) | Recorded::Unreadable => Err(self.store_failed(StoreError::Unreadable(
                "its outcome is damaged, or of another version".into(),
            ))),
        }
    }

    /// What another content has created with this request id, whatever it is.
    pub(super) fn made(&self, text: &str) -> Result<Option<Made>, FailureOf<O>> {
        match Recorded::<O>::parse(text) {
            Recorded::Other(made) => Ok(made),
            Recorded::Own(_) | Recorded::Withdrawn | Recorded::Unreadable => {
                self.parse(text).map(|outcome| Some(made::<O>(outcome.id())))
            }
        }
    }

    /// Without a permit, returns the record to the next claim.
    pub(super) async fn shed(&self, was_sent: bool, may_exist: bool) -> FailureOf<O> {
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

    /// The same after the step to `sending`: nothing is sent, so that the record is as before.
    pub(super) fn begin_lost(&self, error: StoreError) -> FailureOf<O> {
        self.engine.end_hold(self.lease().clone(), Step::NotSent);
        self.store_failed(error)
    }

    pub(super) fn abandon_in_background(&self) {
        self.engine.end_hold(self.lease().clone(), Step::Abandon);
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
}
