//! The store, with faults at each step. Only this module, `port` and `replica` know the service's traits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hubspot_connection_service::{
    domain::RequestId,
    exactly_once::store::{
        CAPACITY, Claim, LEASE, Lease, MemoryStore, Moment, Recorded, Retention, Step, Store, StoreError,
    },
};
use tokio::{
    sync::Mutex as FairMutex,
    time::{sleep, timeout},
};

use super::{
    faults::{Fault, StepKind},
    world::Process,
};

pub(super) const RETENTION: Retention = Retention {
    request_id: Duration::from_secs(86_400),
    create_timeout: Duration::from_secs(65),
    settle_window: Duration::from_secs(90),
    lease: LEASE,
};

/// The time that a replica waits for the store.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The age of the store's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Longer than ids are remembered.
    Old,
    /// Since the start of the process.
    OfTheProcess,
    /// The store may forget at any time.
    Evicting,
}

/// The state behind the store's port: the same for all replicas.
pub(super) struct Backend {
    memory: Mutex<Arc<MemoryStore>>,
    age: Memory,
    /// A step that holds it blocks all others, which follow in order.
    gate: Arc<FairMutex<()>>,
    clock: Mutex<Clock>,
}

/// The steps of the store's clock. The store in memory has no clock that could step, so that its replies
/// are corrected here.
#[derive(Default)]
struct Clock {
    ahead_ms: i64,
    /// How far the clock was ahead when a creation was first and last sent, or recorded.
    sent: HashMap<RequestId, (i64, i64)>,
    done: HashMap<RequestId, i64>,
    /// The lease holders.
    held: HashMap<RequestId, Lease>,
}

impl Backend {
    pub(super) fn new(age: Memory) -> Self {
        let memory = Mutex::new(Arc::new(empty()));
        Self { memory, age, gate: Arc::default(), clock: Mutex::default() }
    }

    pub(super) fn forget(&self) {
        *self.memory.lock().unwrap() = Arc::new(empty());
    }

    /// Steps the clock. A step forward ends the existing leases; a step back makes them last longer,
    /// which is not modelled, because no decision depends on it.
    pub(super) fn step_clock(&self, seconds: i64) {
        let mut clock = self.clock.lock().unwrap();
        clock.ahead_ms += seconds * 1000;
        if seconds > 0 {
            let memory = self.memory();
            for (_, lease) in clock.held.drain() {
                tokio::spawn({
                    let memory = Arc::clone(&memory);
                    async move { memory.step(&lease, Step::Abandon, "", 0).await }
                });
            }
        }
    }

    fn memory(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.memory.lock().unwrap())
    }

    /// The times of a claim by a clock that has stepped.
    fn claimed(&self, lease: &Lease, claim: Claim) -> Claim {
        let mut clock = self.clock.lock().unwrap();
        let (request_id, now) = (lease.request_id, clock.ahead_ms);
        if matches!(claim, Claim::Fresh { .. } | Claim::Unknown { .. } | Claim::Undoing { .. }) {
            clock.held.insert(request_id, lease.clone());
        }
        let seen =
            |moment: Moment, then: i64| Moment { store_ago_ms: moment.store_ago_ms + now - then, ..moment };
        match claim {
            Claim::Unknown { first_sent, last_sent, context } => {
                let (first, last) = clock.sent.get(&request_id).copied().unwrap_or((now, now));
                let (first_sent, last_sent) = (seen(first_sent, first), seen(last_sent, last));
                Claim::Unknown { first_sent, last_sent, context }
            }
            Claim::Done { outcome, done } => {
                let then = clock.done.get(&request_id).copied().unwrap_or(now);
                Claim::Done { outcome, done: seen(done, then) }
            }
            Claim::Fresh { remembers_for } => {
                clock.sent.remove(&request_id);
                let remembers_for = match self.age {
                    Memory::Old => RETENTION.request_id,
                    Memory::OfTheProcess => remembers_for,
                    Memory::Evicting => Duration::ZERO,
                };
                Claim::Fresh { remembers_for }
            }
            Claim::Undoing { .. } | Claim::OtherContent { .. } | Claim::InProgress { .. } => claim,
        }
    }

    fn sending(&self, request_id: RequestId) {
        let mut clock = self.clock.lock().unwrap();
        let now = clock.ahead_ms;
        clock.sent.entry(request_id).or_insert((now, now)).1 = now;
    }

    fn is_done(&self, request_id: RequestId) {
        let mut clock = self.clock.lock().unwrap();
        let now = clock.ahead_ms;
        clock.done.insert(request_id, now);
    }
}

