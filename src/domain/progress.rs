//! How far a call or a creation has come. One task writes it, and any other may read it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering, fence},
};

use super::{Identity, RequestId, text::names};

names! {
    /// The steps of a call, with their names in the metadata of errors.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum Stage {
        /// Receiving and parsing the request.
        #[default]
        Request = "request",
        /// Claiming the request id in the idempotency store.
        Claim = "claim",
        /// Waiting for an Adobe access token, or for the end of a throttle.
        AdobeToken = "adobe_token",
        /// Finding or creating what the request refers to.
        Prepare = "prepare",
        /// Creating the connection or the dataflow in the Flow Service.
        Create = "create",
        /// Searching for a connection after the response was lost.
        Reconcile = "reconcile",
        /// Deleting what was prepared for a request that was refused.
        Undo = "undo",
        /// Waiting before the next attempt.
        BackOff = "back_off",
        /// Asking HubSpot about the credentials, or testing the new connection.
        Verify = "verify",
        /// Reading from the Flow Service.
        Read = "read",
        Update = "update",
        Delete = "delete",
    }
}

/// A stage that is shared between tasks.
#[derive(Debug, Default)]
struct SharedStage(AtomicU8);

impl SharedStage {
    fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Release);
    }

    fn get(&self) -> Stage {
        Stage::ALL[usize::from(self.0.load(Ordering::Acquire))]
    }
}

/// The progress of a creation.
#[derive(Debug)]
pub struct Progress {
    request_id: RequestId,
    stage: SharedStage,
    may_exist: AtomicBool,
    may_be_forgotten: AtomicBool,
    sent: AtomicU32,
}

impl Progress {
    /// The progress of a creation that has not begun. `may_exist`: the id may have been used before.
    pub fn new(request_id: RequestId, may_exist: bool) -> Self {
        Self {
            request_id,
            stage: SharedStage::default(),
            may_exist: AtomicBool::new(may_exist),
            may_be_forgotten: AtomicBool::new(false),
            sent: AtomicU32::new(0),
        }
    }

    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    pub fn enter(&self, stage: Stage) {
        self.stage.set(stage);
    }

    pub fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// How often the creation was sent so far.
    pub fn sent_before(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Counts an attempt to send the creation.
    pub fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the store may have forgotten an earlier attempt: from then on a connection may exist in any
    /// case.
    pub fn set_may_be_forgotten(&self) {
        self.may_be_forgotten.store(true, Ordering::SeqCst);
        self.set_may_exist(true);
    }

    /// Whether the store may have forgotten an earlier attempt.
    pub fn may_be_forgotten(&self) -> bool {
        self.may_be_forgotten.load(Ordering::SeqCst)
    }

    /// Records whether a connection may exist that no response has reported.
    pub fn set_may_exist(&self, may_exist: bool) {
        let may_exist = may_exist || self.may_be_forgotten.load(Ordering::SeqCst);
        self.may_exist.store(may_exist, Ordering::SeqCst);
        // SeqCst fence: must not be reordered with a check for waiting callers; pairs with the fence in
        // `may_exist`.
        fence(Ordering::SeqCst);
    }

    /// Whether a connection may exist that no response has reported.
    pub fn may_exist(&self) -> bool {
        // SeqCst fence: must not be reordered with the end of waiting; pairs with the fence in
        // `set_may_exist`.
        fence(Ordering::SeqCst);
        self.may_exist.load(Ordering::SeqCst)
    }
}

/// The progress of a call, and its caller. A call that creates has the progress of its creation.
#[derive(Debug, Default)]
pub struct CallProgress {
    caller: OnceLock<Identity>,
    creation: OnceLock<Arc<Progress>>,
    stage: SharedStage,
}

impl CallProgress {
    /// Sets the caller, once.
    pub fn called_by(&self, caller: Identity) {
        // A second caller would be a bug in this crate.
        let _ = self.caller.set(caller);
    }

    /// `None` where callers are not checked.
    pub fn caller(&self) -> Option<&Identity> {
        self.caller.get()
    }

    /// Sets the creation, once.
    pub fn follow(&self, creation: &Arc<Progress>) {
        // A second creation would be a bug in this crate.
        let _ = self.creation.set(Arc::clone(creation));
    }

    /// `None` until the creation begins.
    pub fn creation(&self) -> Option<&Progress> {
        self.creation.get().map(|progress| &**progress)
    }

    pub fn enter(&self, stage: Stage) {
        self.stage.set(stage);
    }

    /// The stage of the creation, if there is one.
    pub fn stage(&self) -> Stage {
        self.creation().map_or_else(|| self.stage.get(), Progress::stage)
    }
}
