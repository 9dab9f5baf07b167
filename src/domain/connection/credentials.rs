//! HubSpot credentials: opaque, and impossible to print.
//!
//! HubSpot documents no form for them, so an unknown form is accepted. A value that certainly is no credential
//! is rejected: a connection with it would be created and never work.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::domain::{Invalid, InvalidReason};

/// One credential: 1 to 4,096 bytes of visible ASCII.
///
/// HubSpot documents no other form: the UUID shape that many samples show is not a rule.
#[derive(Clone, Debug)]
pub struct Credential(SecretString);

impl Credential {
    const MAX_BYTES: usize = 4096;

    /// Nothing is trimmed, unquoted or decoded.
    ///
    /// # Errors
    /// [`Invalid`] names the mistake, without repeating the value.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        if value.is_empty() {
            return Err(Invalid::new(InvalidReason::Required, "is required"));
        }
        if value.len() > Self::MAX_BYTES {
            return Err(Invalid::new(InvalidReason::TooLong, "must not be longer than 4,096 bytes"));
        }
        if value.trim() != value {
            return Err("has white space at its start or end: remove it".into());
        }
        if let Some(mistake) = mistake(value) {
            return Err(mistake);
        }
        if value.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(SecretString::from(value)));
        }
        Err(if value.contains(char::is_whitespace) {
            "has white space inside it: remove it".into()
        } else {
            "must contain only visible ASCII characters".into()
        })
    }
}

/// Why a value certainly is no credential. The sentence never repeats it.
fn mistake(value: &str) -> Option<Invalid> {
    let lower = Zeroizing::new(value.to_ascii_lowercase());
    if lower.starts_with("pat-") {
        return Some(Invalid::new(
            InvalidReason::NotAllowed,
            "is the token of a HubSpot private app, which cannot be renewed: use the four credentials of a \
             HubSpot app with OAuth",
        ));
    }
    let mistakes = [
        (is_header(&lower), "is a whole Authorization header: send the token alone"),
        (is_after_scheme(&lower, "bearer"), "starts with \"Bearer \": send the token alone"),
        (is_after_scheme(&lower, "basic"), "starts with \"Basic \": send the credential alone"),
        (is_after_name(&lower), "has its name in front of it: send the value alone"),
        (is_json(value), "is a JSON object: send the value alone"),
        (is_quoted(value), "is in quotation marks: remove them"),
        (
            is_placeholder(value, &lower),
            "is a placeholder: put the credential of the HubSpot application in its place",
        ),
        (is_percent_encoded(value), "is percent-encoded: decode it, so that %3D becomes ="),
    ];
    let made = mistakes.into_iter().find(|(is_made, _)| *is_made);
    made.map(|(_, sentence)| sentence.into())
}

fn is_json(value: &str) -> bool {
    value.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
}

fn is_header(lower: &str) -> bool {
    lower.strip_prefix("authorization").is_some_and(|rest| rest.trim_start().starts_with([':', '=']))
}

/// `Bearer …`, also with an encoded space.
fn is_after_scheme(lower: &str, scheme: &str) -> bool {
    let rest = lower.strip_prefix(scheme);
    rest.is_some_and(|rest| rest.starts_with([' ', '\t', ':', '+']) || rest.starts_with("%20"))
}

/// The names of the four, without the separators of their words.
const WORDS: [&str; 4] = ["clientid", "clientsecret", "accesstoken", "refreshtoken"];

/// `client_secret=…`, `"clientSecret": "…"`, `HUBSPOT_CLIENT_SECRET=…`.
fn is_after_name(lower: &str) -> bool {
    let Some(end) = lower.bytes().position(|b| matches!(b, b'=' | b':')) else { return false };
    // Compared in place, without a copy: it may be a part of the credential.
    let letters = || lower[..end].bytes().rev().filter(u8::is_ascii_alphabetic);
    WORDS.iter().any(|name| letters().take(name.len()).eq(name.bytes().rev()))
}

/// `CLIENT_SECRET`, `hubspot.clientSecret`.
fn is_name_alone(lower: &str) -> bool {
    let letters = || lower.bytes().filter(|b| !matches!(b, b'_' | b'-' | b'.'));
    let is = |prefix: &str, name: &str| letters().eq(prefix.bytes().chain(name.bytes()));
    WORDS.iter().any(|name| is("", name) || is("hubspot", name))
}

/// Also with escaped quotation marks, or with the comma that follows in JSON.
fn is_quoted(value: &str) -> bool {
    let value = value.trim_end_matches([',', ';']);
    let value = value.strip_prefix('\\').unwrap_or(value);
    ['"', '\'', '`']
        .iter()
        .any(|quote| value.len() > 1 && value.starts_with(*quote) && value.ends_with(*quote))
}

