//! The service's own words: values that cannot be constructed invalid.
//!
//! Nothing here knows gRPC, HTTP or JSON. Each type is made by one `parse`, whose [`Invalid`] says
//! how to write the value; every layer further in relies on it and checks nothing again.

mod caller;
mod connection;
mod credentials;
mod progress;
mod request_id;
mod sandbox;
mod stored_connection;
mod table;
mod verification;

pub use caller::{Access, Callers, Identity};
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

/// Why a value was not accepted, as a sentence that says how to write it. It never repeats the
/// value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl From<&str> for Invalid {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}
