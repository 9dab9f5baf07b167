//! The steps of a store as values, for tests that take all of them.

use hubspot_connection_service::{
    domain::{ConnectionId, CreatedConnection, RequestId},
    exactly_once::store::{self, Claim, Lease, Origin, Store, StoreError},
    service::{Outcome, Verdict, record_verdict},
};

use super::{connection, outcome, report};

/// How much of an outcome is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// No record: nobody has the id.
    Forget,
    /// The record, of a creation without verification.
    Remember,
    /// The record, with [`Verdict::Pending`].
    RememberUnverified,
}

/// What recording an outcome comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Done,
    Already(Outcome),
}

/// Every step by its name, and outcomes that are those of connections.
pub(super) trait Steps {
    async fn renew(&self, lease: &Lease) -> Result<(), StoreError>;
    async fn begin_sending(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError>;
    async fn resend(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError>;
    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError>;
    async fn not_sent(&self, lease: &Lease) -> Result<(), StoreError>;
    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError>;
    async fn distrust_clocks(&self, lease: &Lease) -> Result<(), StoreError>;
    async fn undo(&self, lease: &Lease, context: &str) -> Result<(), StoreError>;
    async fn undone(&self, lease: &Lease) -> Result<(), StoreError>;
    async fn withdraw(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError>;
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;
    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError>;
    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        origin: Origin,
        keep: Keep,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError>;
    async fn verified(
        &self,
        request_id: &RequestId,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError>;
}

impl<S: Store + AsDyn + ?Sized> Steps for S {
    async fn renew(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, store::Step::Renew, "", 0).await
    }

    async fn begin_sending(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError> {
        self.step(lease, store::Step::BeginSending, "", wall_ms).await
    }

    async fn resend(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError> {
        self.step(lease, store::Step::Resend, "", wall_ms).await
    }

    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, store::Step::NotCreated, "", 0).await
    }

    async fn not_sent(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, store::Step::NotSent, "", 0).await
    }

    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, store::Step::OutcomeUnknown, "", 0).await
    }

    async fn distrust_clocks(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, store::Step::DistrustClocks, "", 0).await
    }

    async fn undo(&self, lease: &Lease, context: &str) -> Result<(), StoreError> {
        self.step(lease, store::Step::Undo, context, 0).await
    }

    async fn undone(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, store::Step::Undone, "", 0).await
    }

    /// With an outcome that no other step records.
    async fn withdraw(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError> {
        self.step(lease, store::Step::Withdraw, &outcome("c-withdrawn").to_text(), wall_ms).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, store::Step::Release, "", 0).await
    }

    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, store::Step::Abandon, "", 0).await
    }

    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        origin: Origin,
        keep: Keep,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError> {
        let outcome = |verdict| Outcome::new(connection.clone(), origin, verdict).to_text();
        let outcome = match keep {
            Keep::Forget => None,
            Keep::Remember => Some(outcome(None)),
            Keep::RememberUnverified => Some(outcome(Some(Verdict::Pending))),
        };
        Ok(match self.record(lease, outcome.as_deref(), wall_ms).await? {
            store::Recorded::Done => Recorded::Done,
            store::Recorded::Already(text) => Recorded::Already(read(&text)?),
        })
    }

    /// As of a caller that last read that the verification is pending.
    async fn verified(
        &self,
        request_id: &RequestId,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError> {
        let last_read = Outcome { verdict: Some(Verdict::Pending), ..outcome(connection.as_str()) };
        record_verdict(self.as_dyn(), request_id, &last_read, verdict.clone()).await
    }
}

/// Reads an outcome as the service does.
pub(super) fn read(text: &str) -> Result<Outcome, StoreError> {
    Outcome::parse(text).ok_or_else(|| StoreError::Unreadable(format!("{text} is no outcome")))
}

/// Any store, as the service has it.
pub(super) trait AsDyn {
    fn as_dyn(&self) -> &dyn Store;
}

impl<S: Store> AsDyn for S {
    fn as_dyn(&self) -> &dyn Store {
        self
    }
}

