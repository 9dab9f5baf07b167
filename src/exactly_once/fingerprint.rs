//! Fingerprints: how the content of a retry is compared without being stored.
//!
//! Each field of the parsed command has an HMAC-SHA-256 of its own, cut to 64 bits, so that an error can
//! name the fields that differ. Without the key nobody can try credentials against them. The key has an
//! id, so that different content can be distinguished from a different key.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    domain::Invalid,
    error::{Cause, error_chain},
    secret::Secret,
};

/// Shorter keys could be guessed.
const SHORTEST_KEY: usize = 32;
/// The length of a key's id and of a field's tag in hexadecimal digits.
const KEY_DIGITS: usize = 8;
const TAG_DIGITS: usize = 16;

/// The fingerprint of a creation's content under one key, as stores keep it: `KEY:FIELD=TAG,FIELD=TAG`. It names
/// its fields, so that the contents of two kinds of creations can be compared, too.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(Arc<str>);

impl Fingerprint {
    /// The form in which stores keep it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads that form; `None` where it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        let (key, fields) = text.split_once(':')?;
        let are_fields = fields.split(',').all(|field| {
            field.split_once('=').is_some_and(|(name, tag)| !name.is_empty() && is_hex(tag, TAG_DIGITS))
        });
        (is_hex(key, KEY_DIGITS) && are_fields).then(|| Self(text.into()))
    }

    fn key(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The fields, each with its tag.
    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let (_, fields) = self.0.split_once(':').unwrap_or_default();
        fields.split(',').filter_map(|field| field.split_once('='))
    }

    /// The names of the fields that differ from, or are missing in, one of the two.
    fn differences(&self, other: &Self) -> Vec<String> {
        let has = |one: &Self, field| one.fields().any(|own| own == field);
        let mut differs: Vec<_> = self.fields().filter(|field| !has(other, *field)).collect();
        let names: Vec<_> = self.fields().map(|(name, _)| name).collect();
        differs.extend(other.fields().filter(|(name, _)| !names.contains(name)));
        differs.into_iter().map(|(name, _)| name.to_owned()).collect()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How two contents compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They are the same.
    Same,
    /// These fields differ.
    Differs(Vec<String>),
    /// No key that made the one is among those of the other: they cannot be compared.
    UnknownKey,
}

/// The fingerprints of one content under every key that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    /// Under the key that writes.
    pub current: Fingerprint,
    /// Under the key that is being replaced, during a rotation.
    pub previous: Option<Fingerprint>,
}

impl Fingerprints {
    /// Compares the content with a stored fingerprint.
    pub fn compare(&self, stored: &Fingerprint) -> Comparison {
        let Some(own) = self.all().find(|own| own.key() == stored.key()) else {
            return Comparison::UnknownKey;
        };
        if own == stored { Comparison::Same } else { Comparison::Differs(own.differences(stored)) }
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
    /// In hexadecimal digits.
    id: String,
    key: hmac::Key,
}

impl Key {
    fn new(bytes: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let mut id = String::new();
        write_tag(&mut id, &key, &[b"key id"], KEY_DIGITS);
        Self { id, key }
    }

    fn fingerprint<'a>(&self, content: impl IntoIterator<Item = (&'static str, &'a str)>) -> Fingerprint {
        let mut text = String::with_capacity(256);
        text.push_str(&self.id);
        for (place, (name, value)) in content.into_iter().enumerate() {
            text.push(if place == 0 { ':' } else { ',' });
            text.push_str(name);
            text.push('=');
            // Equal values of two fields must not look equal.
            write_tag(&mut text, &self.key, &[name.as_bytes(), &[0], value.as_bytes()], TAG_DIGITS);
        }
        Fingerprint(text.into())
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

