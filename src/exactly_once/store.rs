//! The record of creations: what keeps concurrent callers and replicas apart, answers retries quickly,
//! and compares their content. It is not the only evidence: see `service::search`.
//!
//! A creation is a record under its request id, which names one creation in the whole organization. The
//! record moves as follows, under a lease that its holder renews:
//!
//! ```text
//!    ┌── not created ──┐            ┌── not created ──┐
//!    ▼                 │            ▼                 │
//! claimed ──────► sending ──────► unknown ──────► sending     every state ──► done
//! ```
//!
//! Every step of a holder names that holder and the state that it expects, and does nothing otherwise, so
//! that a late step changes nothing that it was not meant for. Only `done` and `verified` need no lease: what
//! they record is true under every lease.
//! After a step whose reply was lost only [`Store::abandon`] may follow: it weakens no state.
//!
//! Who claims a record whose lease has expired takes it over: of a `claimed` one nothing was sent; a
//! `sending` one becomes `unknown`, and is searched for at the Flow Service before anything is sent.
//!
//! What is `done` needs no lease. Where the creation asked for verification, its record has a verdict,
//! too, which every replica that tested the connection may write: the first definite one stays.

mod memory;
mod outage;
mod redis;
mod weakness;

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use self::{
    memory::{CAPACITY, MemoryStore},
    outage::Outage,
    redis::{RedisStore, RedisTlsFiles},
    weakness::Weakness,
};
pub(crate) use self::{redis::RedisUrl, weakness::log_changes as log_weaknesses};
use super::{Fingerprint, Fingerprints};
use crate::domain::{ConnectionId, CreatedConnection, RequestId, TestReport};

/// How long a holder keeps a record without renewing its lease, outside of tests.
pub const LEASE: Duration = Duration::from_secs(15);

/// How soon after the step to `sending` the first byte has to leave.
pub const SEND_WITHIN: Duration = Duration::from_secs(5);

/// How long things are remembered, and waited for.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// A record, from its last change.
    pub request_id: Duration,
    /// The longest that a creation's request takes, so that it may be executed until then.
    pub create_timeout: Duration,
    /// How long a connection may stay invisible after that.
    pub settle_window: Duration,
    /// How long a holder keeps a record without renewing its lease: [`LEASE`], and less in tests.
    pub lease: Duration,
}

impl Retention {
    /// How long after the step to `sending` a connection that was created is certainly visible.
    pub fn settled_after(&self) -> Duration {
        SEND_WITHIN + self.create_timeout + self.settle_window
    }
}

/// Who holds a record: a new one for each claim, so that a holder which lost its lease cannot be
/// mistaken for its successor, which may be the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder([u8; 16]);

impl Holder {
    /// A holder that never was.
    pub fn generate() -> Self {
        // They count up from a random number: as good as random ones, without asking the operating
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
    pub request_id: RequestId,
    /// The content, for comparison with later requests of the same id.
    pub fingerprints: Fingerprints,
    /// Who claims it.
    pub holder: Holder,
}

/// A moment by two clocks, neither of which can be trusted alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// How long ago it was by the store's clock, in milliseconds. Negative where that was set back.
    pub store_ago_ms: i64,
    /// What the wall clock of the process said that took the step, in milliseconds since the Unix epoch.
    /// `None` where the two were found to disagree.
    pub wall_ms: Option<i64>,
}

/// What a claim comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The record is held, and as far as the store knows nothing was sent for it.
    Fresh {
        /// For how long the store has forgotten nothing: what was sent before may have been forgotten.
        remembers_for: Duration,
    },
    /// The record is held, and what was sent for it has an unknown outcome.
    Unknown {
        /// When it was first sent.
        first_sent: Moment,
        /// When it was last sent.
        last_sent: Moment,
    },
    /// The creation is done. Its verification may not be.
    Done {
        /// What it made.
        outcome: Outcome,
        /// When that was recorded.
        done: Moment,
    },
    /// The id names a creation with other content, or one whose content cannot be compared.
    OtherContent {
        /// What the record has.
        stored: Fingerprint,
        /// The connection that it made, where it is done.
        connection: Option<ConnectionId>,
    },
    /// Another holder works on it.
    InProgress {
        /// What is left of its lease.
        retry_after: Duration,
    },
}

