//! Waits for a store that is away, as Redis is while its pod moves, so that callers do not have to.
//!
//! A call waits before it takes a step, when nothing was sent. A step whose reply was lost is repeated only if its
//! repetition does the same, and does no harm where the first one arrives late:
//!
//! - A claim, by the same holder. The repetition finds its own hold. One that arrives while the creation is being sent
//!   makes the record `unknown`, which is only more cautious; one that arrives after the end is a hold that expires.
//! - An outcome that is recorded: it is true under every lease.
//!
//! All other steps are taken once, whatever becomes of them. The calls that wait share one check at a time.

use std::{pin::Pin, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Semaphore, SemaphorePermit},
    time::{Instant, sleep, sleep_until},
};

use super::{
    engine::Engine,
    store::{Lease, Outage, PATIENCE, Step, StoreError},
};
use crate::{
    backoff::Backoff,
    metrics::{CreationMetrics, Running, StoreWaitOutcome},
};

/// The pause between two checks of a store that is away. Calls go on after this and the time of a check, at the latest,
/// when it is back.
const RECHECK: Duration = Duration::from_millis(250);
/// The pause between two calls that go on, so that they do not overrun a server that has just come back.
const SPACING: Duration = Duration::from_millis(4);
/// The pause before a step is repeated.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 0.5);

/// The calls of this process that wait for the store.
#[derive(Clone, Debug)]
pub struct Waiting(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    permits: Semaphore,
    /// Held by the call that checks the store for all.
    checking: Mutex<()>,
}

impl Waiting {
    /// Lets at most so many calls wait at once.
    pub fn new(most: usize) -> Self {
        let permits = Semaphore::new(most.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Shared { permits, checking: Mutex::default() }))
    }
}

impl Engine {
    /// Takes a step that may be repeated. Waits for a store that is away for [`PATIENCE`], but not for more than half of
    /// the time until the deadline: the other half is for what follows. Stops waiting when the wait `is_over`, or the
    /// process drains.
    ///
    /// # Errors
    /// Those of the step, when it was taken last.
    pub(crate) async fn repeat<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        deadline: Instant,
        is_over: impl Future<Output = ()>,
        step: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let mut is_over = pin!(is_over);
        let mut wait = Wait::before(self, deadline);
        loop {
            let goes_on = wait.until_back(is_over.as_mut()).await;
            let result = step().await;
            let is_unavailable = matches!(result, Err(StoreError::Unavailable(_)));
            if goes_on && is_unavailable && self.store.outage().is_none_or(Outage::may_pass) {
                wait.failures += 1;
                continue;
            }
            wait.end(!is_unavailable);
            return result;
        }
    }

    /// Waits likewise before a step that is taken once. Returns whether it had to wait.
    pub(super) async fn await_store(&self, deadline: Instant, is_over: impl Future<Output = ()>) -> bool {
        let mut wait = Wait::before(self, deadline);
        let is_back = wait.until_back(pin!(is_over)).await;
        let has_waited = wait.slot.is_some();
        wait.end(is_back);
        has_waited
    }

    /// Ends a hold in the background by this step, after one whose reply was lost. If the store is away for longer than
    /// the lease lasts, that ends by itself.
    pub(super) fn end_hold(&self, lease: Lease, step: Step) {
        let engine = self.clone();
        self.background.spawn(async move {
            tokio::select! {
                biased;
                () = engine.background.draining() => {}
                () = sleep(engine.retention.lease) => {}
                _ = engine.until_back(0) => {}
            }
            let _ = engine.store.step(&lease, step, "", (engine.wall_clock)()).await;
        });
    }

    /// Resolves when the store can be used; false if it will not be soon.
    async fn until_back(&self, failures: u32) -> bool {
        if failures > 0 {
            sleep(PAUSES.pause(failures)).await;
        }
        while let Some(outage) = self.store.outage() {
            if !outage.may_pass() {
                return false;
            }
            let _checking = self.waiting.0.checking.lock().await;
            // The call before may have found it.
            if self.store.outage().is_some() {
                self.store.check().await;
            }
            sleep(if self.store.outage().is_some() { RECHECK } else { SPACING }).await;
        }
        true
    }
}

/// One call that may have to wait.
struct Wait<'a> {
    engine: &'a Engine,
    give_up: Instant,
    /// How often its step has failed.
    failures: u32,
    /// From when on it waits.
    slot: Option<Slot<'a>>,
}

impl<'a> Wait<'a> {
    fn before(engine: &'a Engine, deadline: Instant) -> Self {
        let now = Instant::now();
        let patience = PATIENCE.min(deadline.saturating_duration_since(now) / 2);
        Self { engine, give_up: now + patience, failures: 0, slot: None }
    }

    /// Waits if the store is known to be away, or the step has failed. False if the call must not wait any longer.
    async fn until_back(&mut self, is_over: Pin<&mut impl Future<Output = ()>>) -> bool {
        let Engine { store, waiting, background, metrics, .. } = self.engine;
        if self.failures == 0 && !store.outage().is_some_and(Outage::may_pass) {
            return true;
        }
        if Instant::now() >= self.give_up {
            return false;
        }
        if self.slot.is_none() {
            let Ok(permit) = waiting.0.permits.try_acquire() else {
                metrics.waited_for_store(StoreWaitOutcome::Rejected);
                return false;
            };
            self.slot = Some(Slot::new(permit, metrics));
        }
        tokio::select! {
            biased;
            () = background.draining() => false,
            () = is_over => false,
            () = sleep_until(self.give_up) => false,
            is_back = self.engine.until_back(self.failures) => is_back,
        }
    }

    fn end(self, is_back: bool) {
        if let Some(mut slot) = self.slot.filter(|_| is_back) {
            slot.outcome = StoreWaitOutcome::Returned;
        }
    }
}

/// A call that waits, and is counted when it does not any more.
struct Slot<'a> {
    _permit: SemaphorePermit<'a>,
    _waiting: Running,
    metrics: &'a CreationMetrics,
    outcome: StoreWaitOutcome,
}

impl<'a> Slot<'a> {
    fn new(permit: SemaphorePermit<'a>, metrics: &'a CreationMetrics) -> Self {
        let outcome = StoreWaitOutcome::GaveUp;
        Self { _permit: permit, _waiting: metrics.wait_for_store(), metrics, outcome }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.metrics.waited_for_store(self.outcome);
    }
}
