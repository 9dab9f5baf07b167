//! The store in the memory of this process: it forgets with a restart, and other replicas do not
//! see it.

mod digest;
mod expiring;
mod records;
mod time;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use self::{
    digest::{Digest, Digests},
    expiring::{Expiring, Owned},
    records::{Open, Progress, Record, Records, Sent, State},
    time::Time,
};
use super::{
    Claim, Fingerprint, Fingerprints, Holder, Keep, Key, Lease, Outcome, Recorded, Retention, Store,
    StoreError, Verdict,
};
use crate::domain::{ConnectionId, CreatedConnection};

/// How many request ids the service remembers at once: about 250 MB of them, and what the reports
/// on verified connections take.
pub const CAPACITY: usize = 1_000_000;

/// Keeps the records in memory. What has expired is removed a little with each step; what has not
/// is never removed to make room.
pub struct MemoryStore {
    retention: Retention,
    capacity: usize,
    start: Instant,
    digests: Digests,
    contents: Mutex<Contents>,
}

struct Contents {
    records: Records,
    /// The locked names, each owned by a record.
    locks: Expiring,
    /// The connections whose record was not to be remembered, each owned by its key.
    outcomes: Expiring,
}

impl MemoryStore {
    /// An empty store that holds at most so many records.
    pub fn new(retention: Retention, capacity: usize) -> Self {
        let contents =
            Contents { records: Records::new(), locks: Expiring::default(), outcomes: Expiring::default() };
        Self {
            retention,
            capacity,
            start: Instant::now(),
            digests: Digests::new(),
            contents: Mutex::new(contents),
        }
    }

    fn step(&self, lease: &Lease) -> Step<'_> {
        let key = self.digests.record(&lease.key);
        let name = self.digests.name(&lease.key.sandbox, &lease.name);
        let mut contents = self.lock();
        let now = Time::since(self.start);
        contents.remove_expired(now);
        Step { store: self, contents, now, key, name, holder: lease.holder }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// More than one step can add, so that what has expired gets less and less.
    const REMOVED_PER_STEP: usize = 2;

    fn remove_expired(&mut self, now: Time) {
        for _ in 0..Self::REMOVED_PER_STEP {
            self.records.remove_expired(now);
            self.locks.remove_expired(now);
            self.outcomes.remove_expired(now);
        }
    }

    /// The record of which this connection is the outcome.
    fn owner_of(&self, outcome: Digest, now: Time) -> Option<Digest> {
        let forgotten = || self.outcomes.get(outcome, now).map(|owned| owned.owner);
        self.records.by_outcome(outcome, now).or_else(forgotten)
    }
}

/// One atomic step on a record and the lock on its name.
struct Step<'a> {
    store: &'a MemoryStore,
    contents: MutexGuard<'a, Contents>,
    now: Time,
    key: Digest,
    name: Digest,
    holder: Holder,
}

/// A record that the holder has.
struct Held {
    fingerprint: Fingerprint,
    progress: Progress,
    until: Time,
}

