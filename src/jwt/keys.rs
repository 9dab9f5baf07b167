//! The public keys of an issuer: a JSON Web Key Set in a file or at a URL, read again from time to time
//! and when a token names a key that is not in it.

use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use reqwest::Client;
use serde_json::value::RawValue;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{
    config::{JwksSource, read_small_file},
    error_chain::error_chain,
    flow_service::{Cause, read_body},
    json::Object,
    metrics::Metrics,
};

/// A key is some 500 bytes.
const MOST_BYTES: usize = 1 << 20;
/// A token without the name of its key is tried with so many.
const MOST_KEYS: usize = 32;
/// How often the keys are read again: one that the issuer withdraws counts no longer than this.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// A file costs nothing to read.
const FILE_INTERVAL: Duration = Duration::from_secs(5);
/// How soon after an attempt that failed there is another one.
const RETRY: Duration = Duration::from_secs(10);
/// How soon after it made the keys be read in vain a token with an unknown key does so again: such tokens
/// cost nothing.
const PAUSE: Duration = Duration::from_secs(10);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The keys of an issuer, as they were last read.
pub struct KeySet(Vec<Key>);

/// One of them.
pub(super) struct Key {
    id: Option<String>,
    algorithms: &'static [Algorithm],
    pub(super) key: DecodingKey,
}

/// There is no usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no JSON Web Key Set with a usable key")]
pub struct InvalidKeySet;

impl KeySet {
    /// Reads a key set. Keys that are for something else, or of a kind that is not known, are left out.
    ///
    /// # Errors
    /// [`InvalidKeySet`] where no key is left.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidKeySet> {
        let set = Object::parse(json).map_err(|_| InvalidKeySet)?;
        let keys = set.array("keys").ok_or(InvalidKeySet)?;
        let keys: Vec<_> = keys.into_iter().filter_map(Key::parse).take(MOST_KEYS).collect();
        if keys.is_empty() { Err(InvalidKeySet) } else { Ok(Self(keys)) }
    }

    /// The keys of this name, or all of them where a token names none.
    pub(super) fn named(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| id.is_none() || key.id.as_deref() == id)
    }
}