impl AsDyn for dyn Store {
    fn as_dyn(&self) -> &dyn Store {
        self
    }
}

/// A step under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Claim,
    Renew,
    BeginSending,
    Resend,
    NotCreated,
    NotSent,
    OutcomeUnknown,
    DistrustClocks,
    Done(&'static str, Origin, Keep),
    Verified(&'static str, Word),
    Undo,
    Undone,
    Withdraw,
    Release,
    Abandon,
}

/// A verdict without its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Pending,
    Passed,
    Failed,
    Deleted,
}

impl Word {
    pub(super) const ALL: [Self; 4] = [Self::Pending, Self::Passed, Self::Failed, Self::Deleted];

    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Pending => Verdict::Pending,
            Self::Passed => Verdict::Passed(report("passed")),
            Self::Failed => Verdict::Failed(report("failed")),
            Self::Deleted => Verdict::Deleted(report("deleted")),
        }
    }
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Ok,
    Lost,
    Unreadable,
    Claim(Claim),
    Recorded(Recorded),
    Verdict(Verdict),
}

impl Step {
    /// Each step once, with arbitrary arguments.
    pub(super) const ALL: [Self; 16] = [
        Self::Claim,
        Self::Renew,
        Self::BeginSending,
        Self::Resend,
        Self::NotCreated,
        Self::NotSent,
        Self::OutcomeUnknown,
        Self::DistrustClocks,
        Self::Done("c-1", Origin::Reply, Keep::RememberUnverified),
        Self::Done("c-1", Origin::Reply, Keep::Forget),
        Self::Verified("c-1", Word::Failed),
        Self::Undo,
        Self::Undone,
        Self::Withdraw,
        Self::Release,
        Self::Abandon,
    ];

    /// The steps after a claim: one attempt that creates nothing, one that is lost, and one after it that is refused
    /// and undone.
    pub(super) const OF_A_LOST_CREATION: [Self; 10] = [
        Self::BeginSending,
        Self::NotCreated,
        Self::BeginSending,
        Self::OutcomeUnknown,
        Self::DistrustClocks,
        Self::Resend,
        Self::NotCreated,
        Self::Undo,
        Self::Undo,
        Self::Undone,
    ];

    /// Takes the step.
    pub(super) async fn take(self, store: &dyn Store, lease: &Lease, wall_ms: i64) -> Reply {
        let ok = |()| Reply::Ok;
        let reply = match self {
            Self::Claim => store.claim(lease, wall_ms).await.map(Reply::Claim),
            Self::Renew => store.renew(lease).await.map(ok),
            Self::BeginSending => {
                store.step(lease, store::Step::BeginSending, "the first", wall_ms).await.map(ok)
            }
            Self::Resend => store.step(lease, store::Step::Resend, "the next", wall_ms).await.map(ok),
            Self::NotCreated => store.not_created(lease).await.map(ok),
            Self::NotSent => store.not_sent(lease).await.map(ok),
            Self::OutcomeUnknown => store.outcome_unknown(lease).await.map(ok),
            Self::DistrustClocks => store.distrust_clocks(lease).await.map(ok),
            Self::Done(id, origin, keep) => {
                store.done(lease, &connection(id), origin, keep, wall_ms).await.map(Reply::Recorded)
            }
            Self::Verified(id, word) => {
                let (id, verdict) = (connection(id).id, word.verdict());
                store.verified(&lease.request_id, &id, &verdict).await.map(Reply::Verdict)
            }
            Self::Undo => store.undo(lease, "what is undone").await.map(ok),
            Self::Undone => store.undone(lease).await.map(ok),
            Self::Withdraw => store.withdraw(lease, wall_ms).await.map(ok),
            Self::Release => store.release(lease).await.map(ok),
            Self::Abandon => store.abandon(lease).await.map(ok),
        };
        match reply {
            Ok(reply) => reply,
            Err(StoreError::LeaseLost) => Reply::Lost,
            Err(StoreError::Unreadable(_)) => Reply::Unreadable,
            Err(error @ (StoreError::Unavailable(_) | StoreError::Full)) => panic!("{self:?}: {error:?}"),
        }
    }
}
