//! Request ids: the idempotency keys of creations.

use std::fmt;

use uuid::Uuid;

use super::{Invalid, InvalidReason};

/// Identifies one creation. The caller chooses it, or it is generated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id of an operation that is no creation, always the same for the same name.
    pub fn of_name(name: &str) -> Self {
        const NAMESPACE: Uuid = Uuid::from_u128(0x6f0d_5b3e_90c4_4a0e_9d1c_2b7a_53f0_8e64);
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// Upper and lower case are the same id.
    ///
    /// # Errors
    /// [`Invalid`] when it is not a UUID with hyphens.
    pub fn parse(id: &str) -> Result<Self, Invalid> {
        // The parser also accepts forms without hyphens, in braces and as URN.
        match Uuid::parse_str(id) {
            Ok(uuid) if id.len() == Self::LENGTH => Ok(Self(uuid)),
            Ok(_) | Err(_) => Err(Invalid::new(
                InvalidReason::Malformed,
                "must be a UUID such as 8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7",
            )),
        }
    }

    /// Of the text, in bytes.
    pub const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

    /// The text, without an allocation.
    pub fn encode<'a>(&self, buffer: &'a mut [u8; Self::LENGTH]) -> &'a str {
        self.0.as_hyphenated().encode_lower(buffer)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_and_lower_case_are_the_same_id() {
        let id = RequestId::parse("8F1F6C0E-52A1-4D0E-9D53-6D1FB1D3E2A7").unwrap();
        assert_eq!(id, RequestId::parse("8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7").unwrap());
        assert_eq!(id.to_string(), "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7");
    }

    #[test]
    fn other_texts_are_rejected() {
        for id in [
            "",
            "1",
            "8f1f6c0e52a14d0e9d536d1fb1d3e2a7",
            "{8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7}",
            "urn:uuid:8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7",
            " 8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7",
            "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2ag",
        ] {
            assert_eq!(RequestId::parse(id).unwrap_err().reason, InvalidReason::Malformed, "{id}");
        }
    }
}
