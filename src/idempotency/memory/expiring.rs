//! What few things need that each end at a time of their own.

use std::collections::BTreeSet;

use hashbrown::HashTable;

use super::{digest::Digest, time::Time};

/// Who owns what, and until when.
#[derive(Default)]
pub(super) struct Expiring {
    owners: HashTable<(Digest, Owned)>,
    by_end: BTreeSet<(Time, Digest)>,
}

/// An owner, and the end of what it owns.
#[derive(Clone, Copy)]
pub(super) struct Owned {
    pub(super) owner: Digest,
    pub(super) until: Time,
}

impl Expiring {
    /// The owner, unless its time is up.
    pub(super) fn get(&self, what: Digest, now: Time) -> Option<Owned> {
        let (_, owned) = self.owners.find(what.place(), |(digest, _)| *digest == what)?;
        Some(*owned).filter(|owned| now < owned.until)
    }

    pub(super) fn set(&mut self, what: Digest, owned: Owned) {
        match self.owners.find_mut(what.place(), |(digest, _)| *digest == what) {
            Some((_, before)) => {
                let before = std::mem::replace(before, owned);
                if before.until == owned.until {
                    return;
                }
                self.by_end.remove(&(before.until, what));
            }
            None => {
                self.owners.insert_unique(what.place(), (what, owned), |(digest, _)| digest.place());
            }
        }
        self.by_end.insert((owned.until, what));
    }

    pub(super) fn remove(&mut self, what: Digest) {
        if let Ok(entry) = self.owners.find_entry(what.place(), |(digest, _)| *digest == what) {
            let ((_, owned), _) = entry.remove();
            self.by_end.remove(&(owned.until, what));
        }
    }

    /// Removes those that end first until so many are left.
    pub(super) fn keep_latest(&mut self, most: usize) {
        while self.owners.len() > most
            && let Some(&(_, what)) = self.by_end.first()
        {
            self.remove(what);
        }
    }

    /// Removes the one that ended first, if any has.
    pub(super) fn remove_expired(&mut self, now: Time) {
        if let Some(&(_, what)) = self.by_end.first().filter(|(until, _)| *until <= now) {
            self.remove(what);
        }
    }
}
