//! The connections that are known to be to HubSpot, and those that were created here a short time ago. The source
//! of a connection never changes, so it need not be read again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::delete::NotFound;
use crate::domain::ConnectionRef;

/// At some 150 bytes each.
const CAPACITY: usize = 10_000;

/// Remembers the latest of them. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentConnections(Arc<Mutex<Connections>>);

#[derive(Debug, Default)]
struct Connections {
    to_hubspot: Latest<()>,
    created: Latest<Instant>,
}

/// When the younger generation is full it becomes the older one, and what that held is forgotten.
#[derive(Debug)]
struct Latest<T> {
    younger: HashMap<ConnectionRef, T>,
    older: HashMap<ConnectionRef, T>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self { younger: HashMap::new(), older: HashMap::new() }
    }
}

impl<T> Latest<T> {
    fn get(&self, at: &ConnectionRef) -> Option<&T> {
        self.younger.get(at).or_else(|| self.older.get(at))
    }

    fn insert(&mut self, at: &ConnectionRef, value: T) {
        if self.younger.len() >= CAPACITY / 2 {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(at.clone(), value);
    }

    fn remove(&mut self, at: &ConnectionRef) {
        self.younger.remove(at);
        self.older.remove(at);
    }
}

impl RecentConnections {
    pub(super) fn contains(&self, at: &ConnectionRef) -> bool {
        self.lock().to_hubspot.get(at).is_some()
    }

    pub(super) fn insert(&self, at: &ConnectionRef) {
        self.lock().to_hubspot.insert(at, ());
    }

    /// Notes that a connection was created here, or found, and when that was recorded.
    pub(super) fn created(&self, at: &ConnectionRef, recorded_at: Instant) {
        self.lock().created.insert(at, recorded_at);
    }

    /// Notes that it is gone.
    pub(super) fn deleted(&self, at: &ConnectionRef) {
        self.lock().created.remove(at);
    }

    /// What it means that the connection is not found: every connection is visible after so long.
    pub(super) fn not_found(&self, at: &ConnectionRef, visible_after: Duration) -> NotFound {
        let connections = self.lock();
        let recorded_at = connections.created.get(at);
        recorded_at.map_or(NotFound::ProvesAbsence, |recorded_at| NotFound::of(*recorded_at, visible_after))
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ConnectionId, SandboxName};

    fn at(number: usize) -> ConnectionRef {
        let sandbox = SandboxName::parse("prod").unwrap();
        ConnectionRef { sandbox, id: ConnectionId::parse(&number.to_string()).unwrap() }
    }

    #[test]
    fn the_latest_are_remembered_and_no_more() {
        let recent = RecentConnections::default();
        for number in 0..3 * CAPACITY {
            recent.insert(&at(number));
        }
        assert!(recent.contains(&at(3 * CAPACITY - 1)) && recent.contains(&at(3 * CAPACITY - CAPACITY / 2)));
        assert!(!recent.contains(&at(0)));
        assert_eq!((0..3 * CAPACITY).filter(|number| recent.contains(&at(*number))).count(), CAPACITY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_just_created_need_not_be_found() {
        let (recent, visible_after) = (RecentConnections::default(), Duration::from_secs(100));
        recent.created(&at(1), Instant::now());
        recent.created(&at(2), Instant::now());
        recent.deleted(&at(2));
        let not_found = |number| recent.not_found(&at(number), visible_after);
        assert_eq!(not_found(1), NotFound::ProvesNothing);
        assert_eq!([2, 3].map(not_found), [NotFound::ProvesAbsence; 2]);
        tokio::time::advance(visible_after + Duration::from_secs(1)).await;
        assert_eq!(not_found(1), NotFound::ProvesAbsence);
        // A replay of what was recorded long ago makes it no younger.
        let long_ago = Instant::now();
        tokio::time::advance(visible_after + Duration::from_secs(1)).await;
        recent.created(&at(1), long_ago);
        assert_eq!(not_found(1), NotFound::ProvesAbsence);
    }
}
