//! Room for connections: so many in all, and so many for one address.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At some 30 KiB each.
const MAX_CONNECTIONS: usize = 16_384;
/// No address takes more than a quarter. A proxy that many callers are behind needs far less: each
/// connection carries 256 calls at once.
const ADDRESSES: usize = 4;

/// What room there is.
#[derive(Clone)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    most_per_address: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The room of one connection, until it is dropped.
pub(super) struct Slot {
    _of_all: OwnedSemaphorePermit,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Slots {
    /// Room for as many connections as the limit of open files allows: half of it is left to the
    /// upstream's connections and to files.
    pub(super) fn new(file_limit: Option<u64>) -> Self {
        let half = file_limit.and_then(|files| usize::try_from(files / 2).ok());
        let most = half.unwrap_or(MAX_CONNECTIONS).clamp(ADDRESSES, MAX_CONNECTIONS);
        if most < MAX_CONNECTIONS {
            tracing::info!(most, "the limit of open files allows fewer connections of callers than usual");
        }
        Self {
            all: Arc::new(Semaphore::new(most)),
            most_per_address: most / ADDRESSES,
            taken: Arc::default(),
        }
    }

    /// Waits until there is room for another connection, whoever makes it.
    pub(super) async fn room(&self) -> io::Result<OwnedSemaphorePermit> {
        if self.all.available_permits() == 0 {
            tracing::warn!("there is no room for another connection: waiting for one to end");
        }
        Arc::clone(&self.all).acquire_owned().await.map_err(io::Error::other)
    }

    /// Gives the room to an address; `None` where it has too much already.
    pub(super) fn take(&self, room: OwnedSemaphorePermit, address: IpAddr) -> Option<Slot> {
        let address = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.entry(address).or_default();
        if *of_address >= self.most_per_address {
            return None;
        }
        *of_address += 1;
        Some(Slot { _of_all: room, taken: Arc::clone(&self.taken), address })
    }
}

/// An IPv6 host has a network of 2^64 addresses to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = taken.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.remove(&self.address);
            }
        }
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
        assert!(slots.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn few_files_mean_few_connections() {
        assert_eq!(Slots::new(Some(1024)).all.available_permits(), 512);
        assert_eq!(Slots::new(Some(1024)).most_per_address, 128);
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
