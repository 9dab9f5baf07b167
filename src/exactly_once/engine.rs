//! The creations of this process, for the calls that wait for them.

use std::{fmt, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use futures_util::FutureExt as _;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Background, FingerprintKeys, Recovery, WallClock,
    background::DetachOnDrop,
    creation::Creation,
    failure::{Error, Failure},
    listing::Listings,
    operation::{ErrorOf, FailureOf, Operation},
    record::{METHOD, reused},
    shared::{SharedCreations, Waiter},
    store::{Holder, Lease, Retention, Store},
    waiting::Waiting,
};
use crate::{
    domain::{CallProgress, Progress, RequestId, UpstreamWait},
    metrics::{ClaimOutcome, CreationMetrics},
    telemetry::spans,
};

/// What every creation needs, whatever it creates.
#[derive(Clone)]
pub struct Engine {
    /// The record of creations.
    pub store: Arc<dyn Store>,
    /// The calls that wait for it.
    pub waiting: Waiting,
    /// What compares retried requests.
    pub fingerprint_keys: FingerprintKeys,
    /// How long things are remembered.
    pub retention: Retention,
    /// How lost creations are recovered.
    pub recovery: Recovery,
    /// The clock whose times other processes can read.
    pub wall_clock: WallClock,
    /// Where the tasks run that outlive a call.
    pub background: Background,
    /// Counts what becomes of creations.
    pub metrics: CreationMetrics,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("retention", &self.retention).finish_non_exhaustive()
    }
}

/// The creations of one kind of resource in this process.
pub(crate) struct Creations<O: Operation> {
    pub(crate) engine: Arc<Engine>,
    in_progress: SharedCreations<SharedOutcome<O>>,
    listings: Arc<Listings<O>>,
    /// The concurrency limit of creations that need more than the store.
    permits: Arc<Semaphore>,
}

/// The outcome of a creation for every caller that waits for it.
pub(super) type SharedOutcome<O> = Result<<O as Operation>::Created, Arc<FailureOf<O>>>;

impl<O: Operation> Creations<O> {
    pub(crate) fn new(engine: Engine, permits: Arc<Semaphore>) -> Self {
        let (in_progress, listings) = (SharedCreations::default(), Arc::default());
        Self { engine: Arc::new(engine), in_progress, listings, permits }
    }

    /// Creates a resource, or returns the one that the same request id has created; and whether this call has
    /// joined another one.
    ///
    /// If the caller leaves, or its deadline is exceeded, this future is dropped. The creation then continues
    /// in the background, and what has been sent is still brought to its outcome.
    ///
    /// # Errors
    /// [`Failure`], with the name of the creation.
    pub(crate) async fn create(
        &self,
        request_id: Option<RequestId>,
        operation: O,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<(O::Created, bool), ErrorOf<O>> {
        let engine = &self.engine;
        let generated = request_id.is_none();
        let request_id = request_id.unwrap_or_else(RequestId::generate);
        spans::note("request_id", request_id.encode(&mut [0; RequestId::LENGTH]));
        let sandbox = operation.sandbox().clone();
        let failed = |failure| {
            let may_be_forgotten = call.creation().is_some_and(Progress::may_be_forgotten);
            Error { request_id, generated, sandbox: sandbox.clone(), may_be_forgotten, failure }
        };

        let content = std::iter::once((METHOD, O::KIND.name())).chain(operation.content());
        let fingerprints = engine.fingerprint_keys.fingerprints(content);
        let lease = Lease { request_id, fingerprints, holder: Holder::generate() };
        let (waiter, guard) = self.in_progress.join(lease, generated, deadline).map_err(|comparison| {
            engine.metrics.claimed(ClaimOutcome::Reused);
            failed(Arc::new(reused(comparison, request_id, None)))
        })?;
        let joined = guard.is_none();
        if joined {
            engine.metrics.claimed(ClaimOutcome::Joined);
        }
        // A caller that joins uses the permit of the one who began.
        let permit = if joined { None } else { Arc::clone(&self.permits).try_acquire_owned().ok() };
        // A given id may have its outcome in the store, a generated one has not.
        if permit.is_none() && generated {
            engine.metrics.shed.inc();
            return Err(failed(Arc::new(Failure::TooMany { may_exist: false })));
        }
        call.follow(&waiter.shared.progress);
        let mut creation = guard.map(|guard| {
            let creation = Creation {
                engine: Arc::clone(engine),
                operation,
                shared: Arc::clone(&guard.shared),
                generated,
                listings: Arc::clone(&self.listings),
                hold: Arc::default(),
                permit,
            };
            engine.background.detach_on_drop(creation.run_to_end(guard))
        });
        let outcome = match &mut creation {
            // The call that began it measures what it does besides waiting.
            None => {
                let _wait = UpstreamWait::begin();
                waiter.outcome().await
            }
            Some(creation) => run_and_wait(creation, waiter).await,
        };
        let created = outcome.unwrap_or_else(|| Err(Arc::new(Failure::Crashed))).map_err(failed)?;
        Ok((created, joined))
    }
}

/// Runs a creation within the call that began it, until there is something for that call to return.
async fn run_and_wait<T: Clone>(creation: &mut DetachOnDrop, waiter: Waiter<T>) -> Option<T> {
    let shared = Arc::clone(&waiter.shared);
    // Dropped before the creation is: when that continues in the background, this caller does not wait.
    let mut outcome = pin!(waiter.outcome());
    let mut was_lost = false;
    poll_fn(|context| {
        let is_over = creation.poll_unpin(context).is_ready();
        // That it is lost becomes known while it is polled, and nowhere else: until then there is nothing
        // to wait for.
        was_lost |= !shared.is_running();
        if is_over || was_lost { outcome.as_mut().poll(context) } else { Poll::Pending }
    })
    .await
}
