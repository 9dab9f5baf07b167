//! Room for connections: so many in all, and so many for one address.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More would exceed the usual limit of 65,536 open files together with the upstream's connections.
const MAX_CONNECTIONS: usize = 16_384;
/// No address takes more than a quarter of that. A proxy that many callers are behind needs far less:
/// each connection carries 256 calls at once.
const MAX_PER_ADDRESS: usize = MAX_CONNECTIONS / 4;

/// What room there is.
#[derive(Clone)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The room of one connection, until it is dropped.
pub(super) struct Slot {
    _of_all: OwnedSemaphorePermit,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_CONNECTIONS)), taken: Arc::default() }
    }

    /// Waits until there is room for another connection, whoever makes it.
    pub(super) async fn room(&self) -> io::Result<OwnedSemaphorePermit> {
        Arc::clone(&self.all).acquire_owned().await.map_err(io::Error::other)
    }

    /// Gives the room to an address; `None` where it has too much already.
    pub(super) fn take(&self, room: OwnedSemaphorePermit, address: IpAddr) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.entry(address).or_default();
        if *of_address >= MAX_PER_ADDRESS {
            return None;
        }
        *of_address += 1;
        Some(Slot { _of_all: room, taken: Arc::clone(&self.taken), address })
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
        let slots = Slots::new();
        let (greedy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held = Vec::new();
        while let Some(slot) = slots.take(slots.room().await.unwrap(), greedy) {
            held.push(slot);
        }
        assert_eq!(held.len(), MAX_PER_ADDRESS);
        assert!(slots.take(slots.room().await.unwrap(), other).is_some());
        held.pop();
        assert!(slots.take(slots.room().await.unwrap(), greedy).is_some());
        held.clear();
        assert!(slots.taken.lock().unwrap().is_empty());
    }
}
