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
use super::{
    Description, Etag, Invalid, SandboxName,
    text::{check_id, check_line, text},
};

/// The name of a connection: 1 to 255 characters after trimming, without control characters.
///
/// The Flow Service documents no limit; this one is the service's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionName(String);

text!(ConnectionName);

impl ConnectionName {
    /// # Errors
    /// [`Invalid`] when nothing is left after trimming, or it is too long or contains a control character.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        let name = name.trim();
        check_line(name, 255, "is required: 1 to 255 characters other than white space")?;
        Ok(Self(name.to_owned()))
    }
}

/// A connection to create, with everything decided.
#[derive(Clone, Debug)]
pub struct NewConnection {
    pub sandbox: SandboxName,
    pub name: ConnectionName,
    pub description: Option<Description>,
    pub credentials: HubSpotCredentials,
}

/// 1 to 64 letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(String);

text!(ConnectionId);

impl ConnectionId {
    /// # Errors
    /// [`Invalid`] when it is empty, too long or contains another character.
    pub fn parse(id: &str) -> Result<Self, Invalid> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let form = "must be 1 to 64 letters, digits and hyphens";
        check_id(id, 64, |id| id.bytes().all(is_allowed), form)?;
        Ok(Self(id.to_owned()))
    }
}

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
    fn a_name_is_trimmed_and_counted_in_characters() {
        assert_eq!(ConnectionName::parse("  HubSpot EU ").unwrap().as_str(), "HubSpot EU");
        assert!(ConnectionName::parse(&"ü".repeat(255)).is_ok());
        for (name, reason) in [
            ("", InvalidReason::Required),
            (" \t ", InvalidReason::Required),
            ("a\nb", InvalidReason::Malformed),
            ("a\u{7f}b", InvalidReason::Malformed),
            ("a\u{85}b", InvalidReason::Malformed),
            (&"ü".repeat(256), InvalidReason::TooLong),
        ] {
            assert_eq!(ConnectionName::parse(name).unwrap_err().reason, reason, "{name:?}");
        }
    }

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
