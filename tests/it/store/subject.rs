//! A store under test, with the power to make time pass.

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::idempotency::{CAPACITY, Claim, LEASE, Lease, MemoryStore, Retention, Store};

use super::RedisServer;

pub(crate) const RETENTION: Retention = Retention {
    request_id: Duration::from_secs(24 * 60 * 60),
    settle_window: Duration::from_secs(90),
    lease: LEASE,
};

pub(crate) struct Subject {
    pub(crate) store: Arc<dyn Store>,
    /// `None` for the store in memory.
    server: Option<RedisServer>,
}

impl Subject {
    /// Needs the paused clock.
    pub(crate) fn in_memory() -> Self {
        Self { store: Arc::new(MemoryStore::new(RETENTION, CAPACITY)), server: None }
    }

    /// `None` where there is no Redis and none is required.
    pub(crate) async fn in_redis() -> Option<Self> {
        let server = RedisServer::start().await?;
        Some(Self { store: Arc::new(server.store(RETENTION)), server: Some(server) })
    }

    pub(crate) async fn pass(&self, time: Duration) {
        match &self.server {
            Some(server) => server.pass(time).await,
            None => tokio::time::advance(time).await,
        }
    }

    pub(crate) async fn claim(&self, lease: &Lease) -> Claim {
        self.store.claim(lease).await.unwrap()
    }

    /// Claims a record, and begins to send.
    pub(crate) async fn send(&self, lease: &Lease) {
        assert_eq!(self.claim(lease).await, Claim::Fresh);
        self.store.begin_sending(lease).await.unwrap();
    }
}
