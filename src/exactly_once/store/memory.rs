//! The store in the memory of this process: it forgets with a restart, and other replicas do not
//! see it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{Claim, HolderClaim, Lease, Moment, Recorded, Retention, Step, Store, StoreError, Weakness};
use crate::{
    domain::RequestId,
    exactly_once::{Comparison, Fingerprint},
};

/// How many request ids the service remembers at once: about 80 MB of them, and what the reports on
/// verified connections take.
pub const CAPACITY: usize = 100_000;

/// Keeps the records in memory. What has not expired is never removed to make space.
#[derive(Debug)]
pub struct MemoryStore {
    retention: Retention,
    capacity: usize,
    began: Instant,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    by_id: HashMap<RequestId, Record>,
    /// The ids in the order of their last change, which is that of their expiry.
    by_change: BTreeMap<u64, RequestId>,
    changes: u64,
}

#[derive(Debug)]
struct Record {
    fingerprint: Fingerprint,
    /// Who holds it, and until when.
    lease: Option<(HolderClaim, Instant)>,
    state: State,
    expires: Instant,
    /// Its key in the order of changes.
    change: u64,
}

#[derive(Clone, Debug)]
enum State {
    Claimed,
    Sending(Sent),
    Unknown(Sent),
    Undoing { context: String },
    Done { outcome: String, at: Time },
}

/// What was sent, and when.
#[derive(Clone, Debug)]
struct Sent {
    first: Time,
    last: Time,
    /// Whether a sending before the last one was lost.
    lost_before: bool,
    context: String,
}

#[derive(Clone, Copy, Debug)]
struct Time {
    at: Instant,
    wall_ms: Option<i64>,
}

