//! Creations in progress in this process: calls with the same request id share one.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use super::{Comparison, store::Lease};
use crate::domain::{Progress, RequestId};

/// How long a call waits during the search for a lost resource. It is found within seconds, or not before
/// the settle window ends; the caller learns more by calling again.
const PATIENCE: Duration = Duration::from_secs(10);

/// One creation in progress, whose outcome is a `T`.
#[derive(Debug)]
pub(crate) struct SharedCreation<T> {
    pub(crate) progress: Arc<Progress>,
    /// Its record, and the content that joining calls have to repeat.
    pub(crate) lease: Lease,
    deadlines: Mutex<Deadlines>,
    /// Notified when the last caller that waited has left.
    left: Notify,
    state: watch::Sender<State<T>>,
}

/// The deadlines of the callers.
#[derive(Debug)]
struct Deadlines {
    /// Of those that wait.
    waiting: Vec<Instant>,
    /// The deadline of the caller that was the last one to wait.
    last: Instant,
    /// How many callers have waited or still do.
    callers: usize,
}

#[derive(Clone, Debug)]
enum State<T> {
    Running,
    /// The reply was lost, and the resource is being searched for since then. `lost` is the outcome for a caller
    /// that does not wait any longer.
    Searching {
        since: Instant,
        lost: T,
    },
    /// `None` where the creation ended without an outcome.
    Finished(Option<T>),
}

impl<T> SharedCreation<T> {
    /// The deadline of the caller that waits longest, or that waited last.
    pub(crate) fn deadline(&self) -> Instant {
        let deadlines = self.deadlines();
        deadlines.waiting.iter().max().copied().unwrap_or(deadlines.last)
    }

    /// Whether any caller waits for the outcome.
    pub(crate) fn is_awaited(&self) -> bool {
        // The lock orders this with the end of waiting: a caller that does not wait reads what was written before.
        !self.deadlines().waiting.is_empty()
    }

    /// Resolves when no caller waits for the outcome.
    pub(crate) async fn abandoned(&self) {
        while self.is_awaited() {
            self.left.notified().await;
        }
    }

    /// Whether more than one call has asked for it. All but the first named its request id.
    pub(crate) fn is_joined(&self) -> bool {
        self.deadlines().callers > 1
    }

    /// Notes that the reply was lost and the resource is being searched for.
    pub(crate) fn searching(&self, lost: T) {
        self.state.send_replace(State::Searching { since: Instant::now(), lost });
    }

    /// Notes that the search has ended.
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

    fn deadlines(&self) -> MutexGuard<'_, Deadlines> {
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits: as long as it exists, the creation is awaited.
pub(crate) struct Waiter<T> {
    pub(crate) shared: Arc<SharedCreation<T>>,
    deadline: Instant,
}

impl<T: Clone> Waiter<T> {
    fn new(shared: &Arc<SharedCreation<T>>, deadline: Instant) -> Self {
        let mut deadlines = shared.deadlines();
        deadlines.waiting.push(deadline);
        deadlines.callers += 1;
        drop(deadlines);
        Self { shared: Arc::clone(shared), deadline }
    }

