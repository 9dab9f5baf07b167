//! The connections that are known to be to HubSpot. What a connection is to never changes, so it need
//! not be asked again.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::ConnectionRef;

/// At some 150 bytes each.
const CAPACITY: usize = 10_000;

/// Remembers the latest of them.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Generations>);

/// When the younger one is full it becomes the older one, and what that held is forgotten.
#[derive(Debug, Default)]
struct Generations {
    younger: HashSet<ConnectionRef>,
    older: HashSet<ConnectionRef>,
}

impl Known {
    pub(super) fn contains(&self, at: &ConnectionRef) -> bool {
        let generations = self.lock();
        generations.younger.contains(at) || generations.older.contains(at)
    }

    pub(super) fn insert(&self, at: &ConnectionRef) {
        let mut generations = self.lock();
        if generations.younger.len() >= CAPACITY / 2 {
            generations.older = std::mem::take(&mut generations.younger);
        }
        generations.younger.insert(at.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
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
}
