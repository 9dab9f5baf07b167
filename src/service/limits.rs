//! Concurrency limits for upstream work: one for creations (including those whose callers have left), one
//! for everything else, so that neither starves the other.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits for so many at once.
#[derive(Clone, Debug)]
pub struct Bulkhead {
    permits: Arc<Semaphore>,
    most: usize,
}

/// The permit to wait for the Flow Service.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Bulkhead {
    /// Permits for so many at once.
    pub fn new(most: NonZeroUsize) -> Self {
        let most = most.get().min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(most)), most }
    }

    /// Takes a permit, if there is one.
    pub fn enter(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(Permit { _permit: permit })
    }

    /// How many permits there are.
    pub fn most(&self) -> usize {
        self.most
    }
}