impl Time {
    fn new(at: Instant, wall_ms: i64) -> Self {
        Self { at, wall_ms: Some(wall_ms) }
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

    /// The records, and the time, which is read once for each access.
    fn lock(&self) -> (MutexGuard<'_, Records>, Instant) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        records.remove_expired(now);
        (records, now)
    }

    /// A record that is changed now.
    fn changed(
        &self,
        now: Instant,
        fingerprint: Fingerprint,
        holder: Option<HolderClaim>,
        state: State,
    ) -> Record {
        let lease = holder.map(|holder| (holder, now + self.retention.lease));
        Record { fingerprint, lease, state, expires: now + self.retention.request_id, change: 0 }
    }
}

impl State {
    /// The state after a step that keeps the record. `None` where it expects another one, or a live lease.
    fn after(&self, step: Step, is_live: bool, text: &str, now: Time) -> Option<Self> {
        Some(match (step, self) {
            (
                Step::Renew | Step::Abandon,
                Self::Claimed | Self::Sending(_) | Self::Unknown(_) | Self::Undoing { .. },
            )
            | (Step::NotSent, Self::Claimed | Self::Unknown(_) | Self::Undoing { .. }) => self.clone(),
            (Step::BeginSending, Self::Claimed) if is_live => {
                Self::Sending(Sent { first: now, last: now, lost_before: false, context: text.to_owned() })
            }
            (Step::Resend, Self::Unknown(sent)) if is_live => Self::Sending(Sent {
                first: sent.first,
                last: now,
                lost_before: true,
                context: text.to_owned(),
            }),
            (Step::NotCreated | Step::NotSent, Self::Sending(sent)) if !sent.lost_before => Self::Claimed,
            (Step::NotCreated | Step::NotSent | Step::OutcomeUnknown, Self::Sending(sent)) => {
                Self::Unknown(sent.clone())
            }
            (Step::DistrustClocks, Self::Unknown(sent)) => {
                Self::Unknown(Sent { last: Time { wall_ms: None, ..now }, ..sent.clone() })
            }
            (Step::Undo, Self::Claimed | Self::Unknown(_) | Self::Undoing { .. }) if is_live => {
                Self::Undoing { context: text.to_owned() }
            }
            (Step::Undone, Self::Undoing { .. }) => Self::Claimed,
            (Step::Withdraw, Self::Claimed | Self::Unknown(_) | Self::Undoing { .. }) if is_live => {
                Self::Done { outcome: text.to_owned(), at: now }
            }
            _ => return None,
        })
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
    fn remove_expired(&mut self, now: Instant) {
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
        let (mut records, now) = self.lock();
        let (fingerprint, state) = match records.by_id.get(&lease.request_id) {
            None if records.by_id.len() >= self.capacity => return Err(StoreError::Full),
            None => (lease.fingerprints.current.clone(), State::Claimed),
            Some(Record { fingerprint, lease: held, state, .. }) => {
                if lease.fingerprints.compare(fingerprint) != Comparison::Same {
                    let outcome = match state {
                        State::Done { outcome, .. } => Some(outcome.clone()),
                        State::Claimed | State::Sending(_) | State::Unknown(_) | State::Undoing { .. } => {
                            None
                        }
                    };
                    return Ok(Claim::OtherContent { stored: fingerprint.clone(), outcome });
                }
                if let Some((holder, until)) = *held
                    && !holder.gives_way_to(lease.holder.claim())
                    && now < until
                {
                    return Ok(Claim::InProgress { retry_after: until - now });
                }
                (fingerprint.clone(), state.clone())
            }
        };
        let (state, claim) = match state {
            State::Done { outcome, at } => return Ok(Claim::Done { outcome, done: at.moment() }),
            State::Sending(sent) | State::Unknown(sent) => {
                let (first_sent, last_sent) = (sent.first.moment(), sent.last.moment());
                let context = sent.context.clone();
                (State::Unknown(sent), Claim::Unknown { first_sent, last_sent, context })
            }
            State::Undoing { context } => {
                (State::Undoing { context: context.clone() }, Claim::Undoing { context })
            }
            State::Claimed => (State::Claimed, Claim::Fresh { remembers_for: self.began.elapsed() }),
        };
        records.put(lease.request_id, self.changed(now, fingerprint, Some(lease.holder.claim()), state));
        Ok(claim)
    }

    async fn step(&self, lease: &Lease, step: Step, text: &str, wall_ms: i64) -> Result<(), StoreError> {
        let (mut records, now) = self.lock();
        let claim = lease.holder.claim();
        // A record that is done has no holder.
        let held = records.by_id.get(&lease.request_id).and_then(|record| {
            let (holder, until) = record.lease?;
            let is_holder =
                if step == Step::Abandon { holder.is_of_same_holder(claim) } else { holder == claim };
            is_holder.then_some((record, now < until))
        });
        let (record, is_live) = held.ok_or(StoreError::LeaseLost)?;
        if step == Step::Release && matches!(record.state, State::Claimed) {
            records.remove(&lease.request_id);
            return Ok(());
        }
        let state = record.state.after(step, is_live, text, Time::new(now, wall_ms));
        let state = state.ok_or(StoreError::LeaseLost)?;
        let holder = (!matches!(step, Step::Abandon | Step::NotSent | Step::Withdraw)).then_some(claim);
        let record = self.changed(now, record.fingerprint.clone(), holder, state);
        records.put(lease.request_id, record);
        Ok(())
    }

    async fn record(
        &self,
        lease: &Lease,
        outcome: Option<&str>,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError> {
        let (mut records, now) = self.lock();
        let before = records.by_id.get(&lease.request_id);
        if let Some(Record { state: State::Done { outcome, .. }, .. }) = before {
            return Ok(Recorded::Already(outcome.clone()));
        }
        let Some(outcome) = outcome else {
            records.remove(&lease.request_id);
            return Ok(Recorded::Done);
        };
        // The content that was sent, should the id have been taken for another since.
        let stored = before.map(|record| &record.fingerprint);
        let stored = stored.filter(|stored| lease.fingerprints.compare(stored) == Comparison::Same);
        let fingerprint = stored.unwrap_or(&lease.fingerprints.current).clone();
        let state = State::Done { outcome: outcome.to_owned(), at: Time::new(now, wall_ms) };
        records.put(lease.request_id, self.changed(now, fingerprint, None, state));
        Ok(Recorded::Done)
    }

    async fn replace(
        &self,
        request_id: &RequestId,
        expected: &str,
        outcome: &str,
    ) -> Result<Recorded, StoreError> {
        let (mut records, now) = self.lock();
        let (fingerprint, at) = match records.by_id.get(request_id) {
            Some(Record { fingerprint, state: State::Done { outcome: current, at }, .. }) => {
                if current != expected {
                    return Ok(Recorded::Already(current.clone()));
                }
                (fingerprint.clone(), *at)
            }
            Some(_) | None => return Ok(Recorded::Done),
        };
        let state = State::Done { outcome: outcome.to_owned(), at };
        records.put(*request_id, self.changed(now, fingerprint, None, state));
        Ok(Recorded::Done)
    }
}
