//! HubSpot credentials: opaque, and impossible to print.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::{Invalid, InvalidReason};

/// One credential: 1 to 4,096 bytes of visible ASCII.
///
/// HubSpot documents no other form: the UUID shape that many samples show is not a rule.
#[derive(Clone)]
pub struct Credential(SecretString);

impl Credential {
    const MAX_BYTES: usize = 4096;

    /// Parses a credential, which is taken as it is: nothing is trimmed.
    ///
    /// # Errors
    /// [`Invalid`] says which mistake was made, without repeating the value.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        if value.is_empty() {
            return Err(Invalid::new(InvalidReason::Required, "is required"));
        }
        if value.len() > Self::MAX_BYTES {
            return Err(Invalid::new(InvalidReason::TooLong, "must not be longer than 4,096 bytes"));
        }
        if value.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(SecretString::from(value)));
        }
        let sentence = if value.trim() != value {
            "has white space at its start or end: remove it"
        } else if value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
            "starts with \"Bearer \": send the token alone"
        } else if value.contains(char::is_whitespace) {
            "has white space inside it: remove it"
        } else {
            "must hold only visible ASCII characters"
        };
        Err(Invalid::new(InvalidReason::Malformed, sentence))
    }
}

impl ExposeSecret<str> for Credential {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential([redacted])")
    }
}

/// The four values that the Flow Service needs to authenticate to HubSpot.
#[derive(Clone, Debug)]
pub struct HubSpotCredentials {
    /// The client ID of the HubSpot application.
    pub client_id: Credential,
    /// The client secret of the HubSpot application.
    pub client_secret: Credential,
    /// The access token issued when the application was installed.
    pub access_token: Credential,
    /// The refresh token issued with it, which keeps the connection alive.
    pub refresh_token: Credential,
}

impl HubSpotCredentials {
    /// All four values.
    pub fn all(&self) -> [&Credential; 4] {
        let Self { client_id, client_secret, access_token, refresh_token } = self;
        [client_id, client_secret, access_token, refresh_token]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_visible_ascii_is_a_credential() {
        let all: String = ('!'..='~').collect();
        for value in ["x", "pat-na1-0123", &all, &"x".repeat(4096)] {
            assert_eq!(Credential::parse(value).unwrap().expose_secret(), value);
        }
    }

    #[test]
    fn a_mistake_is_named() {
        for (value, says) in [
            ("", "required"),
            (" token", "white space at its start or end"),
            ("token\n", "white space at its start or end"),
            ("to ken", "white space inside"),
            ("Bearer token", "\"Bearer \""),
            ("bearer token", "\"Bearer \""),
            ("tok\u{e9}n", "visible ASCII"),
            ("tok\0en", "visible ASCII"),
        ] {
            let Invalid { reason, sentence } = Credential::parse(value).unwrap_err();
            assert!(sentence.contains(says), "{value:?}: {sentence}");
            let expected = if value.is_empty() { InvalidReason::Required } else { InvalidReason::Malformed };
            assert_eq!(reason, expected, "{value:?}");
        }
        assert_eq!(Credential::parse(&"x".repeat(4097)).unwrap_err().reason, InvalidReason::TooLong);
    }

    #[test]
    fn debug_output_hides_the_value() {
        let credential = Credential::parse("canary").unwrap();
        assert!(!format!("{credential:?}").contains("canary"));
    }
}
