//! Fingerprints: how the content of a retry is compared without being stored.
//!
//! Each field of the parsed command has an HMAC-SHA-256 of its own, cut to 64 bits, so that an error can
//! name the fields that differ. Without the key nobody can try credentials against them. The key has an
//! id, so that other content can be told from another key.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::{Invalid, NewConnection, Verification};

/// Shorter keys could be guessed.
const SHORTEST_KEY: usize = 32;

/// A field that a retry has to repeat. The access token is none: HubSpot's live for 30 minutes, and
/// request ids for a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The sandbox.
    SandboxName,
    /// The name.
    Name,
    /// The description.
    Description,
    /// The client ID of the HubSpot application.
    ClientId,
    /// Its client secret.
    ClientSecret,
    /// The refresh token.
    RefreshToken,
    /// Whether the connection is tested.
    Verification,
}

impl Field {
    /// Every field, in the order of a fingerprint.
    pub const ALL: [Self; 7] = [
        Self::SandboxName,
        Self::Name,
        Self::Description,
        Self::ClientId,
        Self::ClientSecret,
        Self::RefreshToken,
        Self::Verification,
    ];

    /// Its path in the request.
    pub fn path(self) -> &'static str {
        match self {
            Self::SandboxName => "sandbox_name",
            Self::Name => "name",
            Self::Description => "description",
            Self::ClientId => "credentials.client_id",
            Self::ClientSecret => "credentials.client_secret",
            Self::RefreshToken => "credentials.refresh_token",
            Self::Verification => "verification",
        }
    }

    fn of(self, connection: &NewConnection, verification: Verification) -> &str {
        let NewConnection { sandbox, name, description, credentials } = connection;
        match self {
            Self::SandboxName => sandbox.as_str(),
            Self::Name => name.as_str(),
            Self::Description => description.as_ref().map_or("", |description| description.as_str()),
            Self::ClientId => credentials.client_id.expose_secret(),
            Self::ClientSecret => credentials.client_secret.expose_secret(),
            Self::RefreshToken => credentials.refresh_token.expose_secret(),
            Self::Verification => match verification {
                Verification::None => "none",
                Verification::Report => "report",
                Verification::Require => "require",
            },
        }
    }
}

type Tag = [u8; 8];
type KeyId = [u8; 4];

/// The fingerprint of a creation's content under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    key: KeyId,
    fields: [Tag; Field::ALL.len()],
}

impl Fingerprint {
    /// The form in which stores keep it: `KEY:FIELDS`, in hexadecimal digits.
    pub fn to_text(&self) -> String {
        format!("{}:{}", hex(&self.key), hex(self.fields.as_flattened()))
    }

    /// Reads that form; `None` where it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, fields) = text.split_once(':')?;
        let mut fingerprint = Self { key: [0; 4], fields: [[0; 8]; Field::ALL.len()] };
        read_hex(key, &mut fingerprint.key)?;
        read_hex(fields, fingerprint.fields.as_flattened_mut())?;
        Some(fingerprint)
    }
}

/// How two contents compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They are the same.
    Same,
    /// These fields differ.
    Differs(Vec<Field>),
    /// No key that made the one is among those of the other: they cannot be compared.
    UnknownKey,
}

/// The fingerprints of one content under every key that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    /// Under the key that writes.
    pub current: Fingerprint,
    /// Under the key that is being replaced, during a rotation.
    pub previous: Option<Fingerprint>,
}

impl Fingerprints {
    /// Compares the content with a stored fingerprint.
    pub fn compare(&self, stored: &Fingerprint) -> Comparison {
        let Some(own) = self.all().find(|own| own.key == stored.key) else { return Comparison::UnknownKey };
        let differ = |place: &usize| own.fields[*place] != stored.fields[*place];
        let fields: Vec<_> = (0..Field::ALL.len()).filter(differ).map(|place| Field::ALL[place]).collect();
        if fields.is_empty() { Comparison::Same } else { Comparison::Differs(fields) }
    }

    /// Compares two contents by a key that made fingerprints of both.
    pub fn compare_any(&self, other: &Self) -> Comparison {
        let known = other.all().map(|stored| self.compare(stored));
        known.into_iter().find(|result| *result != Comparison::UnknownKey).unwrap_or(Comparison::UnknownKey)
    }

    fn all(&self) -> impl Iterator<Item = &Fingerprint> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// The keys of the fingerprints. Clones share them, also when they are replaced.
#[derive(Clone)]
pub struct FingerprintKeys(Arc<RwLock<Arc<Keys>>>);

struct Keys {
    current: Key,
    previous: Option<Key>,
}

struct Key {
    id: KeyId,
    key: hmac::Key,
}

impl Key {
    fn new(bytes: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let [a, b, c, d, ..] = tag(&key, &[b"key id"]);
        Self { id: [a, b, c, d], key }
    }

    fn fingerprint(&self, connection: &NewConnection, verification: Verification) -> Fingerprint {
        let fields = Field::ALL.map(|field| {
            let value = field.of(connection, verification);
            // Equal values of two fields must not look equal.
            tag(&self.key, &[field.path().as_bytes(), &[0], value.as_bytes()])
        });
        Fingerprint { key: self.id, fields }
    }
}

impl FingerprintKeys {
    /// Reads one key, or two: the one that writes first.
    pub fn parse(text: &SecretString) -> Result<Self, Invalid> {
        let keys: Vec<&[u8]> = text.expose_secret().split(',').map(|key| key.trim().as_bytes()).collect();
        match keys.as_slice() {
            [current] if current.len() >= SHORTEST_KEY => Ok(Self::new(current, None)),
            [current, previous] if current.len().min(previous.len()) >= SHORTEST_KEY => {
                Ok(Self::new(current, Some(previous)))
            }
            _ => Err(Invalid::from(
                "must be one key of at least 32 bytes, or while rotating two, comma separated, the new one first",
            )),
        }
    }

