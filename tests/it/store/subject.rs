//! A store under test whose time can be advanced.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use hubspot_connection_service::exactly_once::store::{
    CAPACITY, Claim, LEASE, Lease, MemoryStore, Origin, RedisStore, Retention, Store,
};
use hubspot_connection_service::service::Outcome;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{
    RedisServer, connection,
    expect::assert_fresh,
    redis_server::ORG,
    step::{Keep, Recorded, Steps as _, read},
};

pub(crate) const RETENTION: Retention = Retention {
    request_id: Duration::from_secs(24 * 60 * 60),
    create_timeout: Duration::from_secs(60),
    settle_window: Duration::from_secs(90),
    lease: LEASE,
};

/// The wall clock of every caller at the start of a test.
pub(super) const BEGIN_MS: i64 = 1_750_000_000_000;

pub(crate) struct Subject {
    pub(crate) store: Arc<dyn Store>,
    /// `None` for the store in memory.
    pub(super) server: Option<RedisServer>,
    began: Instant,
    /// The time that passed only in Redis.
    passed_ms: AtomicI64,
}

impl Subject {
    /// Needs the paused clock.
    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(MemoryStore::new(RETENTION, CAPACITY)), None)
    }

    /// As the user in deploy/README.md, which may do nothing else. `None` if there is no Redis and none
    /// is required.
    pub(crate) async fn in_redis() -> Option<Self> {
        let server = RedisServer::start().await?;
        let url = SecretString::from(server.documented_url().await);
        let store = RedisStore::connect(url.into(), ORG, RETENTION).unwrap();
        Some(Self::new(Arc::new(store), Some(server)))
    }

    fn new(store: Arc<dyn Store>, server: Option<RedisServer>) -> Self {
        Self { store, server, began: Instant::now(), passed_ms: AtomicI64::new(0) }
    }

    /// The present time of the callers' wall clock.
    pub(super) fn wall_ms(&self) -> i64 {
        let since = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        BEGIN_MS + since + self.passed_ms.load(Ordering::Relaxed)
    }

    pub(crate) async fn pass(&self, time: Duration) {
        match &self.server {
            Some(server) => {
                server.pass(time).await;
                self.passed_ms.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
            }
            None => tokio::time::advance(time).await,
        }
    }

    pub(crate) async fn claim(&self, lease: &Lease) -> Claim {
        self.store.claim(lease, self.wall_ms()).await.unwrap()
    }

    pub(super) async fn begin_sending(&self, lease: &Lease) {
        self.store.begin_sending(lease, self.wall_ms()).await.unwrap();
    }

    pub(super) async fn resend(&self, lease: &Lease) {
        self.store.resend(lease, self.wall_ms()).await.unwrap();
    }

    /// Claims a record and starts to send.
    pub(crate) async fn send(&self, lease: &Lease) {
        assert_fresh(self.claim(lease).await);
        self.begin_sending(lease).await;
    }

    /// Claims a record, sends, loses the outcome, and sends again.
    pub(super) async fn send_twice(&self, lease: &Lease) {
        self.send(lease).await;
        self.store.outcome_unknown(lease).await.unwrap();
        self.resend(lease).await;
    }

    /// Records that the Flow Service named this connection in its reply.
    pub(super) async fn done(&self, lease: &Lease, id: &str, keep: Keep) -> Recorded {
        let wall_ms = self.wall_ms();
        self.store.done(lease, &connection(id), Origin::Reply, keep, wall_ms).await.unwrap()
    }

    /// The reply to a claim of a done record.
    pub(super) async fn outcome(&self, lease: &Lease) -> Outcome {
        let claim = self.claim(lease).await;
        let Claim::Done { outcome, .. } = claim else { panic!("{claim:?}") };
        read(&outcome).unwrap()
    }

    /// The fields of a record, if the store can be inspected.
    pub(super) async fn fields(&self, lease: &Lease) -> Option<BTreeMap<String, String>> {
        Some(self.server.as_ref()?.fields(&lease.request_id).await)
    }
}
