//! Creations in progress in this process: calls with the same request id share one.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{Ordering, fence},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::service::{Created, Failure, connections::create::RecordProblem};
use crate::{
    domain::{Progress, RequestId},
    exactly_once::{Comparison, Fingerprints, store::Lease},
};

/// How long a call waits during the search for a lost connection. It is found within seconds, or not before
/// the settle window ends; the caller learns more by calling again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a creation ends, for every caller that waits for it.
pub(crate) type Outcome = Result<Created, Arc<Failure>>;

/// One creation in progress.
#[derive(Debug)]
pub(crate) struct SharedCreation {
    pub(crate) progress: Arc<Progress>,
    fingerprints: Fingerprints,
    /// That of the caller who waits longest.
    deadline: Mutex<Instant>,
    state: watch::Sender<State>,
}

#[derive(Clone, Debug)]
enum State {
    Running,
    /// The reply was lost, and the connection is being searched for since then.
    Searching {
        since: Instant,
        lost: Arc<Failure>,
    },
    Finished(Outcome),
}

impl SharedCreation {
    /// The deadline of the caller who waits longest.
    pub(crate) fn deadline(&self) -> Instant {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_awaited_until(&self, deadline: Instant) {
        let mut latest = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = (*latest).max(deadline);
    }

    /// Whether any caller waits for the outcome.
    pub(crate) fn is_awaited(&self) -> bool {
        // Must not be reordered; pairs with the fences in `Progress`.
        fence(Ordering::SeqCst);
        self.state.receiver_count() > 0
    }

    /// Notes that the reply was lost and the connection is being searched for.
    pub(crate) fn searching(&self, lost: Arc<Failure>) {
        self.state.send_replace(State::Searching { since: Instant::now(), lost });
    }

    /// Notes that no search is running any more.
    pub(crate) fn running(&self) {
        self.state.send_if_modified(|state| {
            let was_searching = !matches!(state, State::Running);
            *state = State::Running;
            was_searching
        });
    }

    /// Whether no search is running.
    pub(crate) fn is_running(&self) -> bool {
        matches!(*self.state.borrow(), State::Running)
    }
}

/// A caller that waits: as long as it exists, the creation is awaited.
pub(crate) struct Waiter {
    state: watch::Receiver<State>,
    /// Whether the creation was in progress before.
    pub(crate) joined: bool,
}

impl Waiter {
    /// Waits for the outcome, or until it is not worth waiting for a lost connection any more.
    pub(crate) async fn outcome(mut self) -> Outcome {
        let began = Instant::now();
        loop {
            let give_up = match &*self.state.borrow_and_update() {
                State::Finished(outcome) => return outcome.clone(),
                State::Running => None,
                State::Searching { since, lost } => Some((*since.max(&began) + PATIENCE, Arc::clone(lost))),
            };
            let changed = match give_up {
                None => self.state.changed().await,
                Some((at, lost)) => tokio::select! {
                    // An outcome that exists is returned, also where the time is over.
                    biased;
                    changed = self.state.changed() => changed,
                    () = sleep_until(at) => return Err(lost),
                },
            };
            // The guard finishes the creation before it is gone.
            changed.map_err(|_| Arc::new(Failure::Crashed))?;
        }
    }
}

/// The creations in progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedCreations {
    in_progress: Arc<Mutex<HashMap<RequestId, Arc<SharedCreation>>>>,
}

