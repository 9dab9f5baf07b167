//! The store in the memory of this process: it forgets with a restart, and other replicas do not
//! see it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::domain::{ConnectionId, CreatedConnection, RequestId};
use crate::exactly_once::{
    Comparison, Fingerprint,
    store::{
        Claim, Holder, Keep, Lease, Moment, Origin, Outcome, Recorded, Retention, Store, StoreError, Verdict,
        Weakness,
    },
};

/// How many request ids the service remembers at once: about 60 MB of them, and what the reports on
/// verified connections take.
pub const CAPACITY: usize = 100_000;

/// Keeps the records in memory. What has not expired is never removed to make space.
pub struct MemoryStore {
    retention: Retention,
    capacity: usize,
    began: Instant,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    by_id: HashMap<RequestId, Record>,
    /// The ids in the order of their last change, which is that of their expiry.
    by_change: BTreeMap<u64, RequestId>,
    changes: u64,
}

#[derive(Clone)]
struct Record {
    fingerprint: Fingerprint,
    /// Who holds it, and until when.
    lease: Option<(Holder, Instant)>,
    state: State,
    expires: Instant,
    /// Its place in the order of changes.
    change: u64,
}

#[derive(Clone)]
enum State {
    Claimed,
    Sending(Sent),
    Unknown(Sent),
    Done { outcome: Outcome, at: Time },
}

/// When something was sent.
#[derive(Clone, Copy)]
struct Sent {
    first: Time,
    last: Time,
    /// Whether a sending before the last one was lost.
    lost_before: bool,
}

#[derive(Clone, Copy)]
struct Time {
    at: Instant,
    wall_ms: Option<i64>,
}

impl Time {
    fn now(wall_ms: i64) -> Self {
        Self { at: Instant::now(), wall_ms: Some(wall_ms) }
    }

    fn moment(self) -> Moment {
        let store_ago_ms = i64::try_from(self.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        Moment { store_ago_ms, wall_ms: self.wall_ms }
    }
}

impl MemoryStore {
    /// An empty store that holds at most so many records.
    pub fn new(retention: Retention, capacity: usize) -> Self {
        Self { retention, capacity, began: Instant::now(), records: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.remove_expired();
        records
    }

    /// The record, if this holder has it. One that is done has no holder.
    fn held(records: &Records, lease: &Lease) -> Result<Record, StoreError> {
        let is_held = |record: &&Record| record.lease.is_some_and(|(holder, _)| holder == lease.holder);
        records.by_id.get(&lease.request_id).filter(is_held).cloned().ok_or(StoreError::LeaseLost)
    }

    /// A step of a holder: from the state that it expects to another one, with a new lease.
    fn step(
        &self,
        lease: &Lease,
        must_be_live: bool,
        next: impl FnOnce(State) -> Option<State>,
    ) -> Result<(), StoreError> {
        let mut records = self.lock();
        let record = Self::held(&records, lease)?;
        let is_live = record.lease.is_some_and(|(_, until)| Instant::now() < until);
        let state = next(record.state).filter(|_| is_live || !must_be_live).ok_or(StoreError::LeaseLost)?;
        let held = Some((lease.holder, Instant::now() + self.retention.lease));
        self.put(&mut records, lease.request_id, record.fingerprint, held, state);
        Ok(())
    }

    fn put(
        &self,
        records: &mut Records,
        id: RequestId,
        fingerprint: Fingerprint,
        lease: Option<(Holder, Instant)>,
        state: State,
    ) {
        let expires = Instant::now() + self.retention.request_id;
        records.put(id, Record { fingerprint, lease, state, expires, change: 0 });
    }
}

impl Records {
    fn put(&mut self, id: RequestId, record: Record) {
        self.changes += 1;
        let change = self.changes;
        if let Some(before) = self.by_id.insert(id, Record { change, ..record }) {
            self.by_change.remove(&before.change);
        }
        self.by_change.insert(change, id);
    }

    fn remove(&mut self, id: &RequestId) {
        if let Some(record) = self.by_id.remove(id) {
            self.by_change.remove(&record.change);
        }
    }

