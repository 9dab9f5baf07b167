//! Room for what waits for the Flow Service: one for creations, with those whose callers have left, and
//! one for all other calls, so that neither keeps the other out.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for so many at once.
#[derive(Clone, Debug)]
pub struct Bulkhead {
    room: Arc<Semaphore>,
    most: usize,
}

/// A place. Whoever has it may wait for the Flow Service.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Bulkhead {
    /// Room for so many at once.
    pub fn new(most: NonZeroUsize) -> Self {
        let most = most.get().min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(most)), most }
    }

    /// Takes a place, if there is one.
    pub fn enter(&self) -> Option<Place> {
        let permit = Arc::clone(&self.room).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }

    /// How many places there are.
    pub fn most(&self) -> usize {
        self.most
    }
}
