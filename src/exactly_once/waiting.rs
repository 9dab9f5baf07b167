//! Waits for a store that is away, as Redis is while its pod moves, so that callers do not have to.
//!
//! A call waits before it takes a step, when nothing was sent. A step whose reply was lost is repeated only if its
//! repetition does the same, and does no harm where the first one arrives late:
//!
//! - A claim, with another number (`HolderClaim`). The first one takes nothing back from it, and no step follows the first
//!   one. If it arrives after the end of the creation it is a hold that expires.
//! - An outcome that is recorded: it is true under every lease.
//!
//! All other steps are taken once, whatever becomes of them. One task checks the store for all calls that wait.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::TryFutureExt as _;
use tokio::{
    sync::{Mutex, Notify, Semaphore, SemaphorePermit},
    time::{Instant, sleep, sleep_until},
};

use super::{
    engine::Engine,
    store::{Claim, Lease, Outage, PATIENCE, Step, StoreError},
};
use crate::{
    backoff::Backoff,
    metrics::{CreationMetrics, Running, StoreWaitOutcome},
};

/// The pause between two checks of a store that is away. The first call goes on after this and the time of a check, at the
/// latest, when it is back.
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
    /// For holds that are to be ended.
    endings: Semaphore,
    /// How many wait for the next check.
    waiters: AtomicUsize,
    /// Whether a task checks the store for them.
    is_checking: AtomicBool,
    /// Notifies all of them of a check.
    checked: Notify,
    /// Held by the call that goes on next.
    turn: Mutex<()>,
}

impl Waiting {
    /// Lets at most so many calls wait at once.
    pub fn new(most: usize) -> Self {
        let semaphore = || Semaphore::new(most.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Shared {
            permits: semaphore(),
            endings: semaphore(),
            waiters: AtomicUsize::default(),
            is_checking: AtomicBool::default(),
            checked: Notify::default(),
            turn: Mutex::default(),
        }))
    }
}

/// One that waits for the next check.
struct Waiter<'a>(&'a Shared);

impl<'a> Waiter<'a> {
    fn of(shared: &'a Shared) -> Self {
        shared.waiters.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
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

    /// Claims a record, likewise. Returns with it when the claim that succeeded began.
    ///
    /// # Errors
    /// Those of the last claim.
    pub(crate) async fn claim(
        &self,
        lease: &Lease,
        deadline: Instant,
        is_over: impl Future<Output = ()>,
    ) -> Result<(Instant, Claim), StoreError> {
        let claim = || {
            lease.holder.begin_claim();
            let began = Instant::now();
            self.store.claim(lease, (self.wall_clock)()).map_ok(move |claim| (began, claim))
        };
        self.repeat(deadline, is_over, claim).await
    }

    /// Waits likewise before a step that is taken once. Returns whether the store is back; `None` if it was not away.
    pub(super) async fn await_store(
        &self,
        deadline: Instant,
        is_over: impl Future<Output = ()>,
    ) -> Option<bool> {
        let mut wait = Wait::before(self, deadline);
        let is_back = wait.until_back(pin!(is_over)).await;
        let has_waited = wait.slot.is_some();
        wait.end(is_back);
        (has_waited || !is_back).then_some(is_back)
    }

    /// Ends a hold in the background by this step, after one whose reply was lost. If the store is away for longer than
    /// the lease lasts, or too many are to be ended, that ends by itself.
    pub(super) fn end_hold(&self, lease: Lease, step: Step) {
        let engine = self.clone();
        self.background.spawn(async move {
            let Ok(_permit) = engine.waiting.0.endings.try_acquire() else { return };
            tokio::select! {
                biased;
                () = engine.background.draining() => {}
                () = sleep(engine.retention.lease) => {}
                _ = engine.until_available() => {}
            }
            let _ = engine.store.step(&lease, step, "", (engine.wall_clock)()).await;
        });
    }

    /// Resolves when the store can be used, and it is this call's turn to go on; false if it will not be soon.
    async fn until_back(&self, failures: u32) -> bool {
        if failures > 0 {
            sleep(PAUSES.pause(failures)).await;
        }
        while self.store.outage().is_some() {
            if !self.until_available().await {
                return false;
            }
            let _turn = self.waiting.0.turn.lock().await;
            sleep(SPACING).await;
        }
        true
    }

    /// Resolves when the store can be used; false if it will not be soon.
    async fn until_available(&self) -> bool {
        let shared = &*self.waiting.0;
        let _waiter = Waiter::of(shared);
        loop {
            let mut checked = pin!(shared.checked.notified());
            // From here on no check is missed.
            checked.as_mut().enable();
            match self.store.outage() {
                None => return true,
                Some(outage) if !outage.may_pass() => return false,
                Some(_) => {}
            }
            if !shared.is_checking.swap(true, Ordering::SeqCst) {
                let engine = self.clone();
                self.background.spawn(async move { engine.keep_checking().await });
            }
            checked.await;
        }
    }

    /// Checks the store for as long as it is away and anyone waits for it.
    async fn keep_checking(&self) {
        let shared = &*self.waiting.0;
        loop {
            tokio::select! {
                biased;
                () = self.background.draining() => break,
                () = self.store.check() => {}
            }
            shared.checked.notify_waiters();
            if self.store.outage().is_none() || shared.waiters.load(Ordering::SeqCst) == 0 {
                break;
            }
            sleep(RECHECK).await;
        }
        shared.is_checking.store(false, Ordering::SeqCst);
        // One that has begun to wait meanwhile starts the next task.
        shared.checked.notify_waiters();
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
