//! Concurrency limits for upstream work: one for creations (including abandoned ones), one for everything else, so
//! that neither starves the other.
//!
//! More creations are admitted than may work upstream: the store knows the outcome of one that was made before,
//! and a Flow Service that hangs must not block it. Those that need more than the store take a permit afterwards.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many more creations are admitted than may work upstream: a quarter, and at least so many. They take
/// milliseconds.
const LEAST_SPARE: usize = 16;

/// The limits, with the permits that are left.
#[derive(Debug)]
pub struct Limits {
    calls: Semaphore,
    admitted_creations: Semaphore,
    creations: Arc<Semaphore>,
}

impl Limits {
    /// Limits of so many creations, and as many other calls, that work upstream at once.
    pub fn new(most: NonZeroUsize) -> Self {
        let semaphore = |permits: usize| Semaphore::new(permits.min(Semaphore::MAX_PERMITS));
        let most = most.get();
        Self {
            calls: semaphore(most),
            admitted_creations: semaphore(most.saturating_add((most / 4).max(LEAST_SPARE))),
            creations: Arc::new(semaphore(most)),
        }
    }

    /// Admits a call that creates nothing, if a permit is left.
    pub fn call(&self) -> Option<SemaphorePermit<'_>> {
        self.calls.try_acquire().ok()
    }

    /// Admits a creation, if a permit is left.
    pub fn creation(&self) -> Option<SemaphorePermit<'_>> {
        self.admitted_creations.try_acquire().ok()
    }

    /// The permits of creations that work upstream.
    pub(super) fn upstream_creations(&self) -> Arc<Semaphore> {
        Arc::clone(&self.creations)
    }
}