    /// The fingerprints of a content: the names of its fields with their values.
    pub fn fingerprints<'a, C>(&self, content: C) -> Fingerprints
    where
        C: IntoIterator<Item = (&'static str, &'a str)> + Clone,
    {
        let keys = self.keys();
        let previous = keys.previous.as_ref().map(|key| key.fingerprint(content.clone()));
        Fingerprints { current: keys.current.fingerprint(content), previous }
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

/// Writes the first digits of an HMAC.
fn write_tag(text: &mut String, key: &hmac::Key, parts: &[&[u8]], digits: usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    let tag = context.sign();
    let mut hex = [0; 64];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(tag.as_ref()) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    text.push_str(str::from_utf8(&hex[..digits]).expect("hexadecimal digits are ASCII"));
}

/// How often the file is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keys that follow the file that they come from.
#[derive(Debug)]
pub struct FollowedKeys {
    keys: FingerprintKeys,
    source: Option<Secret>,
    /// What they were made of.
    last: Option<SecretString>,
}

impl FollowedKeys {
    /// Reads the keys; without a source there is one of this process alone.
    ///
    /// # Errors
    /// Where the source cannot be read.
    pub fn read(source: Option<Secret>) -> Result<Self, Cause> {
        let last = source.as_ref().map(Secret::read).transpose()?;
        let keys = match &last {
            Some(text) => FingerprintKeys::parse(text)?,
            None => FingerprintKeys::random(),
        };
        Ok(Self { keys, source, last })
    }

    /// The keys, which change with the file.
    pub fn keys(&self) -> FingerprintKeys {
        self.keys.clone()
    }

    /// Takes over what the file holds, for ever. Where that cannot be used, the last keys stay.
    pub async fn follow(self) {
        let Self { keys, source: Some(source @ Secret::File(_)), mut last } = self else { return };
        let mut due = interval(INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let text = match source.read() {
                Ok(text) => text,
                Err(error) => {
                    // Said once, when it begins.
                    if last.take().is_some() {
                        tracing::error!(
                            error = error_chain(&error),
                            "cannot read HCS_FINGERPRINT_KEY_FILE: continuing with the last keys"
                        );
                    }
                    continue;
                }
            };
            if last.as_ref().is_some_and(|last| last.expose_secret() == text.expose_secret()) {
                continue;
            }
            match FingerprintKeys::parse(&text) {
                Ok(new) => {
                    keys.replace(&new);
                    tracing::info!("took over the keys in HCS_FINGERPRINT_KEY_FILE");
                }
                Err(error) => {
                    tracing::error!(%error, "cannot use HCS_FINGERPRINT_KEY_FILE: continuing with the last keys")
                }
            }
            last = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: [(&str, &str); 3] = [("name", "n"), ("description", "d"), ("credentials.client_id", "id")];

    fn keys(keys: &[u8]) -> FingerprintKeys {
        let previous = keys.get(1).map(|key| [*key; 32]);
        FingerprintKeys::new(&[keys[0]; 32], previous.as_ref().map(<[u8; 32]>::as_slice))
    }

    #[test]
    fn the_fields_that_differ_are_named() {
        let keys = keys(&[1]);
        let stored = keys.fingerprints(CONTENT).current;
        assert_eq!(keys.fingerprints(CONTENT).compare(&stored), Comparison::Same);
        for place in 0..CONTENT.len() {
            let mut changed = CONTENT;
            changed[place].1 = "other";
            let differs = vec![CONTENT[place].0.to_owned()];
            assert_eq!(keys.fingerprints(changed).compare(&stored), Comparison::Differs(differs));
        }
    }

    #[test]
    fn a_field_that_one_content_lacks_differs() {
        let keys = keys(&[1]);
        let of = |content: &[(&'static str, &'static str)]| keys.fingerprints(content.iter().copied());
        let differs = |names: &[&str]| Comparison::Differs(names.iter().map(ToString::to_string).collect());
        assert_eq!(of(&CONTENT).compare(&of(&CONTENT[..2]).current), differs(&["credentials.client_id"]));
        assert_eq!(of(&CONTENT[..2]).compare(&of(&CONTENT).current), differs(&["credentials.client_id"]));
        let other = [("name", "n"), ("table", "t")];
        let expected = differs(&["table", "description", "credentials.client_id"]);
        assert_eq!(of(&other).compare(&of(&CONTENT).current), expected);
    }

    #[test]
    fn equal_values_of_two_fields_do_not_look_equal() {
        let fingerprint = keys(&[1]).fingerprints([("a", "x"), ("b", "x")]).current;
        let tags: Vec<_> = fingerprint.fields().map(|(_, tag)| tag).collect();
        assert_ne!(tags[0], tags[1]);
    }

    #[test]
    fn a_rotation_accepts_what_either_key_wrote_and_knows_what_neither_did() {
        let [old, announced, rotating, new] =
            [&[1][..], &[1, 2], &[2, 1], &[2]].map(|numbers| keys(numbers).fingerprints(CONTENT));
        for (one, other) in
            [(&old, &announced), (&announced, &rotating), (&old, &rotating), (&rotating, &new)]
        {
            assert_eq!(one.compare_any(other), Comparison::Same);
            assert_eq!(other.compare_any(one), Comparison::Same);
        }
        assert_eq!(rotating.compare(&old.current), Comparison::Same);
        assert_eq!(new.compare(&old.current), Comparison::UnknownKey);
        assert_eq!(new.compare_any(&old), Comparison::UnknownKey);
    }

    /// They are kept in Redis, and every later version has to read them.
    #[test]
    fn the_text_of_a_fingerprint_is_what_it_always_was() {
        let fingerprint = keys(&[1]).fingerprints([("sandbox_name", "prod"), ("name", "n")]).current;
        let text = fingerprint.as_str();
        assert_eq!(Fingerprint::parse(text), Some(fingerprint.clone()));
        assert_eq!(text, "cabf5820:sandbox_name=2b829fd60b514f65,name=0c8bcc8d4bf680f3");
        for other in
            ["", ":", "00112233", "00112233:", &text[1..], &format!("{text}0"), &text.replace(':', "-")]
        {
            assert_eq!(Fingerprint::parse(other), None, "{other}");
        }
    }
}
