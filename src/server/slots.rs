//! Limits of connections, in all and for one address. hyper and tonic count no connections.

use std::{
    collections::HashMap,
    hash::Hash,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An idle connection costs about 30 KiB. One that had 256 calls at once costs about 600 KiB, most of which HTTP/2 keeps
/// until its end, and unread messages cost 256 KiB more. The share of one address fits into the memory limit of
/// `deploy/base`.
const MAX_CONNECTIONS: usize = 4096;
/// One address has at most a quarter. A proxy for many clients needs far less: each connection carries 256 calls at
/// once.
const ADDRESSES: usize = 4;

#[derive(Clone)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    per_address: Arc<PerKey<IpAddr>>,
}

/// One connection's slot, until it is dropped.
pub(super) type Slot = (OwnedSemaphorePermit, Held<IpAddr>);

impl Slots {
    /// At most half of the open files that the process may have: the admin port, connections to Adobe and files need
    /// the rest.
    pub(super) fn new(file_limit: Option<u64>) -> Self {
        let half = file_limit.and_then(|files| usize::try_from(files / 2).ok());
        let most = half.unwrap_or(MAX_CONNECTIONS).clamp(ADDRESSES, MAX_CONNECTIONS);
        if most < MAX_CONNECTIONS {
            tracing::info!(most, "the limit of open files allows fewer client connections than usual");
        }
        Self { all: Arc::new(Semaphore::new(most)), per_address: PerKey::new(most / ADDRESSES) }
    }

    /// Waits for a permit for one more connection, of any address.
    pub(super) async fn permit(&self) -> io::Result<OwnedSemaphorePermit> {
        if self.all.available_permits() == 0 {
            tracing::warn!("the limit of connections is reached: waiting for one to end");
        }
        Arc::clone(&self.all).acquire_owned().await.map_err(io::Error::other)
    }

    /// `None` if the address has too many.
    pub(super) fn take(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Slot> {
        Some((permit, self.per_address.take(network(address))?))
    }
}

/// A limit for each key.
#[derive(Debug)]
pub(crate) struct PerKey<K: Copy + Eq + Hash> {
    most: usize,
    held: Mutex<HashMap<K, usize>>,
}

/// One of a key's, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held<K: Copy + Eq + Hash> {
    limit: Arc<PerKey<K>>,
    key: K,
}

impl<K: Copy + Eq + Hash> PerKey<K> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// `None` if the key is at its limit.
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

/// The address, or the /64 network of an IPv6 host, which has all of its addresses.
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
    async fn one_address_leaves_slots_for_others() {
        let slots = Slots::new(None);
        let (greedy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held = Vec::new();
        while let Some(slot) = slots.take(slots.permit().await.unwrap(), greedy) {
            held.push(slot);
        }
        assert_eq!(held.len(), MAX_CONNECTIONS / 4);
        assert!(slots.take(slots.permit().await.unwrap(), other).is_some());
        held.pop();
        assert!(slots.take(slots.permit().await.unwrap(), greedy).is_some());
        held.clear();
        assert!(slots.per_address.held.lock().unwrap().is_empty());
    }

    #[test]
    fn fewer_open_files_mean_fewer_connections() {
        assert_eq!(Slots::new(Some(1024)).all.available_permits(), 512);
        assert_eq!(Slots::new(Some(1024)).per_address.most, 128);
        assert_eq!(Slots::new(Some(u64::MAX)).all.available_permits(), MAX_CONNECTIONS);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
