//! Fingerprints: how the content of a repeated request is compared without being stored.
//!
//! A fingerprint is an HMAC-SHA-256 over the fields of the parsed command, each with its length, so
//! that no two contents run into one another. Without the key nobody can try credentials against it.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::hmac;
use secrecy::ExposeSecret;

use crate::domain::{NewConnection, Verification};

/// The fingerprint of a creation's content under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(Default))]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The bytes, as stores keep them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
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
    /// Whether a stored fingerprint is of the same content.
    pub fn accept(&self, stored: &Fingerprint) -> bool {
        self.current == *stored || self.previous.as_ref() == Some(stored)
    }
}

/// The keys of the fingerprints. Clones share them, also when they are replaced.
#[derive(Clone)]
pub struct FingerprintKeys(Arc<RwLock<Arc<Keys>>>);

struct Keys {
    current: hmac::Key,
    previous: Option<hmac::Key>,
}

impl FingerprintKeys {
    /// Keys that are shared by replicas and outlast a restart. While rotating, the previous one is
    /// accepted as well.
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Self {
        let key = |bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let keys = Keys { current: key(current), previous: previous.map(key) };
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
        let of = |key| fingerprint(key, connection, verification);
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

fn fingerprint(key: &hmac::Key, connection: &NewConnection, verification: Verification) -> Fingerprint {
    let NewConnection { sandbox, name, description, credentials } = connection;
    let description = description.as_ref().map_or("", |description| description.as_str());
    let [client_id, client_secret, access_token, refresh_token] =
        credentials.all().map(|credential| credential.expose_secret());
    let verification = match verification {
        // No field, not even an empty one: so were the fingerprints written when there was no
        // verification.
        Verification::None => None,
        Verification::Report => Some("report"),
        Verification::Require => Some("require"),
    };

    let mut context = hmac::Context::with_key(key);
    let fields = [
        "CreateHubSpotConnection",
        sandbox.as_str(),
        name.as_str(),
        description,
        client_id,
        client_secret,
        access_token,
        refresh_token,
    ];
    for field in fields.into_iter().chain(verification) {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.sign().as_ref());
    Fingerprint(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ConnectionName, Credential, Description, HubSpotCredentials, SandboxName};

    fn connection(fields: [&str; 7]) -> NewConnection {
        let [sandbox, name, description, client_id, client_secret, access_token, refresh_token] = fields;
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

    const FIELDS: [&str; 7] = ["prod", "n", "d", "id", "secret", "access", "refresh"];

    #[test]
    fn each_field_counts_and_fields_do_not_run_into_one_another() {
        let keys = FingerprintKeys::new(&[1; 32], None);
        let of = |fields| keys.fingerprints(&connection(fields), Verification::None).current;
        let original = of(FIELDS);
        assert_eq!(original, of(FIELDS));
        for field in 0..FIELDS.len() {
            let mut changed = FIELDS;
            changed[field] = "other";
            assert_ne!(original, of(changed), "field {field}");
        }
        assert_ne!(
            of(["prod", "n", "d", "ab", "c", "access", "refresh"]),
            of(["prod", "n", "d", "a", "bc", "access", "refresh"])
        );
    }

    #[test]
    fn a_rotation_accepts_what_either_key_wrote() {
        let connection = connection(FIELDS);
        let of = |keys: FingerprintKeys| keys.fingerprints(&connection, Verification::Report);
        let old = of(FingerprintKeys::new(&[1; 32], None));
        let rotating = of(FingerprintKeys::new(&[2; 32], Some(&[1; 32])));
        let new = of(FingerprintKeys::new(&[2; 32], None));
        assert!(rotating.accept(&old.current) && rotating.accept(&new.current));
        assert!(!new.accept(&old.current));
    }

    #[test]
    fn the_verification_counts() {
        let keys = FingerprintKeys::new(&[1; 32], None);
        let of = |verification| keys.fingerprints(&connection(FIELDS), verification).current;
        let [none, report, require] =
            [Verification::None, Verification::Report, Verification::Require].map(of);
        assert!(none != report && none != require && report != require);
    }

    /// They lie in Redis, and have to be recognized by every later version.
    #[test]
    fn the_fingerprint_without_verification_is_what_it_always_was() {
        let keys = FingerprintKeys::new(&[1; 32], None);
        let fingerprint = keys.fingerprints(&connection(FIELDS), Verification::None).current;
        let hex: String = fingerprint.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0f9c59248a3e88b00318e993e38d445a9cf93837e2aa43c407a332c3e0d59ebd");
    }
}
