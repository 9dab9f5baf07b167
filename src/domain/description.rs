//! Descriptions of resources.

use super::{Invalid, InvalidReason, reference::last_reference, text::text};

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
