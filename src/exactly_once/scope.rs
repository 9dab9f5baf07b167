//! The hold of a creation on its record, and what an operation may do under it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    engine::Engine,
    store::{LEASE, Lease, Step, Store, StoreError},
};
use crate::domain::{Progress, RequestId, Stage};

/// How often a lease is renewed: two renewals in a row may fail before it ends.
const RENEWAL_INTERVAL: Duration = LEASE.checked_div(3).unwrap();

/// Until when a lease certainly lasts.
#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<Lasting>);

#[derive(Debug, Default)]
struct Lasting {
    /// `None` before the first claim, and once the lease is lost.
    until: Option<Instant>,
    /// When the last claim began.
    claimed: Option<Instant>,
    /// Whether it may have ended before a renewal, since the last claim.
    has_lapsed: bool,
}

impl Hold {
    /// Notes a claim that began at this moment.
    pub(super) fn claimed(&self, began: Instant, lease: Duration) {
        *self.lock() = Lasting { until: Some(began + lease), claimed: Some(began), has_lapsed: false };
    }

    /// Notes a renewal that began at this moment.
    fn renewed(&self, began: Instant, lease: Duration) {
        let mut lasting = self.lock();
        lasting.has_lapsed |= !lasting.is_live();
        lasting.until = Some(began + lease);
    }

    fn lost(&self) {
        self.lock().until = None;
    }

    /// By a clock that goes on in a process that is frozen.
    fn is_live(&self) -> bool {
        self.lock().is_live()
    }

    /// Whether it has certainly lasted since the last claim.
    pub(super) fn is_unbroken(&self) -> bool {
        let lasting = self.lock();
        lasting.is_live() && !lasting.has_lapsed
    }

    /// When the last claim began.
    pub(super) fn claimed_at(&self) -> Option<Instant> {
        self.lock().claimed
    }

    fn until(&self) -> Option<Instant> {
        self.lock().until
    }

    fn lock(&self) -> MutexGuard<'_, Lasting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lasting {
    fn is_live(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// Renews a lease of this duration for as long as this is polled: a lease that is lost may be claimed again.
pub(super) async fn keep_renewing(store: &dyn Store, lease: &Lease, hold: &Hold, duration: Duration) -> ! {
    let mut due = interval_at(Instant::now() + RENEWAL_INTERVAL, RENEWAL_INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let (began, claim) = (Instant::now(), lease.holder.claim());
        let was_held = hold.until().is_some();
        match store.step(lease, Step::Renew, "", 0).await {
            // It says nothing about a claim since.
            _ if lease.holder.claim() != claim => {}
            Ok(()) => hold.renewed(began, duration),
            Err(StoreError::LeaseLost) => {
                hold.lost();
                if was_held {
                    tracing::warn!(request_id = %lease.request_id, "lost the lease of a creation");
                }
            }
            Err(error) => tracing::debug!(%error, "could not renew a lease"),
        }
    }
}

/// What an operation may do for one creation, and for how long. It works under a lease, which the engine renews.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(super) engine: Arc<Engine>,
    pub(super) request_id: RequestId,
    pub(super) deadline: Instant,
    pub(super) may_be_forgotten: bool,
    pub(super) may_be_retry: bool,
    pub(super) progress: Arc<Progress>,
    pub(super) hold: Arc<Hold>,
}

impl Scope {
    /// The name of the creation, and the marker of what it makes.
    pub(crate) fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// When to give up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the lease certainly lasts. To be checked right before each request that creates, changes or deletes
    /// something; once it is false nothing more may be sent, and the result no longer matters to the caller.
    pub(crate) fn still_ours(&self) -> bool {
        self.hold.is_live()
    }

    /// Whether the store may have forgotten an earlier attempt of this request id, whose resource may still appear:
    /// no error may claim that nothing was created, and only what this attempt itself has made may be deleted.
    pub(crate) fn may_be_forgotten(&self) -> bool {
        self.may_be_forgotten
    }

    /// Whether an earlier call may have had this request id, so that something that it has prepared may appear in
    /// lists later.
    pub(crate) fn may_be_retry(&self) -> bool {
        self.may_be_retry
    }

    /// What undos have deleted under this request id, each as `KIND/ID`: nothing of it may be used again, even if lists
    /// still show it.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn undone(&self) -> Result<Vec<String>, StoreError> {
        // A longer wait would lose the lease.
        let deadline = self.hold.until().map_or(self.deadline, |until| until.min(self.deadline));
        self.engine.undone(self.request_id, deadline).await
    }

    /// Whether this creation was sent, if only to be refused.
    pub(crate) fn was_sent(&self) -> bool {
        self.progress.sent_before() > 0
    }

    /// Reports how far the creation has come.
    pub(crate) fn enter(&self, stage: Stage) {
        self.progress.enter(stage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_not_renewed_ends() {
        let hold = Hold::default();
        assert!(!hold.is_live());
        hold.claimed(Instant::now(), LEASE);
        tokio::time::advance(LEASE - Duration::from_millis(1)).await;
        assert!(hold.is_live());
        hold.renewed(Instant::now(), LEASE);
        assert!(hold.is_unbroken());
        tokio::time::advance(LEASE).await;
        assert!(!hold.is_live());
        // It may have been another's in between.
        hold.renewed(Instant::now(), LEASE);
        assert!(hold.is_live() && !hold.is_unbroken());
        hold.claimed(Instant::now(), LEASE);
        assert!(hold.is_unbroken());
        hold.lost();
        assert!(!hold.is_live() && !hold.is_unbroken());
    }
}
