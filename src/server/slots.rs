//! Limits for connections: so many in all, and so many for one address.

use std::{
    collections::HashMap,
    hash::Hash,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An idle one costs some 30 KiB; one that has had 256 calls at once some 600 KiB, most of which HTTP/2 keeps until
/// its end; and unread messages 256 KiB more. What one address may have of those fits into the memory limit of
/// `deploy/base`.
const MAX_CONNECTIONS: usize = 4096;
/// No address takes more than a quarter. A proxy that many callers are behind needs far less: each
/// connection carries 256 calls at once.
const ADDRESSES: usize = 4;

/// How many there may be.
#[derive(Clone)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    per_address: Arc<PerKey<IpAddr>>,
}

/// The slot of one connection, until it is dropped.
pub(super) struct Slot {
    _of_all: OwnedSemaphorePermit,
    _of_address: Held<IpAddr>,
}

impl Slots {
    /// As many connections as the limit of open files allows: half of it is left to the admin port, to the
    /// upstream's connections and to files.
    pub(super) fn new(file_limit: Option<u64>) -> Self {
        let half = file_limit.and_then(|files| usize::try_from(files / 2).ok());
        let most = half.unwrap_or(MAX_CONNECTIONS).clamp(ADDRESSES, MAX_CONNECTIONS);
        if most < MAX_CONNECTIONS {
            tracing::info!(most, "the limit of open files allows fewer connections of callers than usual");
        }
        Self { all: Arc::new(Semaphore::new(most)), per_address: PerKey::new(most / ADDRESSES) }
    }

    /// Waits for the permit of another connection, of any address.
    pub(super) async fn room(&self) -> io::Result<OwnedSemaphorePermit> {
        if self.all.available_permits() == 0 {
            tracing::warn!("there is no room for another connection: waiting for one to end");
        }
        Arc::clone(&self.all).acquire_owned().await.map_err(io::Error::other)
    }

    /// Gives a slot to an address; `None` where it has too many already.
    pub(super) fn take(&self, room: OwnedSemaphorePermit, address: IpAddr) -> Option<Slot> {
        let of_address = self.per_address.take(network(address))?;
        Some(Slot { _of_all: room, _of_address: of_address })
    }
}

/// A limit that each key has for itself.
#[derive(Debug)]
pub(crate) struct PerKey<K: Copy + Eq + Hash> {
    most: usize,
    held: Mutex<HashMap<K, usize>>,
}

/// One of those that a key may have, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held<K: Copy + Eq + Hash> {
    limit: Arc<PerKey<K>>,
    key: K,
}

impl<K: Copy + Eq + Hash> PerKey<K> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// `None` where the key has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, key: K) -> Option<Held<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = held.entry(key).or_default();
        if *of_key >= self.most {
            return None;
        }
        *of_key += 1;
        Some(Held { limit: Arc::clone(self), key })
    }
}

impl<K: Copy + Eq + Hash> Drop for Held<K> {
    fn drop(&mut self) {
        let mut held = self.limit.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_key) = held.get_mut(&self.key) {
            *of_key -= 1;
            if *of_key == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// An IPv6 host has a network of 2^64 addresses to itself.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_leaves_room_for_the_others() {
        let slots = Slots::new(None);
        let (greedy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held = Vec::new();
        while let Some(slot) = slots.take(slots.room().await.unwrap(), greedy) {
            held.push(slot);
        }
        assert_eq!(held.len(), MAX_CONNECTIONS / 4);
        assert!(slots.take(slots.room().await.unwrap(), other).is_some());
        held.pop();
        assert!(slots.take(slots.room().await.unwrap(), greedy).is_some());
        held.clear();
        assert!(slots.per_address.held.lock().unwrap().is_empty());
    }

    #[test]
    fn few_files_mean_few_connections() {
        assert_eq!(Slots::new(Some(1024)).all.available_permits(), 512);
        assert_eq!(Slots::new(Some(1024)).per_address.most, 128);
        assert_eq!(Slots::new(Some(u64::MAX)).all.available_permits(), MAX_CONNECTIONS);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