    /// Every change gives a record the same time to live, so the one that was changed first expires first.
    fn remove_expired(&mut self) {
        let now = Instant::now();
        while let Some((_, id)) = self.by_change.first_key_value().map(|(change, id)| (*change, *id))
            && self.by_id.get(&id).is_none_or(|record| record.expires <= now)
        {
            self.remove(&id);
        }
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    fn weaknesses(&self) -> Vec<Weakness> {
        vec![Weakness::InMemory]
    }

    async fn claim(&self, lease: &Lease, _: i64) -> Result<Claim, StoreError> {
        let mut records = self.lock();
        let (fingerprint, state) = match records.by_id.get(&lease.request_id).cloned() {
            None if records.by_id.len() >= self.capacity => return Err(StoreError::Full),
            None => (lease.fingerprints.current, State::Claimed),
            Some(Record { fingerprint, lease: held, state, .. }) => {
                if lease.fingerprints.compare(&fingerprint) != Comparison::Same {
                    let connection = match state {
                        State::Done { outcome, .. } => Some(outcome.connection.id),
                        State::Claimed | State::Sending(_) | State::Unknown(_) => None,
                    };
                    return Ok(Claim::OtherContent { stored: fingerprint, connection });
                }
                if let Some((holder, until)) = held
                    && holder != lease.holder
                    && Instant::now() < until
                {
                    return Ok(Claim::InProgress { retry_after: until - Instant::now() });
                }
                (fingerprint, state)
            }
        };
        let (state, claim) = match state {
            State::Done { outcome, at } => return Ok(Claim::Done { outcome, done: at.moment() }),
            State::Sending(sent) | State::Unknown(sent) => {
                let (first_sent, last_sent) = (sent.first.moment(), sent.last.moment());
                (State::Unknown(sent), Claim::Unknown { first_sent, last_sent })
            }
            State::Claimed => (State::Claimed, Claim::Fresh { remembers_for: self.began.elapsed() }),
        };
        let held = Some((lease.holder, Instant::now() + self.retention.lease));
        self.put(&mut records, lease.request_id, fingerprint, held, state);
        Ok(claim)
    }

    async fn renew(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, false, Some)
    }

    async fn begin_sending(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError> {
        self.step(lease, true, |state| match state {
            State::Claimed => {
                let now = Time::now(wall_ms);
                Some(State::Sending(Sent { first: now, last: now, lost_before: false }))
            }
            State::Sending(_) | State::Unknown(_) | State::Done { .. } => None,
        })
    }

    async fn resend(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError> {
        self.step(lease, true, |state| match state {
            State::Unknown(sent) => {
                Some(State::Sending(Sent { last: Time::now(wall_ms), lost_before: true, ..sent }))
            }
            State::Claimed | State::Sending(_) | State::Done { .. } => None,
        })
    }

    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, false, |state| match state {
            State::Sending(sent) if sent.lost_before => Some(State::Unknown(sent)),
            State::Sending(_) => Some(State::Claimed),
            State::Claimed | State::Unknown(_) | State::Done { .. } => None,
        })
    }

    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, false, |state| match state {
            State::Sending(sent) => Some(State::Unknown(sent)),
            State::Claimed | State::Unknown(_) | State::Done { .. } => None,
        })
    }

    async fn distrust_clocks(&self, lease: &Lease) -> Result<(), StoreError> {
        self.step(lease, false, |state| match state {
            State::Unknown(sent) => {
                let last = Time { at: Instant::now(), wall_ms: None };
                Some(State::Unknown(Sent { last, ..sent }))
            }
            State::Claimed | State::Sending(_) | State::Done { .. } => None,
        })
    }

    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        origin: Origin,
        keep: Keep,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError> {
        let mut records = self.lock();
        let stored = match records.by_id.get(&lease.request_id) {
            Some(Record { state: State::Done { outcome, .. }, .. }) => {
                return Ok(Recorded::Already(outcome.clone()));
            }
            Some(record) => Some(record.fingerprint),
            None => None,
        };
        let verdict = match keep {
            Keep::Forget => {
                records.remove(&lease.request_id);
                return Ok(Recorded::Done);
            }
            Keep::Remember => None,
            Keep::RememberUnverified => Some(Verdict::Pending),
        };
        // The content that was sent, should the id have been taken for another since.
        let stored = stored.filter(|stored| lease.fingerprints.compare(stored) == Comparison::Same);
        let fingerprint = stored.unwrap_or(lease.fingerprints.current);
        let outcome = Outcome { connection: connection.clone(), origin, verdict };
        let state = State::Done { outcome, at: Time::now(wall_ms) };
        self.put(&mut records, lease.request_id, fingerprint, None, state);
        Ok(Recorded::Done)
    }

    async fn verified(
        &self,
        request_id: &RequestId,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError> {
        let mut records = self.lock();
        let Some(Record { fingerprint, state: State::Done { outcome, at }, .. }) =
            records.by_id.get(request_id).cloned()
        else {
            return Ok(verdict.clone());
        };
        match &outcome.verdict {
            Some(recorded) if outcome.connection.id == *connection => {
                if !recorded.yields_to(verdict) {
                    return Ok(recorded.clone());
                }
                let outcome = Outcome { verdict: Some(verdict.clone()), ..outcome };
                self.put(&mut records, *request_id, fingerprint, None, State::Done { outcome, at });
                Ok(verdict.clone())
            }
            Some(_) | None => Ok(verdict.clone()),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut records = self.lock();
        match Self::held(&records, lease)?.state {
            State::Claimed => {
                records.remove(&lease.request_id);
                Ok(())
            }
            State::Sending(_) | State::Unknown(_) | State::Done { .. } => Err(StoreError::LeaseLost),
        }
    }

    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut records = self.lock();
        let Record { fingerprint, state, .. } = Self::held(&records, lease)?;
        self.put(&mut records, lease.request_id, fingerprint, None, state);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("retention", &self.retention)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
