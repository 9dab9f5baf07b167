//! Renews a lease for as long as its holder works.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::idempotency::{LEASE, Lease, Store, StoreError};

/// Three renewals may fail before a lease ends.
const INTERVAL: Duration = LEASE.checked_div(3).unwrap();

/// Renews a lease until it is dropped. Where the lease is lost it stops; the next step of the holder
/// finds that out from the store.
#[derive(Debug)]
pub(super) struct LeaseKeeper(
    #[expect(dead_code, reason = "ends the task when dropped")] AbortOnDropHandle<()>,
);

impl LeaseKeeper {
    /// Starts with the first renewal due after an interval.
    pub(super) fn start(store: Arc<dyn Store>, lease: Lease) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut due = interval(INTERVAL);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            due.tick().await;
            loop {
                due.tick().await;
                match store.renew(&lease).await {
                    Ok(()) => {}
                    Err(StoreError::LeaseLost) => {
                        return tracing::warn!(request_id = %lease.key.request_id, "lost the lease of a creation");
                    }
                    Err(error @ (StoreError::Unavailable(_) | StoreError::Full)) => {
                        tracing::debug!(%error, "could not renew a lease");
                    }
                }
            }
        })))
    }
}