/// The connection that a creation made, and where its verification stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The connection.
    pub connection: CreatedConnection,
    /// How that is known.
    pub origin: Origin,
    /// `None` where no verification was asked for.
    pub verdict: Option<Verdict>,
}

/// How it is known which connection a creation made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The Flow Service replied so.
    Reply,
    /// The reply was lost, and a search found it.
    Search,
    /// There was no record of the creation, and a search found it.
    Unrecorded,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Search => "search",
            Self::Unrecorded => "unrecorded",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Reply, Self::Search, Self::Unrecorded].into_iter().find(|origin| origin.name() == name)
    }
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
    /// No record: nobody has the id.
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
}

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, or fails.
    #[error("the idempotency store fails")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store has no space for another id.
    #[error("the idempotency store is full")]
    Full,
    /// The record is not held any more, or not in the state that the step expects.
    #[error("the lease is lost")]
    LeaseLost,
    /// This version cannot read the record: it is damaged, or a newer version wrote it.
    #[error("the record cannot be read: {0}")]
    Unreadable(String),
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

/// Keeps the records. Each method is one atomic step; `wall_ms` is the present time of the caller's wall
/// clock, in milliseconds since the Unix epoch.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// Why the store cannot be used, as of the last check, or of a step that has failed since. What only
    /// reports it need not take a step.
    fn outage(&self) -> Option<Outage> {
        None
    }

    /// Whether there is no [`Store::outage`].
    fn is_available(&self) -> bool {
        self.outage().is_none()
    }

    /// Why the store may forget ids, as far as is known by now.
    fn weaknesses(&self) -> Vec<Weakness> {
        Vec::new()
    }

    /// Does what a creation needs, in a place of its own, so that [`Store::outage`] is up to date: it
    /// writes, since a server that only reads is of no use. A connection that is gone is found before a
    /// creation needs it. A store that cannot fail has nothing to check.
    async fn check(&self) {}

    /// No record, or one whose lease has expired or is this holder's → held. The state stays, except that
    /// `sending` becomes `unknown`.
    async fn claim(&self, lease: &Lease, wall_ms: i64) -> Result<Claim, StoreError>;

    /// Renews the lease.
    async fn renew(&self, lease: &Lease) -> Result<(), StoreError>;

    /// `claimed` → `sending`, from now, under a lease that has not expired.
    async fn begin_sending(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError>;

    /// `unknown` → `sending`, from now, under a lease that has not expired: it is proven that nothing was
    /// created. The time of the first sending stays.
    async fn resend(&self, lease: &Lease, wall_ms: i64) -> Result<(), StoreError>;

    /// `sending` → `claimed`, after a refusal that is certain: nothing was created, and another attempt may
    /// follow. → `unknown` where an earlier sending was lost.
    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError>;

    /// `sending` → `unknown`, still held.
    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError>;

    /// `unknown`, whose clocks disagree → the same, last sent now, by the store's clock alone.
    async fn distrust_clocks(&self, lease: &Lease) -> Result<(), StoreError>;

    /// → `done`, in every state but `done`, without a record, and under another's lease: a true outcome is
    /// always recorded. With [`Keep::Forget`] the record is removed. A record that is `done` already stays
    /// as it is.
    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        origin: Origin,
        keep: Keep,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError>;

    /// Records a verdict about the connection that is the outcome of this id, and returns the one that is
    /// recorded then: the first definite one stays, except that [`Verdict::Failed`] may become
    /// [`Verdict::Deleted`]. A verdict that is taken is a change like every other: from then on the record
    /// is remembered for its full time again.
    ///
    /// Nothing is recorded where there is no such record, or one without verification: then the given
    /// verdict is returned.
    async fn verified(
        &self,
        request_id: &RequestId,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError>;

    /// `claimed` → no record.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Leaves the record, in the state that it is in, to the next one who claims it.
    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError>;
}