impl Key {
    fn parse(json: &RawValue) -> Option<Self> {
        // A key is an object: derived code would take an array as well.
        Object::parse(json.get().as_bytes()).ok()?;
        let jwk: Jwk = serde_json::from_str(json.get()).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
            return None;
        }
        let algorithms: &[Algorithm] = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::RSA(_), None) => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS256)) => &[Algorithm::RS256],
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS384)) => &[Algorithm::RS384],
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS512)) => &[Algorithm::RS512],
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS256)) => &[Algorithm::PS256],
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS384)) => &[Algorithm::PS384],
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS512)) => &[Algorithm::PS512],
            (AlgorithmParameters::EllipticCurve(key), None | Some(KeyAlgorithm::ES256))
                if key.curve == EllipticCurve::P256 =>
            {
                &[Algorithm::ES256]
            }
            (AlgorithmParameters::EllipticCurve(key), None | Some(KeyAlgorithm::ES384))
                if key.curve == EllipticCurve::P384 =>
            {
                &[Algorithm::ES384]
            }
            (AlgorithmParameters::OctetKeyPair(_), None | Some(KeyAlgorithm::EdDSA)) => &[Algorithm::EdDSA],
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithms, key })
    }

    pub(super) fn verifies(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

pub(super) fn is_symmetric(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

/// The keys of an issuer, kept up to date. The last ones that could be read stay.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    source: JwksSource,
    client: Client,
    metrics: Metrics,
    current: RwLock<Arc<KeySet>>,
    reading: Mutex<Reading>,
}

/// When the keys were read.
#[derive(Default)]
struct Reading {
    last: Option<Instant>,
    /// The last time that it was for a token whose key was unknown afterwards as well. The others do not
    /// count: whoever begins to use a new key just after one of them should not have to wait.
    in_vain: Option<Instant>,
}

impl Keys {
    /// Has no keys until they are read.
    pub fn new(source: JwksSource, client: Client, metrics: Metrics) -> Self {
        let current = RwLock::new(Arc::new(KeySet(Vec::new())));
        Self(Arc::new(Shared { source, client, metrics, current, reading: Mutex::default() }))
    }

    /// The keys as they were last read.
    pub(super) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys read anew for a token with an unknown key, unless that was done in vain just now.
    /// A token that names no key counts as one whose key is unknown.
    pub(super) async fn refreshed(&self, id: Option<&str>) -> Arc<KeySet> {
        let (keys, id) = (self.clone(), id.map(str::to_owned));
        // Brought to its end although the call may be given up: the next one would begin anew.
        let reading = tokio::spawn(async move { keys.refresh_for(id.as_deref()).await });
        // The keys of before are there in any case.
        let _ = reading.await;
        self.current()
    }

    async fn refresh_for(&self, id: Option<&str>) {
        let came = Instant::now();
        let mut reading = self.0.reading.lock().await;
        // Everyone who waits here wants what the first one reads.
        let is_new = reading.last.is_some_and(|last| last >= came);
        let is_pausing = reading.in_vain.is_some_and(|last| last.elapsed() < PAUSE);
        if !is_new && !is_pausing {
            self.refresh(&mut reading).await;
            if id.is_none() || self.current().named(id).next().is_none() {
                reading.in_vain = Some(Instant::now());
            }
        }
    }

    /// Reads the keys from time to time, for ever.
    pub async fn follow(self) {
        let pause = match self.0.source {
            JwksSource::Url(_) => INTERVAL,
            JwksSource::File(_) => FILE_INTERVAL,
        };
        loop {
            let is_read = self.refresh(&mut *self.0.reading.lock().await).await;
            sleep(if is_read { pause } else { RETRY.min(pause) }).await;
        }
    }

    /// Says whether the keys could be read.
    async fn refresh(&self, reading: &mut Reading) -> bool {
        let begin = Instant::now();
        let read = self.read().await;
        reading.last = Some(begin);
        match read {
            Ok(keys) => {
                *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                true
            }
            Err(error) => {
                self.0.metrics.jwks_failures.inc();
                tracing::error!(
                    error = error_chain(&*error),
                    "the keys of HCS_JWT_JWKS_URL or HCS_JWT_JWKS_FILE cannot be read: going on with those read \
                     before"
                );
                false
            }
        }
    }

    async fn read(&self) -> Result<KeySet, Cause> {
        let json = match &self.0.source {
            JwksSource::File(path) => read_file(path)?,
            JwksSource::Url(url) => {
                let response = self.0.client.get(url.clone()).timeout(FETCH_TIMEOUT).send().await;
                let response = response.and_then(reqwest::Response::error_for_status);
                let response = response.map_err(reqwest::Error::without_url)?;
                read_body(response, MOST_BYTES).await?.to_vec()
            }
        };
        Ok(KeySet::parse(&json)?)
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Cause> {
    Ok(read_small_file(path, MOST_BYTES as u64)?.to_vec())
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("source", &self.0.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8037, appendix A.2.
    const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn keys(set: &str) -> Option<usize> {
        KeySet::parse(set.as_bytes()).ok().map(|KeySet(keys)| keys.len())
    }

    #[test]
    fn a_key_set_is_an_object_with_a_list_of_objects() {
        assert_eq!(keys(&format!(r#"{{"keys":[{KEY}]}}"#)), Some(1));
        assert_eq!(keys(&format!("\u{feff}{{\"keys\":[{KEY},{KEY}],\"x\":[]}}")), Some(2));
        for set in [
            format!("[[{KEY}]]"),
            format!("[{KEY}]"),
            format!(r#"[{{"keys":[{KEY}]}}]"#),
            format!(r#"{{"keys":{KEY}}}"#),
            format!(r#"{{"keys":[[{KEY}]]}}"#),
            format!(r#"{{"keys":[{KEY}],"keys":[]}}"#),
            r#"{"keys":[["OKP","Ed25519","11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"]]}"#.to_owned(),
            r#"{"keys":[]}"#.to_owned(),
            KEY.to_owned(),
        ] {
            assert_eq!(keys(&set), None, "{set}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_concerns_no_other() {
        for odd in ["null", "[]", "[[]]", r#"{"kty":5}"#, r#"{"kty":"\ud800"}"#, r#"{"kty":1e999}"#] {
            assert_eq!(keys(&format!(r#"{{"keys":[{odd},{KEY}]}}"#)), Some(1), "{odd}");
        }
    }
}