impl SharedCreations {
    /// Joins the creation in progress under this request id, or begins one, which the caller has to run if
    /// it gets the guard.
    ///
    /// # Errors
    /// Where the creation in progress has other content.
    pub(crate) fn join(
        &self,
        lease: &Lease,
        is_new_id: bool,
        deadline: Instant,
    ) -> Result<(Waiter, Arc<SharedCreation>, Option<Guard>), Failure> {
        let Lease { request_id, fingerprints, .. } = *lease;
        match self.lock().entry(request_id) {
            Entry::Occupied(entry) => {
                let shared = Arc::clone(entry.get());
                match fingerprints.compare_any(&shared.fingerprints) {
                    Comparison::Same => {}
                    Comparison::Differs(differs) => {
                        return Err(Failure::RequestIdReused { differs, connection: None });
                    }
                    Comparison::UnknownKey => {
                        let problem = RecordProblem::KeyRemoved;
                        return Err(Failure::RecordUnreadable { problem, connection: None });
                    }
                }
                shared.is_awaited_until(deadline);
                let waiter = Waiter { state: shared.state.subscribe(), joined: true };
                Ok((waiter, shared, None))
            }
            Entry::Vacant(entry) => {
                let (state, receiver) = watch::channel(State::Running);
                let progress = Arc::new(Progress::new(request_id, !is_new_id));
                let deadline = Mutex::new(deadline);
                let shared = Arc::new(SharedCreation { progress, fingerprints, deadline, state });
                entry.insert(Arc::clone(&shared));
                let guard = Guard { creations: self.clone(), request_id, shared: Arc::clone(&shared) };
                Ok((Waiter { state: receiver, joined: false }, shared, Some(guard)))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Arc<SharedCreation>>> {
        self.in_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finishes a creation, also where the task that runs it panics or is ended.
#[derive(Debug)]
pub(crate) struct Guard {
    creations: SharedCreations,
    request_id: RequestId,
    shared: Arc<SharedCreation>,
}

impl Guard {
    /// Gives every waiting caller the outcome.
    pub(crate) fn finish(self, outcome: Outcome) {
        self.shared.state.send_replace(State::Finished(outcome));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.creations.lock().remove(&self.request_id);
        self.shared.state.send_if_modified(|state| {
            let crashed = !matches!(state, State::Finished(_));
            if crashed {
                *state = State::Finished(Err(Arc::new(Failure::Crashed)));
            }
            crashed
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::{
        domain::{ConnectionId, CreatedConnection, Etag},
        exactly_once::{Fingerprint, store::Holder},
    };

    fn lease(request_id: RequestId, keys: &[u8]) -> Lease {
        let of = |key| Fingerprint::parse(&format!("{:08x}:{}", key, "00".repeat(56))).unwrap();
        let fingerprints = Fingerprints { current: of(keys[0]), previous: keys.get(1).map(|key| of(*key)) };
        Lease { request_id, fingerprints, holder: Holder::generate() }
    }

    fn join(creations: &SharedCreations) -> (Waiter, Arc<SharedCreation>, Guard) {
        let deadline = Instant::now() + PATIENCE;
        let lease = lease(RequestId::generate(), &[1]);
        let (waiter, shared, guard) = creations.join(&lease, true, deadline).unwrap();
        (waiter, shared, guard.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_that_exists_is_returned_although_the_patience_is_over() {
        // Not by chance.
        for _ in 0..20 {
            let (waiter, shared, guard) = join(&SharedCreations::default());
            let mut outcome = std::pin::pin!(waiter.outcome());
            shared.searching(Arc::new(Failure::Crashed));
            assert!(futures_util::poll!(&mut outcome).is_pending());
            advance(2 * PATIENCE).await;
            let connection = CreatedConnection {
                id: ConnectionId::parse("139f6a5f-a78b-4744-9f6a-5fa78bd74431").unwrap(),
                etag: Etag::parse("\"e\"").unwrap(),
            };
            let request_id = RequestId::generate();
            guard.finish(Ok(Created { request_id, connection, replayed: false, test: None }));
            assert!(outcome.await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_joins_while_the_keys_of_the_fingerprints_rotate() {
        let (creations, id) = (SharedCreations::default(), RequestId::generate());
        let deadline = Instant::now() + PATIENCE;
        let (_waiter, _, _guard) = creations.join(&lease(id, &[1]), false, deadline).unwrap();
        for keys in [&[1, 2][..], &[2, 1]] {
            assert!(creations.join(&lease(id, keys), false, deadline).unwrap().0.joined, "{keys:?}");
        }
        let removed = creations.join(&lease(id, &[2]), false, deadline).map(drop).unwrap_err();
        assert!(matches!(removed, Failure::RecordUnreadable { .. }), "{removed:?}");
    }
}
