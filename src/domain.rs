//! Values that cannot be invalid: each is made by one `parse`, and nothing checks it again.
//!
//! Nothing here knows gRPC, HTTP or JSON.

mod caller;
mod connection;
pub mod dataflow;
mod progress;
pub mod reference;
mod request_id;
mod resource;
mod sandbox;
mod text;
mod upstream_time;

pub use self::{
    caller::{Access, Callers, FINGERPRINT, Identity, dns_name},
    connection::{
        Check, CheckName, CheckState, Column, Connection, ConnectionChanges, ConnectionId, ConnectionRef,
        ConnectionState, CreatedConnection, Credential, HubSpotCredentials, NewConnection, StoredCredentials,
        Table, TablePath, TestReport, Verification,
    },
    progress::{CallProgress, Progress, Stage},
    request_id::RequestId,
    resource::{Description, Etag, ResourceName},
    sandbox::{AllowedSandboxes, SandboxName, SandboxNotAllowed, Sandboxes},
    upstream_time::{UpstreamTime, UpstreamWait},
};

/// Why a value is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Invalid {
    pub reason: InvalidReason,
    /// How to write the value, to follow the name of its field. It never repeats the value, which may be a
    /// secret.
    pub sentence: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidReason {
    /// Missing or empty.
    Required,
    TooLong,
    Malformed,
    OutOfRange,
    /// Well-formed, but not accepted here.
    NotAllowed,
    /// Excluded by another value of the request.
    Conflicting,
    /// Not one of the values of an enum.
    UnknownValue,
    /// Adobe does not have what it refers to.
    NotFoundUpstream,
}

impl Invalid {
    pub fn new(reason: InvalidReason, sentence: impl Into<String>) -> Self {
        Self { reason, sentence: sentence.into() }
    }
}

/// Malformed. The configuration uses this for every mistake: only people read its sentences.
impl From<&str> for Invalid {
    fn from(sentence: &str) -> Self {
        Self::new(InvalidReason::Malformed, sentence)
    }
}

/// Malformed, as from `&str`.
impl From<String> for Invalid {
    fn from(sentence: String) -> Self {
        Self::new(InvalidReason::Malformed, sentence)
    }
}
