//! Values that every resource has.

use super::{
    Invalid, InvalidReason,
    reference::last_reference,
    text::{check_id, check_line, text},
};

/// The name of a resource: 1 to 255 characters after trimming, without control characters.
///
/// The Flow Service documents no limit; this one is the service's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceName(String);

text!(ResourceName);

impl ResourceName {
    /// # Errors
    /// [`Invalid`] when nothing is left after trimming, or it is too long or contains a control character.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        let name = name.trim();
        check_line(name, 255, "is required: 1 to 255 characters other than white space")?;
        Ok(Self(name.to_owned()))
    }
}

/// The description of a resource: 1 to 1,000 characters. An empty one is `None`.
///
/// The Flow Service documents no limit; this one is the service's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Description(String);

text!(Description);

impl Description {
    const MAX_CHARS: usize = 1000;

    /// # Errors
    /// [`Invalid`] when it is too long or contains a reference, which only this service writes.
    pub fn parse(description: &str) -> Result<Option<Self>, Invalid> {
        if description.chars().count() > Self::MAX_CHARS {
            return Err(Invalid::new(InvalidReason::TooLong, "must not be longer than 1,000 characters"));
        }
        if last_reference(description).is_some() {
            return Err(Invalid::new(
                InvalidReason::NotAllowed,
                "must not contain \"[request UUID]\": this service adds the request_id itself",
            ));
        }
        Ok((!description.is_empty()).then(|| Self(description.to_owned())))
    }
}

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

    #[test]
    fn a_name_is_trimmed_and_counted_in_characters() {
        assert_eq!(ResourceName::parse("  HubSpot EU ").unwrap().as_str(), "HubSpot EU");
        assert!(ResourceName::parse(&"ü".repeat(255)).is_ok());
        for (name, reason) in [
            ("", InvalidReason::Required),
            (" \t ", InvalidReason::Required),
            ("a\nb", InvalidReason::Malformed),
            ("a\u{7f}b", InvalidReason::Malformed),
            ("a\u{85}b", InvalidReason::Malformed),
            (&"ü".repeat(256), InvalidReason::TooLong),
        ] {
            assert_eq!(ResourceName::parse(name).unwrap_err().reason, reason, "{name:?}");
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
