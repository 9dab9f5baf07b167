//! The service's own words: values that cannot be constructed invalid.
//!
//! Nothing here knows gRPC, HTTP or JSON. Each type is made by one `parse`, whose [`Invalid`] says
//! how to write the value; every layer further in relies on it and checks nothing again.

mod caller;
mod connection;
mod credentials;
mod progress;
pub mod reference;
mod request_id;
mod sandbox;
mod stored_connection;
mod table;
mod verification;

pub use caller::{Access, Callers, FINGERPRINT, Identity, dns_name};
pub use connection::{ConnectionId, ConnectionName, CreatedConnection, Description, Etag, NewConnection};
pub use credentials::{Credential, HubSpotCredentials};
pub use progress::{CallProgress, Progress, Stage};
pub use request_id::RequestId;
pub use sandbox::{AllowedSandboxes, SandboxName, SandboxNotAllowed, Sandboxes};
pub use stored_connection::{
    Connection, ConnectionChanges, ConnectionRef, ConnectionState, StoredCredentials,
};
pub use table::{Column, Table, TablePath};
pub use verification::{Check, CheckName, CheckState, TestReport, Verification};

/// Why a value was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Invalid {
    /// For programs.
    pub reason: InvalidReason,
    /// Says how to write the value. It never repeats the value, which may be a secret.
    pub sentence: String,
}

/// The kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidReason {
    /// Missing or empty.
    Required,
    /// Too many characters or bytes.
    TooLong,
    /// Not in the form that is required.
    Malformed,
    /// A number that is too small or too large.
    OutOfRange,
    /// Well-formed, and not to be used here.
    NotAllowed,
    /// Not together with another value that was given.
    Conflicting,
    /// Not one of the values of a list.
    UnknownValue,
}

impl Invalid {
    /// Combines the reason with the sentence for people.
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