    /// Keys that are shared by replicas and outlast a restart. While rotating, the previous one is
    /// accepted as well.
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Self {
        let keys = Keys { current: Key::new(current), previous: previous.map(Key::new) };
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// A key of this process alone.
    pub fn random() -> Self {
        // Version 4 UUIDs carry 122 random bits each.
        let bytes = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes).concat();
        Self::new(&bytes, None)
    }

    /// Takes over other keys.
    pub fn replace(&self, other: &Self) {
        let other = other.keys();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = other;
    }

    /// The fingerprints of a creation.
    pub fn fingerprints(&self, connection: &NewConnection, verification: Verification) -> Fingerprints {
        let keys = self.keys();
        let of = |key: &Key| key.fingerprint(connection, verification);
        Fingerprints { current: of(&keys.current), previous: keys.previous.as_ref().map(of) }
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for FingerprintKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FingerprintKeys")
            .field("rotating", &self.keys().previous.is_some())
            .finish_non_exhaustive()
    }
}

fn tag(key: &hmac::Key, parts: &[&[u8]]) -> Tag {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    let mut tag = Tag::default();
    tag.copy_from_slice(&context.sign().as_ref()[..size_of::<Tag>()]);
    tag
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(digits).map(char::from).collect()
}

fn read_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ConnectionName, Credential, Description, HubSpotCredentials, SandboxName};

    fn connection(fields: [&str; 7]) -> NewConnection {
        let [sandbox, name, description, client_id, client_secret, refresh_token, access_token] = fields;
        let credential = |value| Credential::parse(value).unwrap();
        NewConnection {
            sandbox: SandboxName::parse(sandbox).unwrap(),
            name: ConnectionName::parse(name).unwrap(),
            description: Description::parse(description).unwrap(),
            credentials: HubSpotCredentials {
                client_id: credential(client_id),
                client_secret: credential(client_secret),
                access_token: credential(access_token),
                refresh_token: credential(refresh_token),
            },
        }
    }

    const FIELDS: [&str; 7] = ["prod", "n", "d", "id", "secret", "refresh", "access"];

    #[test]
    fn the_fields_that_differ_are_named_and_the_access_token_is_none() {
        let keys = FingerprintKeys::new(&[1; 32], None);
        let of = |fields| keys.fingerprints(&connection(fields), Verification::None);
        let stored = of(FIELDS).current;
        assert_eq!(of(FIELDS).compare(&stored), Comparison::Same);
        for place in 0..6 {
            let mut changed = FIELDS;
            changed[place] = "other";
            assert_eq!(of(changed).compare(&stored), Comparison::Differs(vec![Field::ALL[place]]));
        }
        let refreshed = ["prod", "n", "d", "id", "secret", "refresh", "another"];
        assert_eq!(of(refreshed).compare(&stored), Comparison::Same);
        let require = keys.fingerprints(&connection(FIELDS), Verification::Require);
        assert_eq!(require.compare(&stored), Comparison::Differs(vec![Field::Verification]));
    }

    #[test]
    fn equal_values_of_two_fields_do_not_look_equal() {
        let keys = FingerprintKeys::new(&[1; 32], None);
        let Fingerprint { fields, .. } = keys.fingerprints(&connection(["x"; 7]), Verification::None).current;
        assert!(fields.iter().enumerate().all(|(place, tag)| !fields[place + 1..].contains(tag)));
    }

    #[test]
    fn a_rotation_accepts_what_either_key_wrote_and_knows_what_neither_did() {
        let connection = connection(FIELDS);
        let of = |keys: FingerprintKeys| keys.fingerprints(&connection, Verification::Report);
        let old = of(FingerprintKeys::new(&[1; 32], None));
        let announced = of(FingerprintKeys::new(&[1; 32], Some(&[2; 32])));
        let rotating = of(FingerprintKeys::new(&[2; 32], Some(&[1; 32])));
        let new = of(FingerprintKeys::new(&[2; 32], None));
        for (one, other) in [(old, announced), (announced, rotating), (old, rotating), (rotating, new)] {
            assert_eq!(one.compare_any(&other), Comparison::Same);
            assert_eq!(other.compare_any(&one), Comparison::Same);
        }
        assert_eq!(rotating.compare(&old.current), Comparison::Same);
        assert_eq!(new.compare(&old.current), Comparison::UnknownKey);
        assert_eq!(new.compare_any(&old), Comparison::UnknownKey);
    }

    /// They are kept in Redis, and every later version has to read them.
    #[test]
    fn the_text_of_a_fingerprint_is_what_it_always_was() {
        let keys = FingerprintKeys::new(&[1; 32], None);
        let fingerprint = keys.fingerprints(&connection(FIELDS), Verification::None).current;
        let text = fingerprint.to_text();
        assert_eq!(Fingerprint::parse(&text), Some(fingerprint));
        let key = "cabf5820";
        let fields = "2b829fd60b514f650c8bcc8d4bf680f3ba5e7882bc3074b15015d8b194950cda\
                      3e3e74486283800ef8a3d8b060bcd6e5379d860d5c221d78";
        assert_eq!(text, format!("{key}:{fields}"));
        for other in ["", ":", "00112233", &text[1..], &format!("{text}0"), &text.replace(':', "-")] {
            assert_eq!(Fingerprint::parse(other), None, "{other}");
        }
    }
}
