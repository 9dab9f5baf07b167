//! Base connections to HubSpot.

mod credentials;
mod stored;
mod table;
mod verification;

pub use self::{
    credentials::{Credential, HubSpotCredentials},
    stored::{Connection, ConnectionChanges, ConnectionRef, ConnectionState, StoredCredentials},
    table::{Column, Table, TablePath},
    verification::{Check, CheckName, CheckState, TestReport, Verification},
};
use super::{Description, Etag, ResourceName, SandboxName, text::id};

/// A connection to create, with everything decided.
#[derive(Clone, Debug)]
pub struct NewConnection {
    pub sandbox: SandboxName,
    pub name: ResourceName,
    pub description: Option<Description>,
    pub credentials: HubSpotCredentials,
}

id!(
    /// Identifies a connection within its sandbox.
    ConnectionId
);

/// The Flow Service's response to a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedConnection {
    pub id: ConnectionId,
    pub etag: Etag,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::InvalidReason;

    #[test]
    fn an_id_cannot_leave_its_place_in_a_path() {
        assert!(ConnectionId::parse("2fce94c1-9a93-4971-8e94-c19a93097129").is_ok());
        for (id, reason) in [
            ("", InvalidReason::Required),
            ("a/b", InvalidReason::Malformed),
            ("..", InvalidReason::Malformed),
            ("a?b", InvalidReason::Malformed),
            ("a b", InvalidReason::Malformed),
            ("é", InvalidReason::Malformed),
            (&"a".repeat(65), InvalidReason::TooLong),
        ] {
            assert_eq!(ConnectionId::parse(id).unwrap_err().reason, reason, "{id:?}");
        }
    }
}