/// A placeholder of a template or documentation, or what programs write for a missing value.
fn is_placeholder(value: &str, lower: &str) -> bool {
    const NOTHING: [&str; 8] =
        ["null", "nil", "undefined", "none", "todo", "changeme", "replaceme", "placeholder"];
    /// A longer row of `x` is not a mask.
    const LONGEST_MASK: usize = 64;
    let is_nothing = |name: &&str| lower.bytes().filter(|b| !matches!(b, b'_' | b'-')).eq(name.bytes());
    let is_between = |start: &str, end: &str| {
        value.len() >= start.len() + end.len() && value.starts_with(start) && value.ends_with(end)
    };
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'))
    };
    let variable = value.strip_prefix('$').unwrap_or_default();
    let between = |sign: &str| value.strip_prefix(sign).and_then(|rest| rest.strip_suffix(sign));
    let yours = lower.strip_prefix("your").unwrap_or_default();
    [("{", "}"), ("<", ">"), ("${", "}"), ("$(", ")"), ("#{", "}"), ("[", "]")]
        .into_iter()
        .any(|(start, end)| is_between(start, end))
        || is_name(variable)
        || ["%", "@", "__"].into_iter().filter_map(between).any(is_name)
        || is_name_alone(lower)
        || yours.starts_with(['_', '-'])
            && yours.bytes().all(|b| b.is_ascii_lowercase() || b"_-".contains(&b))
        || value.bytes().all(|b| b == b'*')
        || (4..=LONGEST_MASK).contains(&lower.len()) && lower.bytes().all(|b| b == b'x')
        || NOTHING.iter().any(is_nothing)
}

/// Whether everything that needs encoding is encoded, or the `=` at the end is.
fn is_percent_encoded(value: &str) -> bool {
    let mut parts = value.split('%');
    let is_plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let is_escape = |part: &str| {
        part.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) && is_plain(&part[2..])
    };
    let is_encoded = value.contains('%') && parts.next().is_some_and(is_plain) && parts.all(is_escape);
    is_encoded
        || value.get(value.len().saturating_sub(3)..).is_some_and(|end| end.eq_ignore_ascii_case("%3d"))
}

impl ExposeSecret<str> for Credential {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The credentials of a HubSpot application, and the tokens issued when it was installed.
#[derive(Clone, Debug)]
pub struct HubSpotCredentials {
    pub client_id: Credential,
    pub client_secret: Credential,
    pub access_token: Credential,
    /// Keeps the connection working: access tokens expire.
    pub refresh_token: Credential,
}

impl HubSpotCredentials {
    /// The names of the four values, in the order of [`Self::all`].
    pub const NAMES: [&str; 4] = ["client_id", "client_secret", "access_token", "refresh_token"];

    /// Parses the four values, in the order of [`Self::NAMES`].
    ///
    /// # Errors
    /// Every mistake, with the name of its value. Two equal values are a mistake: HubSpot issues different ones.
    pub fn parse(values: [&str; 4]) -> Result<Self, Vec<(&'static str, Invalid)>> {
        let mut mistakes = Vec::new();
        let parsed = std::array::from_fn(|index| {
            let parsed = Credential::parse(values[index]);
            parsed.map_err(|invalid| mistakes.push((Self::NAMES[index], invalid))).ok()
        });
        let [Some(client_id), Some(client_secret), Some(access_token), Some(refresh_token)] = parsed else {
            return Err(mistakes);
        };
        for second in 1..values.len() {
            if let Some(first) = (0..second).find(|first| values[*first] == values[second]) {
                let sentence =
                    format!("is the same as {}: HubSpot issues different ones", Self::NAMES[first]);
                mistakes.push((Self::NAMES[second], Invalid::new(InvalidReason::Conflicting, sentence)));
            }
        }
        let credentials = Self { client_id, client_secret, access_token, refresh_token };
        if mistakes.is_empty() { Ok(credentials) } else { Err(mistakes) }
    }