fn empty() -> MemoryStore {
    MemoryStore::new(RETENTION, CAPACITY)
}

/// The store from the point of view of a replica.
pub(super) struct Records(pub(super) Process);

fn down<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable(Arc::new(std::io::Error::other("down"))))
}

impl Records {
    async fn take<T: Send + 'static>(
        &self,
        name: &'static str,
        step: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Self(process) = self;
        match process.step(StepKind::Store(name)).await {
            Some(Fault::StoreDown) => down(),
            Some(Fault::StoreReplyLost) => {
                let _ = self.in_turn(step).await;
                down()
            }
            Some(Fault::StoreLate(milliseconds)) => {
                tokio::spawn(async move {
                    sleep(Duration::from_millis(milliseconds)).await;
                    let _ = step.await;
                });
                sleep(RESPONSE_TIMEOUT).await;
                down()
            }
            Some(Fault::StoreStalls(milliseconds)) => {
                if let Ok(gate) = Arc::clone(&process.world.backend.gate).try_lock_owned() {
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(milliseconds)).await;
                        drop(gate);
                    });
                }
                self.in_turn(step).await
            }
            Some(Fault::DeathAfter) => {
                let _ = self.in_turn(step).await;
                process.die().await;
                down()
            }
            _ => self.in_turn(step).await,
        }
    }

    /// Takes a step in its turn, whether or not a caller still waits for it.
    async fn in_turn<T: Send + 'static>(
        &self,
        step: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gate = Arc::clone(&self.0.world.backend.gate);
        if gate.try_lock().is_ok() {
            return step.await;
        }
        let task = tokio::spawn(async move {
            let _turn = gate.lock().await;
            step.await
        });
        match timeout(RESPONSE_TIMEOUT, task).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) | Err(_) => down(),
        }
    }
}

#[async_trait::async_trait]
impl Store for Records {
    async fn claim(&self, lease: &Lease, wall_ms: i64) -> Result<Claim, StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        let step = async move {
            let claim = world.backend.memory().claim(&lease, wall_ms).await?;
            Ok(world.backend.claimed(&lease, claim))
        };
        self.take("claim", step).await
    }

    async fn step(&self, lease: &Lease, step: Step, text: &str, wall_ms: i64) -> Result<(), StoreError> {
        let (world, lease, text) = (Arc::clone(&self.0.world), lease.clone(), text.to_owned());
        let taken = async move {
            world.backend.memory().step(&lease, step, &text, wall_ms).await?;
            if matches!(step, Step::BeginSending | Step::Resend | Step::DistrustClocks) {
                world.backend.sending(lease.request_id);
            }
            Ok(())
        };
        // It happens all the time, and where it fails nothing is decided.
        if step == Step::Renew { self.in_turn(taken).await } else { self.take(step.name(), taken).await }
    }

    async fn record(
        &self,
        lease: &Lease,
        outcome: Option<&str>,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        let outcome = outcome.map(str::to_owned);
        let step = async move {
            let recorded = world.backend.memory().record(&lease, outcome.as_deref(), wall_ms).await?;
            if recorded == Recorded::Done {
                world.backend.is_done(lease.request_id);
            }
            Ok(recorded)
        };
        self.take("done", step).await
    }

    async fn replace(
        &self,
        request_id: &RequestId,
        expected: &str,
        outcome: &str,
    ) -> Result<Recorded, StoreError> {
        let (world, request_id) = (Arc::clone(&self.0.world), *request_id);
        let (expected, outcome) = (expected.to_owned(), outcome.to_owned());
        let step = async move { world.backend.memory().replace(&request_id, &expected, &outcome).await };
        self.take("verified", step).await
    }
}
