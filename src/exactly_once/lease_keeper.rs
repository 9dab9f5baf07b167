//! Renews a lease for as long as its holder works.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::exactly_once::store::{LEASE, Lease, Store, StoreError};

/// Two renewals in a row may fail before a lease ends.
const INTERVAL: Duration = LEASE.checked_div(3).unwrap();

/// Does the work, and renews the lease until it is done: in the same task, so that a short work costs no
/// other. Where the lease is lost the work goes on; its next step finds that out from the store.
pub(crate) async fn keep_lease<T>(
    store: &dyn Store,
    lease: &Lease,
    mut work: Pin<&mut (impl Future<Output = T> + Send)>,
) -> T {
    tokio::select! {
        biased;
        done = &mut work => done,
        () = renew(store, lease) => work.await,
    }
}

/// Renews the lease until it is lost. The first renewal is due after an interval.
async fn renew(store: &dyn Store, lease: &Lease) {
    let mut due = interval_at(Instant::now() + INTERVAL, INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        match store.renew(lease).await {
            Ok(()) => {}
            Err(StoreError::LeaseLost) => {
                return tracing::warn!(request_id = %lease.request_id, "lost the lease of a creation");
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::Full | StoreError::Unreadable(_))) => {
                tracing::debug!(%error, "could not renew a lease");
            }
        }
    }
}
