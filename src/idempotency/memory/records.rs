//! The records, at about 250 bytes each: a day's worth of a busy service has to fit. The verdict of
//! one that asked for it lies apart.
//!
//! They lie in slots, which two hash tables of slot numbers index: by request id, and by outcome. As
//! every change gives a record the same time to live, the list of them in the order of their last
//! change is the queue of their expiry.

use hashbrown::HashTable;

use super::{digest::Digest, time::Time};
use crate::{
    domain::CreatedConnection,
    idempotency::{Fingerprint, Holder, Verdict},
};

/// One creation.
pub(super) struct Record {
    pub(super) fingerprint: Fingerprint,
    pub(super) state: State,
}

pub(super) enum State {
    Open(Open),
    Done {
        /// Names the connection in the index.
        outcome: Digest,
        connection: CreatedConnection,
        verdict: Option<Box<Verdict>>,
    },
}

/// A creation that is not done.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Who holds it, and until when.
    pub(super) lease: Option<(Holder, Time)>,
    pub(super) progress: Progress,
}

#[derive(Clone, Copy)]
pub(super) enum Progress {
    Claimed,
    Sending(Sent),
    Unknown(Sent),
}

/// When something was sent.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) first: Time,
    pub(super) last: Time,
}

/// No slot.
const NONE: u32 = u32::MAX;

struct Slot {
    key: Digest,
    /// `None` in a free slot.
    record: Option<Record>,
    expires: Time,
    /// The neighbours in the order of expiry. The free slots are chained by `next`.
    previous: u32,
    next: u32,
}

pub(super) struct Records {
    slots: Slots,
    by_key: HashTable<u32>,
    by_outcome: HashTable<u32>,
    oldest: u32,
    newest: u32,
    free: u32,
}

impl Records {
    pub(super) fn new() -> Self {
        Self {
            slots: Slots::default(),
            by_key: HashTable::new(),
            by_outcome: HashTable::new(),
            oldest: NONE,
            newest: NONE,
            free: NONE,
        }
    }

    /// The number of records, including those that expired and were not removed yet.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The record, unless it has expired.
    pub(super) fn get(&self, key: Digest, now: Time) -> Option<&Record> {
        let slot = self.slots.get(self.find(key)?);
        slot.record.as_ref().filter(|_| now < slot.expires)
    }

    /// The record that has this outcome, unless it has expired.
    pub(super) fn by_outcome(&self, outcome: Digest, now: Time) -> Option<Digest> {
        let slots = &self.slots;
        // A record that expired may have had the same one.
        let is_it = |&slot: &u32| slots.outcome(slot) == Some(outcome) && now < slots.get(slot).expires;
        let slot = self.by_outcome.find(outcome.place(), is_it)?;
        Some(slots.get(*slot).key)
    }

    /// Writes a record, which then expires after every other.
    pub(super) fn put(&mut self, key: Digest, record: Record, expires: Time) {
        let slot = match self.find(key) {
            Some(slot) => {
                self.forget_outcome(slot);
                self.unlink(slot);
                slot
            }
            None => self.add(key),
        };
        let written = self.slots.get_mut(slot);
        written.record = Some(record);
        written.expires = expires;
        self.link_as_newest(slot);
        if let Some(outcome) = self.slots.outcome(slot) {
            let slots = &self.slots;
            // Only those that have an outcome are in this index.
            let place = |&slot: &u32| slots.outcome(slot).map_or(0, Digest::place);
            self.by_outcome.insert_unique(outcome.place(), slot, place);
        }
    }

    pub(super) fn remove(&mut self, key: Digest) {
        let slots = &self.slots;
        let Ok(entry) = self.by_key.find_entry(key.place(), |&slot| slots.get(slot).key == key) else {
            return;
        };
        let (slot, _) = entry.remove();
        self.forget_outcome(slot);
        self.unlink(slot);
        let removed = self.slots.get_mut(slot);
        removed.record = None;
        removed.next = self.free;
        self.free = slot;
    }

    /// Removes the record that expired first, if any has, and says whether one had.
    pub(super) fn remove_expired(&mut self, now: Time) -> bool {
        if self.oldest == NONE {
            return false;
        }
        let oldest = self.slots.get(self.oldest);
        let expired = oldest.expires <= now;
        if expired {
            self.remove(oldest.key);
        }
        expired
    }

    fn find(&self, key: Digest) -> Option<u32> {
        self.by_key.find(key.place(), |&slot| self.slots.get(slot).key == key).copied()
    }

    fn add(&mut self, key: Digest) -> u32 {
        let slot = match self.free {
            NONE => self.slots.push(key),
            free => {
                let slot = self.slots.get_mut(free);
                slot.key = key;
                self.free = slot.next;
                free
            }
        };
        let slots = &self.slots;
        self.by_key.insert_unique(key.place(), slot, |&slot| slots.get(slot).key.place());
        slot
    }

    fn forget_outcome(&mut self, slot: u32) {
        let Some(outcome) = self.slots.outcome(slot) else { return };
        if let Ok(entry) = self.by_outcome.find_entry(outcome.place(), |&other| other == slot) {
            entry.remove();
        }
    }

    fn unlink(&mut self, slot: u32) {
        let &Slot { previous, next, .. } = self.slots.get(slot);
        match previous {
            NONE => self.oldest = next,
            previous => self.slots.get_mut(previous).next = next,
        }
        match next {
            NONE => self.newest = previous,
            next => self.slots.get_mut(next).previous = previous,
        }
    }

    fn link_as_newest(&mut self, slot: u32) {
        let before = self.newest;
        let linked = self.slots.get_mut(slot);
        linked.previous = before;
        linked.next = NONE;
        match before {
            NONE => self.oldest = slot,
            before => self.slots.get_mut(before).next = slot,
        }
        self.newest = slot;
    }
}

/// Slots in blocks, so that growing neither copies what is there nor reserves as much again.
#[derive(Default)]
struct Slots {
    blocks: Vec<Vec<Slot>>,
}

impl Slots {
    const BLOCK: usize = 4096;

    fn get(&self, slot: u32) -> &Slot {
        let slot = slot as usize;
        &self.blocks[slot / Self::BLOCK][slot % Self::BLOCK]
    }

    fn get_mut(&mut self, slot: u32) -> &mut Slot {
        let slot = slot as usize;
        &mut self.blocks[slot / Self::BLOCK][slot % Self::BLOCK]
    }

    fn outcome(&self, slot: u32) -> Option<Digest> {
        match &self.get(slot).record.as_ref()?.state {
            State::Open(_) => None,
            State::Done { outcome, .. } => Some(*outcome),
        }
    }

    fn push(&mut self, key: Digest) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == Self::BLOCK) {
            self.blocks.push(Vec::with_capacity(Self::BLOCK));
        }
        let full = (self.blocks.len() - 1) * Self::BLOCK;
        let mut slot = full;
        if let Some(block) = self.blocks.last_mut() {
            slot += block.len();
            block.push(Slot { key, record: None, expires: Time::BEGIN, previous: NONE, next: NONE });
        }
        // Four thousand million records do not fit into any memory.
        u32::try_from(slot).unwrap_or(NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 136, "{}", size_of::<Slot>());
    }
}
