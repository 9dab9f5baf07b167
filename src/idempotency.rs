//! The record of creations: what makes one request one connection.
//!
//! A creation is a record under its request id, and a lock on its name. The record moves
//!
//! ```text
//! claimed ──► sending ──► done
//!    ▲           │ │        ▲
//!    └───────────┘ └► unknown
//! ```
//!
//! under a lease that its holder renews. Whoever finds the lease of a `claimed` record expired takes
//! it over: nothing was sent. Of a `sending` one nobody knows: it is `unknown`, and is looked for at
//! the Flow Service before anything is sent again.
//!
//! What is `done` needs no lease. Where the creation asked for verification, its record has a verdict,
//! too, which whoever tested the connection may write: the first definite one stays.
//!
//! All times are those of the store, so that replicas need not agree on a clock; what leaves it is
//! durations.

mod fingerprint;
mod followed_keys;
mod memory;
mod redis;

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use self::{
    fingerprint::{Fingerprint, FingerprintKeys, Fingerprints},
    followed_keys::FollowedKeys,
    memory::{CAPACITY, MemoryStore},
    redis::{InvalidRedisUrl, RedisStore},
};
use crate::domain::{ConnectionId, ConnectionName, CreatedConnection, RequestId, SandboxName, TestReport};

/// How long a holder keeps a record without renewing its lease, outside of tests.
pub const LEASE: Duration = Duration::from_secs(15);

/// How long things are remembered.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// A record, from its last change.
    pub request_id: Duration,
    /// How long a creation whose answer was lost may still arrive: from the moment of sending its
    /// name stays locked for so long.
    pub settle_window: Duration,
    /// How long a holder keeps a record without renewing its lease: [`LEASE`], and less in tests.
    pub lease: Duration,
}

/// The name of a creation within the organization that the store serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The sandbox of the connection.
    pub sandbox: SandboxName,
    /// The request id.
    pub request_id: RequestId,
}

/// Who holds a record: a new one for each claim, so that a holder which lost its lease cannot be
/// mistaken for its successor, which may be the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder([u8; 16]);

impl Holder {
    /// A holder that never was.
    pub fn generate() -> Self {
        // From a random number they count up: as good as random ones, without asking the operating
        // system for each.
        static FIRST: LazyLock<u128> = LazyLock::new(|| uuid::Uuid::new_v4().as_u128());
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = FIRST.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into());
        Self(number.to_be_bytes())
    }

    /// The bytes by which stores tell holders apart.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What a creation needs of its record. The same value goes with every step of one attempt.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The record.
    pub key: Key,
    /// The name to lock.
    pub name: ConnectionName,
    /// The content, for comparison with later requests of the same id.
    pub fingerprints: Fingerprints,
    /// Who claims it.
    pub holder: Holder,
}

/// What a claim comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The record is held, and nothing was sent for it.
    Fresh,
    /// The record is held, and what was sent for it has an unknown outcome.
    Unknown {
        /// How long ago it was first sent.
        first_sent: Duration,
        /// How long ago it was last sent.
        last_sent: Duration,
    },
    /// The creation is done. Its verification may not be.
    Done(Outcome),
    /// The id names a creation with other content.
    OtherContent,
    /// Another holder works on it.
    InProgress {
        /// What is left of its lease.
        retry_after: Duration,
    },
    /// A creation under another id has the name locked.
    NameInProgress {
        /// When the lock ends, unless it is extended.
        retry_after: Duration,
    },
}

/// The connection that a creation made, and where its verification stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The connection.
    pub connection: CreatedConnection,
    /// `None` where no verification was asked for.
    pub verdict: Option<Verdict>,
}

/// Where the verification of a created connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was not tested yet, or nothing definite came out.
    Pending,
    /// It was tested, and the report is final.
    Passed(TestReport),
    /// The test said no. Where the connection is to be deleted, it still has to be.
    Failed(TestReport),
    /// The test said no, and the connection was deleted again.
    Deleted(TestReport),
}

impl Verdict {
    /// Whether a record that has this one takes the other instead.
    fn yields_to(&self, other: &Self) -> bool {
        match self {
            Self::Pending => *other != Self::Pending,
            Self::Failed(_) => matches!(other, Self::Deleted(_)),
            Self::Passed(_) | Self::Deleted(_) => false,
        }
    }
}

/// How much of an outcome is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// No record: the id is nobody's to repeat.
    Forget,
    /// The record, of a creation without verification.
    Remember,
    /// The record, with [`Verdict::Pending`].
    RememberUnverified,
}

/// What recording an outcome comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is the record's outcome.
    Done,
    /// The record has an outcome already, the same or another one, which stays.
    Already(Outcome),
    /// The connection is the outcome of another request id.
    BelongsToAnother,
}

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, or fails.
    #[error("the idempotency store fails")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store has no room for another id.
    #[error("the idempotency store is full")]
    Full,
    /// The record is not held any more: the lease has expired, and another holder may have it.
    #[error("the lease is lost")]
    LeaseLost,
}

/// How often a store is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Checks the store for as long as this is polled.
pub(crate) async fn keep_checking(store: Arc<dyn Store>) {
    loop {
        store.check().await;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Keeps the records. Each method is one atomic step.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// Whether the last step got an answer. What only reports it need not take a step.
    fn is_available(&self) -> bool {
        true
    }

    /// Takes a step that changes nothing, so that what [`Store::is_available`] tells is not old, and a
    /// connection that is gone is found out by nobody's creation. Without a connection there is nothing
    /// to check.
    async fn check(&self) {}

    /// Takes the record and the lock on its name together, or says why not. A `sending` record
    /// whose lease has expired becomes `unknown` here.
    async fn claim(&self, lease: &Lease) -> Result<Claim, StoreError>;

    /// Renews the lease, and extends the lock to its end.
    async fn renew(&self, lease: &Lease) -> Result<(), StoreError>;

    /// `claimed`, `sending` or `unknown` → `sending`, from now. Locks the name for the settle
    /// window.
    async fn begin_sending(&self, lease: &Lease) -> Result<(), StoreError>;

    /// `sending` → `claimed`: nothing was created, and another attempt may follow.
    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError>;

    /// `sending` → `unknown`, still held.
    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError>;

    /// → `done`, whoever holds the record, and also where there is none any more: it is the truth.
    /// Ends the lock. With [`Keep::Forget`] the record is forgotten; in any case the connection
    /// stays known as the outcome of this id for as long as ids are remembered, so that no other
    /// adopts it. Where the record is `done` already nothing changes, and its verdict stays.
    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        keep: Keep,
    ) -> Result<Recorded, StoreError>;

    /// Records a verdict about a connection that is the outcome of this id, and answers with the one
    /// that is recorded then: the first definite one stays, except that [`Verdict::Failed`] may
    /// become [`Verdict::Deleted`]. A verdict that is taken is a change like every other: from then
    /// on the record and the outcome are remembered anew.
    ///
    /// Nothing is recorded where there is no such record (any more), or one without verification:
    /// then the given verdict is the answer.
    async fn verified(
        &self,
        key: &Key,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError>;

    /// Forgets a record for which nothing was created, and ends the lock.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Leaves an `unknown` record to whoever claims it next. The lock stays until its end.
    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Those of these connections that are the outcome of another request id.
    async fn outcomes_of_others(
        &self,
        key: &Key,
        connections: &[ConnectionId],
    ) -> Result<Vec<ConnectionId>, StoreError>;
}
