//! What undos have deleted under a request id. The id is free once everything is deleted, but Adobe's lists may still
//! show it then. So it is kept in a record of its own, for the process that claims the id next.

use std::future::pending;

use tokio::time::Instant;

use super::{
    engine::Engine,
    store::{Holder, Lease, Recorded, StoreError},
};
use crate::domain::RequestId;

/// The most names that are kept: those of the last undos, as lists do not lag behind for long.
const MOST: usize = 100;
/// How often the record may change while it is written.
const MOST_ATTEMPTS: usize = 5;
/// The record before the first undo.
const NOTHING: &str = "[]";

impl Engine {
    /// What undos have deleted, each as `KIND/ID`.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn undone(
        &self,
        request_id: RequestId,
        deadline: Instant,
    ) -> Result<Vec<String>, StoreError> {
        let lease = self.lease_of_undone(request_id);
        let record = || self.store.record(&lease, Some(NOTHING), (self.wall_clock)());
        match self.repeat(deadline, pending(), record).await? {
            Recorded::Done => Ok(Vec::new()),
            Recorded::Already(text) => parse(&text),
        }
    }

    /// Adds what an undo has deleted, each as `KIND/ID`.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn add_undone(
        &self,
        request_id: RequestId,
        deleted: &[String],
    ) -> Result<(), StoreError> {
        if deleted.is_empty() {
            return Ok(());
        }
        let lease = self.lease_of_undone(request_id);
        let mut recorded = self.store.record(&lease, Some(&text(deleted)), (self.wall_clock)()).await?;
        for _ in 0..MOST_ATTEMPTS {
            let Recorded::Already(before) = recorded else { return Ok(()) };
            let mut names = parse(&before)?;
            names.retain(|name| !deleted.contains(name));
            names.extend(deleted.iter().cloned());
            let oldest = names.len().saturating_sub(MOST);
            recorded = self.store.replace(&lease.request_id, &before, &text(&names[oldest..])).await?;
        }
        Err(StoreError::LeaseLost)
    }

    fn lease_of_undone(&self, request_id: RequestId) -> Lease {
        let name = format!("undone {request_id}");
        Lease {
            request_id: RequestId::of_name(&name),
            fingerprints: self.fingerprint_keys.fingerprints([("method", name.as_str())]),
            holder: Holder::generate(),
        }
    }
}

fn text(names: &[String]) -> String {
    // Strings can always be written.
    serde_json::to_string(names).unwrap_or_else(|_| NOTHING.to_owned())
}

fn parse(text: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Unreadable("the record of an undo is damaged".into()))
}