    /// Waits for the outcome, or until waiting for a lost resource is pointless. `None` where the creation ended
    /// without an outcome.
    pub(crate) async fn outcome(self) -> Option<T> {
        let mut state = self.shared.state.subscribe();
        let began = Instant::now();
        loop {
            let give_up = match &*state.borrow_and_update() {
                State::Finished(outcome) => return outcome.clone(),
                State::Running => None,
                State::Searching { since, lost } => Some((*since.max(&began) + PATIENCE, lost.clone())),
            };
            let changed = match give_up {
                None => state.changed().await,
                Some((at, lost)) => tokio::select! {
                    // An outcome that exists is returned, even if the time is over.
                    biased;
                    changed = state.changed() => changed,
                    () = sleep_until(at) => return Some(lost),
                },
            };
            changed.ok()?;
        }
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        let mut deadlines = self.shared.deadlines();
        if let Some(place) = deadlines.waiting.iter().position(|deadline| *deadline == self.deadline) {
            deadlines.waiting.swap_remove(place);
        }
        deadlines.last = self.deadline;
        if deadlines.waiting.is_empty() {
            // One creation waits for this at most.
            self.shared.left.notify_one();
        }
    }
}

/// The creations in progress.
#[derive(Debug)]
pub(crate) struct SharedCreations<T>(Arc<InProgress<T>>);

type InProgress<T> = Mutex<HashMap<RequestId, Arc<SharedCreation<T>>>>;

impl<T: Clone> SharedCreations<T> {
    /// Joins the creation in progress under this request id, or begins one, which the caller has to run if
    /// it gets the guard.
    ///
    /// # Errors
    /// The creation in progress has other content.
    pub(crate) fn join(
        &self,
        lease: Lease,
        is_new_id: bool,
        deadline: Instant,
    ) -> Result<(Waiter<T>, Option<Guard<T>>), Comparison> {
        match lock(&self.0).entry(lease.request_id) {
            Entry::Occupied(entry) => {
                let shared = entry.get();
                match lease.fingerprints.compare_any(&shared.lease.fingerprints) {
                    Comparison::Same => Ok((Waiter::new(shared, deadline), None)),
                    differs @ (Comparison::Differs(_) | Comparison::UnknownKey) => Err(differs),
                }
            }
            Entry::Vacant(entry) => {
                let progress = Arc::new(Progress::new(lease.request_id, !is_new_id));
                let deadlines = Mutex::new(Deadlines { waiting: Vec::new(), last: deadline, callers: 0 });
                let state = watch::Sender::new(State::Running);
                let left = Notify::new();
                let shared = Arc::new(SharedCreation { progress, lease, deadlines, left, state });
                entry.insert(Arc::clone(&shared));
                let waiter = Waiter::new(&shared, deadline);
                Ok((waiter, Some(Guard { creations: Arc::clone(&self.0), shared })))
            }
        }
    }
}

impl<T> Default for SharedCreations<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

fn lock<T>(creations: &InProgress<T>) -> MutexGuard<'_, HashMap<RequestId, Arc<SharedCreation<T>>>> {
    creations.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finishes a creation, even if the task that runs it panics or is ended.
pub(crate) struct Guard<T> {
    creations: Arc<InProgress<T>>,
    pub(crate) shared: Arc<SharedCreation<T>>,
}

impl<T> Guard<T> {
    /// Gives every waiting caller the outcome.
    pub(crate) fn finish(self, outcome: T) {
        self.shared.state.send_replace(State::Finished(Some(outcome)));
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        lock(&self.creations).remove(&self.shared.lease.request_id);
        self.shared.state.send_if_modified(|state| {
            let crashed = !matches!(state, State::Finished(_));
            if crashed {
                *state = State::Finished(None);
            }
            crashed
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::exactly_once::{FingerprintKeys, store::Holder};

    type Outcome = Result<u8, &'static str>;

    fn lease(request_id: RequestId, keys: &[u8]) -> Lease {
        let previous = keys.get(1).map(|key| [*key; 32]);
        let keys = FingerprintKeys::new(&[keys[0]; 32], previous.as_ref().map(<[u8; 32]>::as_slice));
        Lease { request_id, fingerprints: keys.fingerprints([("name", "n")]), holder: Holder::generate() }
    }

    fn begin(creations: &SharedCreations<Outcome>, lease: Lease) -> (Waiter<Outcome>, Guard<Outcome>) {
        let (waiter, guard) = creations.join(lease, true, Instant::now() + PATIENCE).unwrap();
        (waiter, guard.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_that_exists_is_returned_although_the_patience_is_over() {
        // Not by chance.
        for _ in 0..20 {
            let (waiter, guard) = begin(&SharedCreations::default(), lease(RequestId::generate(), &[1]));
            guard.shared.searching(Err("lost"));
            let mut outcome = std::pin::pin!(waiter.outcome());
            assert!(futures_util::poll!(&mut outcome).is_pending());
            advance(2 * PATIENCE).await;
            guard.finish(Ok(1));
            assert_eq!(outcome.await, Some(Ok(1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_joins_while_the_keys_of_the_fingerprints_rotate() {
        let (creations, id) = (SharedCreations::default(), RequestId::generate());
        let deadline = Instant::now() + PATIENCE;
        let (_waiter, _guard) = begin(&creations, lease(id, &[1]));
        for keys in [&[1, 2][..], &[2, 1]] {
            assert!(creations.join(lease(id, keys), false, deadline).unwrap().1.is_none(), "{keys:?}");
        }
        let removed = creations.join(lease(id, &[2]), false, deadline).map(drop).unwrap_err();
        assert_eq!(removed, Comparison::UnknownKey);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_is_that_of_the_callers_who_still_wait() {
        let (creations, id, now) = (SharedCreations::default(), RequestId::generate(), Instant::now());
        let (first, guard) = begin(&creations, lease(id, &[1]));
        let shared = &guard.shared;
        let (patient, _) = creations.join(lease(id, &[1]), false, now + 9 * PATIENCE).unwrap();
        assert_eq!(shared.deadline(), now + 9 * PATIENCE);
        drop(patient);
        assert_eq!(shared.deadline(), now + PATIENCE);
        drop(first);
        assert_eq!((shared.deadline(), shared.is_awaited()), (now + PATIENCE, false));
    }

    #[tokio::test]
    async fn a_creation_that_ends_without_an_outcome_has_crashed() {
        let (waiter, guard) = begin(&SharedCreations::default(), lease(RequestId::generate(), &[1]));
        drop(guard);
        assert_eq!(waiter.outcome().await, None);
    }
}
