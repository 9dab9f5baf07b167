//! How far a call has come, readable by whoever waits for it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering, fence},
};

use super::{Identity, RequestId};

/// Where the time of a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// The request is being received and parsed.
    Request = 0,
    /// The creation is being claimed in the idempotency store.
    Claim = 1,
    /// Waiting for an Adobe access token, or for the end of a throttle.
    AdobeToken = 2,
    /// The creation is on its way to the Flow Service.
    Create = 3,
    /// The answer was lost, and the connection is being looked for.
    Reconcile = 4,
    /// Waiting before the next attempt.
    BackOff = 5,
    /// The new connection is being tested.
    Verify = 6,
    /// Something is being read from the Flow Service.
    Read = 7,
    /// A change is on its way to the Flow Service.
    Update = 8,
    /// A deletion is on its way to the Flow Service.
    Delete = 9,
}

impl Stage {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Request,
            1 => Self::Claim,
            2 => Self::AdobeToken,
            3 => Self::Create,
            4 => Self::Reconcile,
            5 => Self::BackOff,
            6 => Self::Verify,
            7 => Self::Read,
            8 => Self::Update,
            _ => Self::Delete,
        }
    }

    /// The name that callers see in the metadata of an error.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Claim => "claim",
            Self::AdobeToken => "adobe_token",
            Self::Create => "create",
            Self::Reconcile => "reconcile",
            Self::BackOff => "back_off",
            Self::Verify => "verify",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// How far a creation has come. Whoever works on it writes, and whoever waits for it reads.
#[derive(Debug)]
pub struct Progress {
    request_id: RequestId,
    stage: AtomicU8,
    may_exist: AtomicBool,
    may_be_forgotten: AtomicBool,
    sent: AtomicU32,
}

impl Progress {
    /// The progress of a creation that has not begun. Under an id that may have been used before,
    /// something may exist.
    pub fn new(request_id: RequestId, may_exist: bool) -> Self {
        Self {
            request_id,
            stage: AtomicU8::new(Stage::Request as u8),
            may_exist: AtomicBool::new(may_exist),
            may_be_forgotten: AtomicBool::new(false),
            sent: AtomicU32::new(0),
        }
    }

    /// The name of the creation.
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// Notes that the creation has reached a stage.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// The stage that the creation is in.
    pub fn stage(&self) -> Stage {
        Stage::from_number(self.stage.load(Ordering::Acquire))
    }

    /// How often the creation was sent so far.
    pub fn sent_before(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Notes that the creation was sent.
    pub fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that an earlier attempt may have been forgotten: then a connection may exist in any case.
    pub fn set_may_be_forgotten(&self) {
        self.may_be_forgotten.store(true, Ordering::SeqCst);
        self.set_may_exist(true);
    }

    /// Notes whether a connection may exist that nobody was told of.
    pub fn set_may_exist(&self, may_exist: bool) {
        let may_exist = may_exist || self.may_be_forgotten.load(Ordering::SeqCst);
        self.may_exist.store(may_exist, Ordering::SeqCst);
        // Must not be reordered with a look at whether anybody waits; pairs with the fence in `may_exist`.
        fence(Ordering::SeqCst);
    }

    /// Whether a connection may exist that nobody was told of.
    pub fn may_exist(&self) -> bool {
        // Must not be reordered with the end of waiting; pairs with the fence in `set_may_exist`.
        fence(Ordering::SeqCst);
        self.may_exist.load(Ordering::SeqCst)
    }
}

/// The progress of a call: that of the creation that it is about, where it is about one; and who makes it.
#[derive(Debug)]
pub struct CallProgress {
    caller: OnceLock<Identity>,
    creation: OnceLock<Arc<Progress>>,
    stage: AtomicU8,
}

impl Default for CallProgress {
    fn default() -> Self {
        Self {
            caller: OnceLock::new(),
            creation: OnceLock::new(),
            stage: AtomicU8::new(Stage::Request as u8),
        }
    }
}

impl CallProgress {
    /// Notes who makes the call. The first one stays.
    pub fn called_by(&self, caller: Identity) {
        // A call has one caller; a second one would be a mistake in this crate.
        let _ = self.caller.set(caller);
    }

    /// Who makes the call, where callers are checked.
    pub fn caller(&self) -> Option<&Identity> {
        self.caller.get()
    }

    /// Notes which creation the call is about. The first one stays.
    pub fn follow(&self, creation: &Arc<Progress>) {
        // A call is about one creation; a second one would be a mistake in this crate.
        let _ = self.creation.set(Arc::clone(creation));
    }

    /// The progress of the creation, once there is one.
    pub fn creation(&self) -> Option<&Progress> {
        self.creation.get().map(|progress| &**progress)
    }

    /// Notes that the call has reached a stage. One about a creation is at the creation's.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// The stage that the call is in.
    pub fn stage(&self) -> Stage {
        match self.creation() {
            Some(creation) => creation.stage(),
            None => Stage::from_number(self.stage.load(Ordering::Acquire)),
        }
    }
}