impl Step<'_> {
    fn record(&self) -> Option<&Record> {
        self.contents.records.get(self.key, self.now)
    }

    fn held(&self) -> Result<Held, StoreError> {
        match self.record() {
            Some(&Record {
                fingerprint,
                state: State::Open(Open { lease: Some((holder, until)), progress }),
            }) if holder == self.holder => Ok(Held { fingerprint, progress, until }),
            Some(_) | None => Err(StoreError::LeaseLost),
        }
    }

    fn put(&mut self, fingerprint: Fingerprint, state: State) {
        let expires = self.now.after(self.store.retention.request_id);
        self.contents.records.put(self.key, Record { fingerprint, state }, expires);
    }

    /// Writes the record with a new lease, and extends the lock to its end.
    fn hold(&mut self, fingerprint: Fingerprint, progress: Progress) {
        let until = self.now.after(self.store.retention.lease);
        self.put(fingerprint, State::Open(Open { lease: Some((self.holder, until)), progress }));
        self.extend_lock(until);
    }

    fn name_lock(&self) -> Option<Owned> {
        self.contents.locks.get(self.name, self.now)
    }

    /// The end of the lock, if a creation under another id has it.
    fn locked_by_another(&self) -> Option<Time> {
        self.name_lock().filter(|lock| lock.owner != self.key).map(|lock| lock.until)
    }

    /// Takes the lock, or lets it end later. The lock of another stays as it is.
    fn extend_lock(&mut self, until: Time) {
        let until = self.name_lock().map_or(until, |lock| lock.until.max(until));
        self.set_lock(until);
    }

    fn set_lock(&mut self, until: Time) {
        if self.locked_by_another().is_none() {
            self.contents.locks.set(self.name, Owned { owner: self.key, until });
        }
    }

    fn end_lock(&mut self) {
        if self.locked_by_another().is_none() {
            self.contents.locks.remove(self.name);
        }
    }

    fn claim(&mut self, fingerprints: &Fingerprints) -> Result<Claim, StoreError> {
        let (fingerprint, progress) = match self.record() {
            Some(record) if !fingerprints.accept(&record.fingerprint) => return Ok(Claim::OtherContent),
            Some(Record { state: State::Done { connection, verdict, .. }, .. }) => {
                return Ok(Claim::Done(outcome_of(connection, verdict.as_deref())));
            }
            Some(&Record { fingerprint, state: State::Open(Open { lease, progress }) }) => {
                if let Some((holder, until)) = lease
                    && holder != self.holder
                    && self.now < until
                {
                    return Ok(Claim::InProgress { retry_after: until.duration_since(self.now) });
                }
                (fingerprint, progress)
            }
            None => (fingerprints.current, Progress::Claimed),
        };
        if let Some(until) = self.locked_by_another() {
            return Ok(Claim::NameInProgress { retry_after: until.duration_since(self.now) });
        }
        if self.record().is_none() {
            self.make_room()?;
        }
        let (progress, claim) = match progress {
            Progress::Claimed => (progress, Claim::Fresh),
            Progress::Sending(sent) | Progress::Unknown(sent) => {
                let first_sent = self.now.duration_since(sent.first);
                let last_sent = self.now.duration_since(sent.last);
                (Progress::Unknown(sent), Claim::Unknown { first_sent, last_sent })
            }
        };
        self.hold(fingerprint, progress);
        Ok(claim)
    }

    /// Makes room for one more record, if only expired ones take it.
    fn make_room(&mut self) -> Result<(), StoreError> {
        let records = &mut self.contents.records;
        while records.len() >= self.store.capacity {
            if !records.remove_expired(self.now) {
                return Err(StoreError::Full);
            }
        }
        Ok(())
    }

    fn done(&mut self, lease: &Lease, connection: &CreatedConnection, keep: Keep) -> Recorded {
        let outcome = self.store.digests.outcome(&lease.key.sandbox, &connection.id);
        if self.contents.owner_of(outcome, self.now).is_some_and(|owner| owner != self.key) {
            return Recorded::BelongsToAnother;
        }
        let stored = match self.record() {
            Some(Record { state: State::Done { connection: recorded, verdict, .. }, .. }) => {
                return Recorded::Already(outcome_of(recorded, verdict.as_deref()));
            }
            Some(Record { fingerprint, .. }) => Some(*fingerprint),
            None => None,
        };
        if keep == Keep::Forget {
            self.contents.records.remove(self.key);
            let until = self.now.after(self.store.retention.request_id);
            self.contents.outcomes.set(outcome, Owned { owner: self.key, until });
            // No id is lost with the oldest ones: they only tell other requests apart.
            self.contents.outcomes.keep_latest(self.store.capacity);
        } else {
            // The content that was sent, should the id have been taken for another since.
            let fingerprints = &lease.fingerprints;
            let fingerprint = stored.filter(|stored| fingerprints.accept(stored));
            let verdict = (keep == Keep::RememberUnverified).then(|| Box::new(Verdict::Pending));
            self.put(
                fingerprint.unwrap_or(fingerprints.current),
                State::Done { outcome, connection: connection.clone(), verdict },
            );
        }
        self.end_lock();
        Recorded::Done
    }
}