    pub fn all(&self) -> [&Credential; 4] {
        let Self { client_id, client_secret, access_token, refresh_token } = self;
        [client_id, client_secret, access_token, refresh_token]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn any_visible_ascii_is_a_credential() {
        let all: String = ('!'..='~').collect();
        for value in [
            "x",
            "na1-0123",
            &all,
            &"x".repeat(4096),
            "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7",
            "CJTa9sKVMBIQAQMAAAAAAEgYwc+9/w==",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
            "bearer",
            "bearer-1",
            "basics",
            "compat-1",
            "{a",
            "a}",
            "a<b>",
            "$1",
            "a$b",
            "$",
            "%",
            "%1%",
            "50%25+/=",
            "100%",
            "%41%/",
            "\"",
            "\"a",
            "it's",
            "a:b=c",
            "yours",
            "your_0123",
            "hs-client-id",
            "a_client_secret",
            "__",
            "__1__",
            "[a",
            "@a",
            "xxx",
            "xxxxy",
            "todo1",
            "{a\"",
            "nullable",
            "<",
            "{",
        ] {
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
            ("BEARER\ttoken", "\"Bearer \""),
            ("Bearer%20token", "\"Bearer \""),
            ("Bearer:token", "\"Bearer \""),
            ("Basic dG9rZW4=", "\"Basic \""),
            ("Authorization: Bearer token", "Authorization header"),
            ("authorization:bearer token", "Authorization header"),
            ("Authorization : token", "Authorization header"),
            ("client_secret=token", "name in front"),
            ("CLIENT_SECRET=token", "name in front"),
            ("\"accessToken\": \"token\"", "name in front"),
            ("refresh_token:token", "name in front"),
            ("HUBSPOT_CLIENT_SECRET=abc", "name in front"),
            ("hubspot.accessToken: x", "name in front"),
            ("{\"clientId\":\"x\"}", "name in front"),
            ("{\"token\":\"x\"}", "JSON object"),
            ("{ \"token\": \"x\"", "JSON object"),
            ("\"token\"", "quotation marks"),
            ("'token'", "quotation marks"),
            ("`token`", "quotation marks"),
            ("\"token\",", "quotation marks"),
            ("\\\"token\\\"", "quotation marks"),
            ("\"\"", "quotation marks"),
            ("\"to ken\"", "quotation marks"),
            ("{CLIENT_SECRET}", "placeholder"),
            ("{{ client_secret }}", "placeholder"),
            ("<client secret>", "placeholder"),
            ("<token>", "placeholder"),
            ("$TOKEN", "placeholder"),
            ("${TOKEN}", "placeholder"),
            ("${TOKEN:-x}", "placeholder"),
            ("$(cat token)", "placeholder"),
            ("$env:TOKEN", "placeholder"),
            ("%TOKEN%", "placeholder"),
            ("[redacted]", "placeholder"),
            ("[CLIENT_SECRET]", "placeholder"),
            ("__CLIENT_SECRET__", "placeholder"),
            ("#{TOKEN}", "placeholder"),
            ("@TOKEN@", "placeholder"),
            ("CHANGE_ME", "placeholder"),
            ("change-me", "placeholder"),
            ("REPLACE_ME", "placeholder"),
            ("TODO", "placeholder"),
            ("nil", "placeholder"),
            ("xxxxxxxx", "placeholder"),
            ("XXXX", "placeholder"),
            ("CLIENT_SECRET", "placeholder"),
            ("client_id", "placeholder"),
            ("accessToken", "placeholder"),
            ("refresh-token", "placeholder"),
            ("HUBSPOT_CLIENT_SECRET", "placeholder"),
            ("YOUR_CLIENT_SECRET", "placeholder"),
            ("your-token", "placeholder"),
            ("********", "placeholder"),
            ("undefined", "placeholder"),
            ("null", "placeholder"),
            ("dG9rZW4%3D", "percent-encoded"),
            ("a%2Fb%2bc", "percent-encoded"),
            ("a+b/c%3d%3D", "percent-encoded"),
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
    fn a_private_app_token_is_not_allowed() {
        for value in ["pat-na1-0123", "pat-eu1-8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7", "PAT-x"] {
            let Invalid { reason, sentence } = Credential::parse(value).unwrap_err();
            assert_eq!(reason, InvalidReason::NotAllowed);
            assert!(sentence.contains("private app") && !sentence.contains(value), "{sentence}");
        }
    }

    #[test]
    fn no_two_credentials_are_the_same() {
        let mistakes = |values| HubSpotCredentials::parse(values).unwrap_err();
        assert!(HubSpotCredentials::parse(["1", "2", "3", "4"]).is_ok());
        for (values, name, says) in [
            (["1", "2", "3", "3"], "refresh_token", "same as access_token"),
            (["1", "1", "3", "4"], "client_secret", "same as client_id"),
            (["1", "2", "2", "4"], "access_token", "same as client_secret"),
        ] {
            let found = mistakes(values);
            assert!(
                matches!(&found[..], [(at, Invalid { reason: InvalidReason::Conflicting, sentence })]
                    if *at == name && sentence.contains(says)),
                "{found:?}"
            );
        }
        assert_eq!(mistakes(["1", "1", "1", "1"]).len(), 3);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic_and_none_is_repeated(value in "\\PC{6,40}") {
            if let Err(invalid) = Credential::parse(&value) {
                prop_assert!(!invalid.sentence.contains(&value));
            }
        }
    }

    #[test]
    fn debug_output_hides_the_value() {
        let credential = Credential::parse("canary").unwrap();
        assert!(!format!("{credential:?}").contains("canary"));
    }
}
