//! How far a call has come, readable by whoever waits for it.

use std::sync::{
    OnceLock,
    atomic::{AtomicU8, Ordering},
};

use super::RequestId;

/// Where the time of a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// The request is being received and parsed.
    Request = 0,
    /// An Adobe access token is being fetched.
    AdobeToken = 1,
    /// The creation is on its way to the Flow Service, which may have carried it out.
    Create = 2,
}

impl Stage {
    /// The name that callers see in the metadata of an error.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::AdobeToken => "adobe_token",
            Self::Create => "create",
        }
    }
}

/// How far a call has come. The task that works on the call writes it; the layer that ends the call
/// when its deadline is spent reads it, so that the error can say what that means.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    request_id: OnceLock<RequestId>,
}

impl Progress {
    /// Notes that the call has reached a stage.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// The stage that the call is in.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Request,
            1 => Stage::AdobeToken,
            _ => Stage::Create,
        }
    }

    /// Notes the name of the creation that the call is about. The first name stays.
    pub fn name_request(&self, request_id: RequestId) {
        // A second name is a mistake of the caller of this method; the first is what was answered.
        let _ = self.request_id.set(request_id);
    }

    /// The name of the creation, once it has one.
    pub fn request_id(&self) -> Option<RequestId> {
        self.request_id.get().copied()
    }

    /// Whether a connection may exist that nobody was told of.
    pub fn may_exist(&self) -> bool {
        self.stage() == Stage::Create
    }
}