fn outcome_of(connection: &CreatedConnection, verdict: Option<&Verdict>) -> Outcome {
    Outcome { connection: connection.clone(), verdict: verdict.cloned() }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn claim(&self, lease: &Lease) -> Result<Claim, StoreError> {
        self.step(lease).claim(&lease.fingerprints)
    }

    async fn renew(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut step = self.step(lease);
        let held = step.held()?;
        if step.locked_by_another().is_some() {
            return Err(StoreError::LeaseLost);
        }
        step.hold(held.fingerprint, held.progress);
        Ok(())
    }

    async fn begin_sending(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut step = self.step(lease);
        let held = step.held()?;
        let now = step.now;
        if held.until <= now || step.locked_by_another().is_some() {
            return Err(StoreError::LeaseLost);
        }
        let first = match held.progress {
            Progress::Claimed => now,
            Progress::Sending(sent) | Progress::Unknown(sent) => sent.first,
        };
        step.hold(held.fingerprint, Progress::Sending(Sent { first, last: now }));
        step.extend_lock(now.after(self.retention.settle_window));
        Ok(())
    }

    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut step = self.step(lease);
        let held = step.held()?;
        if matches!(held.progress, Progress::Unknown(_)) {
            return Err(StoreError::LeaseLost);
        }
        step.hold(held.fingerprint, Progress::Claimed);
        step.set_lock(step.now.after(self.retention.lease));
        Ok(())
    }

    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut step = self.step(lease);
        let held = step.held()?;
        match held.progress {
            Progress::Claimed => return Err(StoreError::LeaseLost),
            Progress::Sending(sent) | Progress::Unknown(sent) => {
                step.hold(held.fingerprint, Progress::Unknown(sent));
            }
        }
        Ok(())
    }

    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        keep: Keep,
    ) -> Result<Recorded, StoreError> {
        Ok(self.step(lease).done(lease, connection, keep))
    }

    async fn verified(
        &self,
        key: &Key,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError> {
        let key = self.digests.record(key);
        let mut contents = self.lock();
        let now = Time::since(self.start);
        contents.remove_expired(now);
        let Some(&Record {
            fingerprint,
            state: State::Done { outcome, connection: ref created, verdict: Some(ref recorded) },
        }) = contents.records.get(key, now)
        else {
            return Ok(verdict.clone());
        };
        if created.id != *connection {
            return Ok(verdict.clone());
        }
        if !recorded.yields_to(verdict) {
            return Ok(Verdict::clone(recorded));
        }
        let (connection, taken) = (created.clone(), Some(Box::new(verdict.clone())));
        let record = Record { fingerprint, state: State::Done { outcome, connection, verdict: taken } };
        contents.records.put(key, record, now.after(self.retention.request_id));
        Ok(verdict.clone())
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut step = self.step(lease);
        step.held()?;
        let key = step.key;
        step.contents.records.remove(key);
        step.end_lock();
        Ok(())
    }

    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut step = self.step(lease);
        let held = step.held()?;
        let progress = match held.progress {
            Progress::Sending(sent) => Progress::Unknown(sent),
            Progress::Claimed | Progress::Unknown(_) => held.progress,
        };
        step.put(held.fingerprint, State::Open(Open { lease: None, progress }));
        Ok(())
    }

    async fn outcomes_of_others(
        &self,
        key: &Key,
        connections: &[ConnectionId],
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let own = self.digests.record(key);
        let contents = self.lock();
        let now = Time::since(self.start);
        let is_of_another = |connection: &&ConnectionId| {
            let outcome = self.digests.outcome(&key.sandbox, connection);
            contents.owner_of(outcome, now).is_some_and(|owner| owner != own)
        };
        Ok(connections.iter().filter(is_of_another).cloned().collect())
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
