//! The connections that are known to be to HubSpot, and those that were created here a short time ago. What
//! a connection is to never changes, so it need not be asked for again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
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
pub(super) struct Known(Arc<Mutex<Connections>>);

/// When the younger generation is full it becomes the older one, and what that held is forgotten.
#[derive(Debug, Default)]
struct Connections {
    younger: HashSet<ConnectionRef>,
    older: HashSet<ConnectionRef>,
    created: HashMap<ConnectionRef, Instant>,
    in_order: VecDeque<ConnectionRef>,
}

impl Known {
    pub(super) fn contains(&self, at: &ConnectionRef) -> bool {
        let connections = self.lock();
        connections.younger.contains(at) || connections.older.contains(at)
    }

    pub(super) fn insert(&self, at: &ConnectionRef) {
        let mut connections = self.lock();
        if connections.younger.len() >= CAPACITY / 2 {
            connections.older = std::mem::take(&mut connections.younger);
        }
        connections.younger.insert(at.clone());
    }

    /// Notes that a connection was created here, or found, and when that was recorded.
    pub(super) fn created(&self, at: &ConnectionRef, recorded_at: Instant) {
        let mut connections = self.lock();
        if connections.created.insert(at.clone(), recorded_at).is_none() {
            connections.in_order.push_back(at.clone());
        }
        while connections.in_order.len() > CAPACITY
            && let Some(first) = connections.in_order.pop_front()
        {
            connections.created.remove(&first);
        }
    }

    /// Notes that it is gone.
    pub(super) fn deleted(&self, at: &ConnectionRef) {
        self.lock().created.remove(at);
    }

    /// What it means that the connection is not found: every connection is visible after so long.
    pub(super) fn not_found(&self, at: &ConnectionRef, visible_after: Duration) -> NotFound {
        match self.lock().created.get(at) {
            Some(created) if created.elapsed() <= visible_after => NotFound::ProvesNothing,
            Some(_) | None => NotFound::ProvesAbsence,
        }
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
        let known = Known::default();
        for number in 0..3 * CAPACITY {
            known.insert(&at(number));
        }
        assert!(known.contains(&at(3 * CAPACITY - 1)) && known.contains(&at(3 * CAPACITY - CAPACITY / 2)));
        assert!(!known.contains(&at(0)));
        assert_eq!((0..3 * CAPACITY).filter(|number| known.contains(&at(*number))).count(), CAPACITY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_just_created_need_not_be_found() {
        let (known, visible_after) = (Known::default(), Duration::from_secs(100));
        known.created(&at(1), Instant::now());
        known.created(&at(2), Instant::now());
        known.deleted(&at(2));
        let not_found = |number| known.not_found(&at(number), visible_after);
        assert_eq!(not_found(1), NotFound::ProvesNothing);
        assert_eq!([2, 3].map(not_found), [NotFound::ProvesAbsence; 2]);
        tokio::time::advance(visible_after + Duration::from_secs(1)).await;
        assert_eq!(not_found(1), NotFound::ProvesAbsence);
        // A replay of what was recorded long ago makes it no younger.
        let long_ago = Instant::now();
        tokio::time::advance(visible_after + Duration::from_secs(1)).await;
        known.created(&at(1), long_ago);
        assert_eq!(not_found(1), NotFound::ProvesAbsence);
    }
}
