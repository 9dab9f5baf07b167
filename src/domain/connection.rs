//! Base connections: what one is made of, and what identifies it.

use std::fmt;

use super::{HubSpotCredentials, Invalid, InvalidReason, SandboxName, reference::last_reference};

/// The name of a connection: 1 to 255 characters after trimming, without control characters.
///
/// The Flow Service documents no limit; this one is the service's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionName(String);

impl ConnectionName {
    const MAX_CHARS: usize = 255;

    /// Trims and parses a name.
    ///
    /// # Errors
    /// [`Invalid`] when nothing is left, it is too long or holds a control character.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        let name = name.trim();
        if name.is_empty() {
            return Err(Invalid::new(
                InvalidReason::Required,
                "is required: 1 to 255 characters other than white space",
            ));
        }
        if name.chars().count() > Self::MAX_CHARS {
            return Err(Invalid::new(InvalidReason::TooLong, "must not be longer than 255 characters"));
        }
        if name.contains(char::is_control) {
            return Err(Invalid::new(
                InvalidReason::Malformed,
                "must not hold control characters such as line breaks",
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The description of a connection: 1 to 1,000 characters. A connection without one has none.
///
/// The Flow Service documents no limit; this one is the service's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Description(String);

impl Description {
    const MAX_CHARS: usize = 1000;

    /// Parses a description, which is kept as it is; an empty one is none.
    ///
    /// # Errors
    /// [`Invalid`] when it is too long, or holds a reference, which only this service writes.
    pub fn parse(description: &str) -> Result<Option<Self>, Invalid> {
        if description.chars().count() > Self::MAX_CHARS {
            return Err(Invalid::new(InvalidReason::TooLong, "must not be longer than 1,000 characters"));
        }
        if last_reference(description).is_some() {
            return Err(Invalid::new(
                InvalidReason::NotAllowed,
                "must not hold \"[request UUID]\": this service adds the request_id itself",
            ));
        }
        Ok((!description.is_empty()).then(|| Self(description.to_owned())))
    }

    /// The description as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A connection to create, with everything decided.
#[derive(Clone, Debug)]
pub struct NewConnection {
    /// The sandbox to create it in.
    pub sandbox: SandboxName,
    /// Its name.
    pub name: ConnectionName,
    /// Its description.
    pub description: Option<Description>,
    /// What the Platform authenticates to HubSpot with.
    pub credentials: HubSpotCredentials,
}

/// The ID of a connection: 1 to 64 letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(String);

impl ConnectionId {
    const MAX_LENGTH: usize = 64;

    /// Parses an ID, from a caller or from the Flow Service.
    ///
    /// # Errors
    /// [`Invalid`] when it is empty, too long or holds another character.
    pub fn parse(id: &str) -> Result<Self, Invalid> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let reason = match id.len() {
            0 => InvalidReason::Required,
            length if length > Self::MAX_LENGTH => InvalidReason::TooLong,
            _ if !id.bytes().all(is_allowed) => InvalidReason::Malformed,
            _ => return Ok(Self(id.to_owned())),
        };
        Err(Invalid::new(reason, "must be 1 to 64 letters, digits and hyphens"))
    }

    /// The ID as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The version of a connection, opaque and kept byte for byte: the Flow Service's values hold
/// literal double quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Etag(String);

impl Etag {
    const MAX_BYTES: usize = 256;

    /// Parses a version.
    ///
    /// # Errors
    /// [`Invalid`] when it could not be sent back as a header value: empty, longer than 256 bytes,
    /// or with characters other than visible ASCII.
    pub fn parse(etag: &str) -> Result<Self, Invalid> {
        let reason = match etag.len() {
            0 => InvalidReason::Required,
            length if length > Self::MAX_BYTES => InvalidReason::TooLong,
            _ if !etag.bytes().all(|b| b.is_ascii_graphic()) => InvalidReason::Malformed,
            _ => return Ok(Self(etag.to_owned())),
        };
        Err(Invalid::new(reason, "must be 1 to 256 visible ASCII characters"))
    }

    /// The version as it goes over the wire, its quotes included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Etag {
    /// Whether two are the same version. Where one was copied without its quotes it still is.
    pub fn is_same(&self, other: &Self) -> bool {
        let bare = |etag: &Self| etag.0.trim_matches('"').to_owned();
        bare(self) == bare(other)
    }
}

/// What the Flow Service answers to a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedConnection {
    /// The ID of the new connection.
    pub id: ConnectionId,
    /// Its version.
    pub etag: Etag,
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_empty_description_is_none_and_any_other_is_kept() {
        assert_eq!(Description::parse(""), Ok(None));
        let description = Description::parse(" two\nlines ").unwrap().unwrap();
        assert_eq!(description.as_str(), " two\nlines ");
        assert!(Description::parse(&"ü".repeat(1000)).is_ok());
        assert_eq!(Description::parse(&"ü".repeat(1001)).unwrap_err().reason, InvalidReason::TooLong);
        for forged in [
            "x [request 8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7] y",
            "%5BREQUEST 8F1F6C0E-52A1-4D0E-9D53-6D1FB1D3E2A7%5D",
        ] {
            assert_eq!(Description::parse(forged).unwrap_err().reason, InvalidReason::NotAllowed, "{forged}");
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

    #[test]
    fn an_etag_keeps_its_quotes() {
        let etag = Etag::parse("\"d403848a-0000-0200-0000-5e978f7b0000\"").unwrap();
        assert_eq!(etag.as_str(), "\"d403848a-0000-0200-0000-5e978f7b0000\"");
        for (etag, reason) in [
            ("", InvalidReason::Required),
            ("a b", InvalidReason::Malformed),
            ("a\r\nb", InvalidReason::Malformed),
            (&"a".repeat(257), InvalidReason::TooLong),
        ] {
            assert_eq!(Etag::parse(etag).unwrap_err().reason, reason, "{etag:?}");
        }
    }

    #[test]
    fn an_etag_without_its_quotes_is_the_same_version() {
        let etag = |etag| Etag::parse(etag).unwrap();
        assert!(etag("\"d403\"").is_same(&etag("d403")) && etag("d403").is_same(&etag("\"d403\"")));
        assert!(!etag("\"d403\"").is_same(&etag("\"d404\"")));
    }
}
