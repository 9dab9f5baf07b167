//! The record of creations: it keeps concurrent callers and replicas apart, gives retries their outcome, and
//! compares their content. It is not the only evidence: see `search`.
//!
//! A creation is a record under its request id, which names one creation in the whole organization. The
//! record moves as follows, under a lease that its holder renews:
//!
//! ```text
//!    ┌── not created ──┐            ┌── not created ──┐
//!    ▼                 │            ▼                 │
//! claimed ──────► sending ──────► unknown ──────► sending     every state ──► done
//!    │▲                             │
//!    ▼│                             │
//! undoing ◄─────────────────────────┘
//! ```
//!
//! `undoing`: the request was refused, and what had been prepared for it is deleted. A holder that takes this record
//! over finishes that first, so that no late deletion meets anything that is in use.
//!
//! Every [`Step`] of a holder names that holder and the state that it expects, and does nothing otherwise, so
//! that a late step changes nothing that it was not meant for. Only [`Store::record`] and [`Store::replace`]
//! need no lease: what they record is true under every lease. After a step whose reply was lost only
//! [`Step::Abandon`] may follow, which weakens no state; after the step to `sending` also [`Step::NotSent`], because
//! nothing was sent then. Both end the hold. A claim whose reply was lost may be repeated by the same holder, as another
//! [`HolderClaim`], and an outcome may be recorded again.
//!
//! A claim takes over a record whose lease has expired: of a `claimed` one nothing was sent; a `sending` one
//! becomes `unknown`, and is searched for at Adobe before anything is sent.
//!
//! Two texts of a record belong to the operation, which alone reads them: the context of a sending or of an undo,
//! and the outcome.

mod memory;
mod outage;
mod redis;
mod weakness;

use std::{
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

pub use self::{
    memory::{CAPACITY, MemoryStore},
    outage::Outage,
    redis::{RedisStore, RedisTlsFiles},
    weakness::Weakness,
};
pub(crate) use self::{redis::RedisUrl, weakness::log_changes as log_weaknesses};
use super::{Fingerprint, Fingerprints};
use crate::domain::RequestId;

/// How long a holder keeps a record without renewing its lease, outside of tests.
pub const LEASE: Duration = Duration::from_secs(15);

/// How long a call waits for a store that is away: longer than a server takes that restarts on another machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How soon after the step to `sending` the first byte has to leave.
pub const SEND_WITHIN: Duration = Duration::from_secs(5);

/// How long things are remembered, and waited for.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// A record, from its last change.
    pub request_id: Duration,
    /// The longest that a creation's request takes, so that it may be executed until then.
    pub create_timeout: Duration,
    /// How long a resource may stay invisible after that.
    pub settle_window: Duration,
    /// How long a holder keeps a record without renewing its lease: [`LEASE`], and less in tests.
    pub lease: Duration,
}

impl Retention {
    /// How long after the step to `sending` a resource that was created is certainly visible.
    pub fn settled_after(&self) -> Duration {
        SEND_WITHIN + self.create_timeout + self.settle_window
    }
}

/// Who holds a record: a new one for each attempt at a creation, so that a holder which lost its lease cannot be
/// mistaken for its successor, which may be the same process. A holder can claim several times.
#[derive(Debug)]
pub struct Holder {
    number: u128,
    claims: AtomicU32,
}

/// One claim of a holder, by which stores know it. Each step names the latest one: an earlier claim that arrives late
/// takes nothing back from a later one, and no step follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderClaim {
    holder: u128,
    count: u32,
}

impl Holder {
    /// A new holder.
    pub fn generate() -> Self {
        // They count up from a random number: as good as random ones, without asking the operating
        // system for each.
        static FIRST: LazyLock<u128> = LazyLock::new(|| uuid::Uuid::new_v4().as_u128());
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = FIRST.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into());
        Self { number, claims: AtomicU32::new(0) }
    }

    /// Begins another claim, before it is sent.
    pub fn begin_claim(&self) {
        self.claims.fetch_add(1, Ordering::Relaxed);
    }

    /// The latest claim.
    pub fn claim(&self) -> HolderClaim {
        HolderClaim { holder: self.number, count: self.claims.load(Ordering::Relaxed) }
    }
}

impl Clone for Holder {
    fn clone(&self) -> Self {
        Self { number: self.number, claims: AtomicU32::new(self.claims.load(Ordering::Relaxed)) }
    }
}

impl HolderClaim {
    /// Whether both are of one holder.
    pub fn is_of_same_holder(self, other: Self) -> bool {
        self.holder == other.holder
    }

    /// Whether this one gives way to another one of the same holder.
    pub fn gives_way_to(self, other: Self) -> bool {
        self.is_of_same_holder(other) && self.count <= other.count
    }
}

