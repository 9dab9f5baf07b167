//! The steps of a store as values, for tests that take all of them.

use hubspot_connection_service::exactly_once::store::{
    Claim, Keep, Lease, Origin, Recorded, Store, StoreError, Verdict,
};

use super::{connection, report};

/// A step under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Claim,
    Renew,
    BeginSending,
    Resend,
    NotCreated,
    OutcomeUnknown,
    DistrustClocks,
    Done(&'static str, Origin, Keep),
    Verified(&'static str, Word),
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
    pub(super) const ALL: [Self; 12] = [
        Self::Claim,
        Self::Renew,
        Self::BeginSending,
        Self::Resend,
        Self::NotCreated,
        Self::OutcomeUnknown,
        Self::DistrustClocks,
        Self::Done("c-1", Origin::Reply, Keep::RememberUnverified),
        Self::Done("c-1", Origin::Reply, Keep::Forget),
        Self::Verified("c-1", Word::Failed),
        Self::Release,
        Self::Abandon,
    ];

    /// The steps after a claim: one attempt that creates nothing, one that is lost, and one after it.
    pub(super) const OF_A_LOST_CREATION: [Self; 7] = [
        Self::BeginSending,
        Self::NotCreated,
        Self::BeginSending,
        Self::OutcomeUnknown,
        Self::DistrustClocks,
        Self::Resend,
        Self::NotCreated,
    ];

    /// Takes the step.
    pub(super) async fn take(self, store: &dyn Store, lease: &Lease, wall_ms: i64) -> Reply {
        let ok = |()| Reply::Ok;
        let reply = match self {
            Self::Claim => store.claim(lease, wall_ms).await.map(Reply::Claim),
            Self::Renew => store.renew(lease).await.map(ok),
            Self::BeginSending => store.begin_sending(lease, wall_ms).await.map(ok),
            Self::Resend => store.resend(lease, wall_ms).await.map(ok),
            Self::NotCreated => store.not_created(lease).await.map(ok),
            Self::OutcomeUnknown => store.outcome_unknown(lease).await.map(ok),
            Self::DistrustClocks => store.distrust_clocks(lease).await.map(ok),
            Self::Done(id, origin, keep) => {
                store.done(lease, &connection(id), origin, keep, wall_ms).await.map(Reply::Recorded)
            }
            Self::Verified(id, word) => {
                let (id, verdict) = (connection(id).id, word.verdict());
                store.verified(&lease.request_id, &id, &verdict).await.map(Reply::Verdict)
            }
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
