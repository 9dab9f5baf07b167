//! Fingerprints: how the content of a repeated request is compared without being stored.
//!
//! A fingerprint is an HMAC-SHA-256 over the fields of the parsed command, each with its length, so
//! that no two contents run into one another. Without the key nobody can try credentials against it.

use std::fmt;

use aws_lc_rs::hmac;
use secrecy::ExposeSecret;

use crate::domain::NewConnection;

/// The fingerprint of a creation's content under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// The keys of the fingerprints.
#[derive(Clone)]
pub struct FingerprintKeys {
    current: hmac::Key,
    previous: Option<hmac::Key>,
}

impl FingerprintKeys {
    /// Keys that are shared by replicas and outlast a restart. While rotating, the previous one is
    /// accepted as well.
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Self {
        let key = |bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Self { current: key(current), previous: previous.map(key) }
    }

    /// A key of this process alone.
    pub fn random() -> Self {
        // Version 4 UUIDs carry 122 random bits each.
        let bytes = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes).concat();
        Self::new(&bytes, None)
    }

    /// The fingerprints of a creation.
    pub fn fingerprints(&self, connection: &NewConnection) -> Fingerprints {
        Fingerprints {
            current: fingerprint(&self.current, connection),
            previous: self.previous.as_ref().map(|key| fingerprint(key, connection)),
        }
    }
}

impl fmt::Debug for FingerprintKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FingerprintKeys").field("rotating", &self.previous.is_some()).finish_non_exhaustive()
    }
}

fn fingerprint(key: &hmac::Key, connection: &NewConnection) -> Fingerprint {
    let NewConnection { sandbox, name, description, credentials } = connection;
    let description = description.as_ref().map_or("", |description| description.as_str());
    let [client_id, client_secret, access_token, refresh_token] =
        credentials.all().map(|credential| credential.expose_secret());

    let mut context = hmac::Context::with_key(key);
    for field in [
        "CreateHubSpotConnection",
        sandbox.as_str(),
        name.as_str(),
        description,
        client_id,
        client_secret,
        access_token,
        refresh_token,
    ] {
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
        let of = |fields| keys.fingerprints(&connection(fields)).current;
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
        let old = FingerprintKeys::new(&[1; 32], None).fingerprints(&connection);
        let rotating = FingerprintKeys::new(&[2; 32], Some(&[1; 32])).fingerprints(&connection);
        let new = FingerprintKeys::new(&[2; 32], None).fingerprints(&connection);
        assert!(rotating.accept(&old.current) && rotating.accept(&new.current));
        assert!(!new.accept(&old.current));
    }
}