/// Of a fixed length, and in the order of the claims of a holder.
impl fmt::Display for HolderClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}{:08x}", self.holder, self.count)
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
    /// The wall clock of the process that took the step, in milliseconds since the Unix epoch.
    /// `None` where the two were found to disagree.
    pub wall_ms: Option<i64>,
}

/// The result of a claim.
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
        /// The context of the last sending.
        context: String,
    },
    /// The record is held. Nothing was sent for it that could still create anything, and this context remains to
    /// be undone before anything else is done.
    Undoing {
        /// What was prepared.
        context: String,
    },
    /// The creation is done. What follows it may not be.
    Done {
        /// The outcome.
        outcome: String,
        /// When it was recorded.
        done: Moment,
    },
    /// The id names a creation with other content, or one whose content cannot be compared.
    OtherContent {
        /// The recorded content.
        stored: Fingerprint,
        /// The outcome, where that creation is done.
        outcome: Option<String>,
    },
    /// Another holder works on it.
    InProgress {
        /// How long its lease still lasts.
        retry_after: Duration,
    },
}

/// A step under a lease, with the state that it expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Any state but `done` → the same.
    Renew,
    /// `claimed` → `sending`, from now and with the given context, under a lease that has not expired.
    BeginSending,
    /// `unknown` → `sending`, from now and with the given context, under a lease that has not expired: it is proven
    /// that nothing was created. The time of the first sending stays.
    Resend,
    /// `sending` → `claimed`, after a refusal that is certain: nothing was created, and another attempt may
    /// follow. → `unknown` where an earlier sending was lost.
    NotCreated,
    /// `sending`, whose begin this holder has not learned about, so that it has sent nothing → as [`Step::NotCreated`]
    /// does; every other state but `done` → the same. Without a holder in each case: it takes no step after this one.
    /// Of an earlier sending of this holder it is certain by then that it created nothing.
    NotSent,
    /// `sending` → `unknown`.
    OutcomeUnknown,
    /// `unknown`, whose clocks disagree → the same, last sent now, by the store's clock alone.
    DistrustClocks,
    /// `claimed`; `unknown`, where it is proven that nothing was created; or `undoing` → `undoing`, with the given
    /// context, under a lease that has not expired.
    Undo,
    /// `undoing` → `claimed`: nothing remains to be undone.
    Undone,
    /// `claimed`; `unknown`, where it is proven that nothing was created or what was created is known; or `undoing`
    /// → `done` with the given outcome, under a lease that has not expired.
    Withdraw,
    /// `claimed` → no record.
    Release,
    /// Any state but `done` → the same, without a holder, whichever claim of this holder it was.
    Abandon,
}

impl Step {
    /// Its name in scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::BeginSending => "begin_sending",
            Self::Resend => "resend",
            Self::NotCreated => "not_created",
            Self::NotSent => "not_sent",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::DistrustClocks => "distrust_clocks",
            Self::Undo => "undo",
            Self::Undone => "undone",
            Self::Withdraw => "withdraw",
            Self::Release => "release",
            Self::Abandon => "abandon",
        }
    }
}

/// How it is known what a creation made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The reply to the creation named it.
    Reply,
    /// The reply was lost, and a search found it.
    Search,
    /// There was no record of the creation, and a search found it.
    Unrecorded,
}

/// The result of recording an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is recorded, where a record is kept.
    Done,
    /// The record has another outcome, which stays.
    Already(String),
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
    /// The record is not held, or not in the state that the step expects.
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
        sleep(CHECK_INTERVAL).await;
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

    /// Does what a creation needs, with a key of its own, so that [`Store::outage`] is up to date: it
    /// writes, since a server that only reads is of no use. A connection that is gone is found before a
    /// creation needs it. A store that cannot fail has nothing to check.
    async fn check(&self) {}

    /// No record, or one whose lease has expired or is that of an earlier claim of this holder → held. The state stays, except that
    /// `sending` becomes `unknown`.
    async fn claim(&self, lease: &Lease, wall_ms: i64) -> Result<Claim, StoreError>;

    /// A step of the holder, which renews its lease. `text` is the context of a sending or of an undo, the outcome
    /// of a withdrawal, and empty otherwise.
    async fn step(&self, lease: &Lease, step: Step, text: &str, wall_ms: i64) -> Result<(), StoreError>;

    /// → `done`, in every state but `done`, without a record, and under another's lease: a true outcome is
    /// always recorded. Without an `outcome` the record is removed: no caller has the id. A record that is
    /// `done` stays as it is, even if it has the same outcome.
    async fn record(
        &self,
        lease: &Lease,
        outcome: Option<&str>,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError>;

    /// Replaces the outcome of a record that is `done`, if it still is the expected one. That is a change like
    /// every other: from then on the record is remembered for its full time again. Where there is no such
    /// record nothing is recorded.
    async fn replace(
        &self,
        request_id: &RequestId,
        expected: &str,
        outcome: &str,
    ) -> Result<Recorded, StoreError>;
}
