//! The store, with faults at each step. Only this module, `port` and `replica` know the service's traits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hubspot_connection_service::{
    domain::{ConnectionId, CreatedConnection, RequestId},
    exactly_once::store::{
        CAPACITY, Claim, Keep, LEASE, Lease, MemoryStore, Moment, Origin, Recorded, Retention, Store,
        StoreError, Verdict,
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
                    async move { memory.abandon(&lease).await }
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
        if matches!(claim, Claim::Fresh { .. } | Claim::Unknown { .. }) {
            clock.held.insert(request_id, lease.clone());
        }
        let seen =
            |moment: Moment, then: i64| Moment { store_ago_ms: moment.store_ago_ms + now - then, ..moment };
        match claim {
            Claim::Unknown { first_sent, last_sent } => {
                let (first, last) = clock.sent.get(&request_id).copied().unwrap_or((now, now));
                Claim::Unknown { first_sent: seen(first_sent, first), last_sent: seen(last_sent, last) }
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
            Claim::OtherContent { .. } | Claim::InProgress { .. } => claim,
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
    async fn step<T: Send + 'static>(
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
        self.step("claim", step).await
    }

    /// Not a step: it happens all the time, and no decision depends on its failure.
    async fn renew(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.in_turn(async move { world.backend.memory().renew(&lease).await }).await
    }

    async fn begin_sending(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        let step = async move {
            world.backend.memory().begin_sending(&lease, wall_ms).await?;
            world.backend.sending(lease.request_id);
            Ok(())
        };
        self.step("begin_sending", step).await
    }

    async fn resend(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        let step = async move {
            world.backend.memory().resend(&lease, wall_ms).await?;
            world.backend.sending(lease.request_id);
            Ok(())
        };
        self.step("resend", step).await
    }

    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("not_created", async move { world.backend.memory().not_created(&lease).await }).await
    }

    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("outcome_unknown", async move { world.backend.memory().outcome_unknown(&lease).await })
            .await
    }

    async fn distrust_clocks(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        let step = async move {
            world.backend.memory().distrust_clocks(&lease).await?;
            world.backend.sending(lease.request_id);
            Ok(())
        };
        self.step("distrust_clocks", step).await
    }

    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        origin: Origin,
        keep: Keep,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError> {
        let (world, lease, connection) = (Arc::clone(&self.0.world), lease.clone(), connection.clone());
        let step = async move {
            let recorded = world.backend.memory().done(&lease, &connection, origin, keep, wall_ms).await?;
            if recorded == Recorded::Done {
                world.backend.is_done(lease.request_id);
            }
            Ok(recorded)
        };
        self.step("done", step).await
    }

    async fn verified(
        &self,
        request_id: &RequestId,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError> {
        let world = Arc::clone(&self.0.world);
        let (request_id, connection, verdict) = (*request_id, connection.clone(), verdict.clone());
        let step = async move { world.backend.memory().verified(&request_id, &connection, &verdict).await };
        self.step("verified", step).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("release", async move { world.backend.memory().release(&lease).await }).await
    }

    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("abandon", async move { world.backend.memory().abandon(&lease).await }).await
    }
}
