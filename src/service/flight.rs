//! Creations under way in this process: calls with the same request id share one.

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

use super::{Failure, create_hubspot_connection::Landing};
use crate::{
    domain::Progress,
    idempotency::{Fingerprint, Key},
};

/// How long a call waits while a lost connection is being looked for. A loss is found out within
/// seconds or not before the settle window ends; the caller learns more by calling again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a creation comes to, for everyone who waits for it.
pub(super) type Outcome = Result<Landing, Arc<Failure>>;

/// One creation under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) progress: Arc<Progress>,
    fingerprint: Fingerprint,
    /// That of the caller who waits longest.
    deadline: Mutex<Instant>,
    state: watch::Sender<State>,
}

#[derive(Clone, Debug)]
enum State {
    /// It is on its way.
    Flying,
    /// Its answer was lost, and the connection is being looked for since then.
    Looking { since: Instant, lost: Arc<Failure> },
    /// It is over.
    Landed(Outcome),
}

impl Flight {
    /// The deadline of the caller who waits longest.
    pub(super) fn deadline(&self) -> Instant {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_awaited_until(&self, deadline: Instant) {
        let mut latest = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = (*latest).max(deadline);
    }

    /// Whether anybody waits for the outcome.
    pub(super) fn is_awaited(&self) -> bool {
        // In one order with what the progress says: see there.
        fence(Ordering::SeqCst);
        self.state.receiver_count() > 0
    }

    /// Notes that the answer was lost and the connection is being looked for.
    pub(super) fn looking(&self, lost: Arc<Failure>) {
        self.state.send_replace(State::Looking { since: Instant::now(), lost });
    }

    /// Notes that the creation is being sent, again.
    pub(super) fn flying(&self) {
        self.state.send_if_modified(|state| {
            let was_lost = !matches!(state, State::Flying);
            *state = State::Flying;
            was_lost
        });
    }

    /// Whether it is on its way, and not lost.
    pub(super) fn is_flying(&self) -> bool {
        matches!(*self.state.borrow(), State::Flying)
    }
}

/// A place in a flight: as long as it exists, the flight is awaited.
pub(super) struct Seat {
    state: watch::Receiver<State>,
    /// Whether the flight was there before.
    pub(super) joined: bool,
}

impl Seat {
    /// Waits for the outcome, or until it is not worth waiting for a lost connection any more.
    pub(super) async fn outcome(mut self) -> Outcome {
        let taken = Instant::now();
        loop {
            let give_up = match &*self.state.borrow_and_update() {
                State::Landed(outcome) => return outcome.clone(),
                State::Flying => None,
                State::Looking { since, lost } => Some((*since.max(&taken) + PATIENCE, Arc::clone(lost))),
            };
            let changed = match give_up {
                None => self.state.changed().await,
                Some((at, lost)) => tokio::select! {
                    // An outcome that is there is told, also where the time is over.
                    biased;
                    changed = self.state.changed() => changed,
                    () = sleep_until(at) => return Err(lost),
                },
            };
            // The flight lands before it goes: see `Pilot`.
            changed.map_err(|_| Arc::new(Failure::Crashed))?;
        }
    }
}

/// The creations under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights {
    under_way: Arc<Mutex<HashMap<Key, Arc<Flight>>>>,
}

impl Flights {
    /// Takes a seat in the flight of this key. Where there is none yet it is new, and has to be flown
    /// by the caller.
    ///
    /// # Errors
    /// [`Failure::RequestIdReused`] when the key's flight is about other content.
    pub(super) fn board(
        &self,
        key: &Key,
        fingerprint: Fingerprint,
        is_new_id: bool,
        deadline: Instant,
    ) -> Result<(Seat, Arc<Flight>, Option<Pilot>), Failure> {
        let mut under_way = self.lock();
        match under_way.entry(key.clone()) {
            Entry::Occupied(entry) => {
                let flight = Arc::clone(entry.get());
                if flight.fingerprint != fingerprint {
                    return Err(Failure::RequestIdReused);
                }
                flight.is_awaited_until(deadline);
                let seat = Seat { state: flight.state.subscribe(), joined: true };
                Ok((seat, flight, None))
            }
            Entry::Vacant(entry) => {
                let (state, seat) = watch::channel(State::Flying);
                let progress = Arc::new(Progress::new(key.request_id, !is_new_id));
                let deadline = Mutex::new(deadline);
                let flight = Arc::new(Flight { progress, fingerprint, deadline, state });
                entry.insert(Arc::clone(&flight));
                let pilot = Pilot { flights: self.clone(), key: key.clone(), flight: Arc::clone(&flight) };
                Ok((Seat { state: seat, joined: false }, flight, Some(pilot)))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lands a flight, also where the task that flies it panics or is ended.
#[derive(Debug)]
pub(super) struct Pilot {
    flights: Flights,
    key: Key,
    flight: Arc<Flight>,
}

impl Pilot {
    /// Tells everyone who waits.
    pub(super) fn land(self, outcome: Outcome) {
        self.flight.state.send_replace(State::Landed(outcome));
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
        self.flight.state.send_if_modified(|state| {
            let crashed = !matches!(state, State::Landed(_));
            if crashed {
                *state = State::Landed(Err(Arc::new(Failure::Crashed)));
            }
            crashed
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::domain::{ConnectionId, CreatedConnection, Etag, RequestId, SandboxName};

    fn board(flights: &Flights) -> (Seat, Arc<Flight>, Pilot) {
        let key = Key { sandbox: SandboxName::parse("prod").unwrap(), request_id: RequestId::generate() };
        let deadline = Instant::now() + PATIENCE;
        let (seat, flight, pilot) = flights.board(&key, Fingerprint::default(), true, deadline).unwrap();
        (seat, flight, pilot.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_that_is_there_is_told_although_the_patience_is_over() {
        // Not by chance.
        for _ in 0..20 {
            let (seat, flight, pilot) = board(&Flights::default());
            let mut outcome = std::pin::pin!(seat.outcome());
            flight.looking(Arc::new(Failure::Crashed));
            assert!(futures_util::poll!(&mut outcome).is_pending());
            advance(2 * PATIENCE).await;
            let connection = CreatedConnection {
                id: ConnectionId::parse("139f6a5f-a78b-4744-9f6a-5fa78bd74431").unwrap(),
                etag: Etag::parse("\"e\"").unwrap(),
            };
            pilot.land(Ok(Landing { connection, replayed: false, test: None }));
            assert!(outcome.await.is_ok());
        }
    }
}
