//! Versions of resources.

use super::{
    Invalid,
    text::{check_id, text},
};

/// The version of a resource, opaque and kept byte for byte: the Flow Service's values contain literal
/// double quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Etag(String);

text!(Etag);

impl Etag {
    /// # Errors
    /// [`Invalid`] when it cannot be sent as a header value: empty, longer than 256 bytes, or with characters
    /// other than visible ASCII.
    pub fn parse(etag: &str) -> Result<Self, Invalid> {
        let is_visible = |etag: &str| etag.bytes().all(|b| b.is_ascii_graphic());
        check_id(etag, 256, is_visible, "must be 1 to 256 visible ASCII characters")?;
        Ok(Self(etag.to_owned()))
    }

    /// Whether two are the same version, even if one was copied without its quotes.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.trim_matches('"') == other.0.trim_matches('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::InvalidReason;

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
