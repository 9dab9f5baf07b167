//! The public keys of an issuer: a JSON Web Key Set in a file or at a URL, read again from time to time
//! and when a token names a key that is not in it.

use std::{collections::BTreeSet, fmt, path::Path, sync::Arc, time::Duration};

use http::{StatusCode, header::CONTENT_TYPE};
use reqwest::Client;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep},
};

use super::key_set::{InvalidKeySet, KeySet, LeftOut};
use crate::{
    backoff::Backoff,
    error::{Cause, error_chain},
    http_client::read_body,
    jwt::JwksSource,
    metrics::Metrics,
    secret::read_small_file,
};

/// A key is some 500 bytes.
const MOST_BYTES: usize = 1 << 20;
/// How often the keys are read again: one that the issuer withdraws counts no longer than this.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// A file costs nothing to read.
const FILE_INTERVAL: Duration = Duration::from_secs(5);
/// The first pause is short, because at the start the network may not be up yet.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10), 0.0);
/// How soon after it made the keys be read in vain a token with an unknown key does so again: such tokens
/// cost nothing.
const PAUSE: Duration = Duration::from_secs(10);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The keys of an issuer, kept up to date. The last ones that could be read stay.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    source: JwksSource,
    client: Client,
    metrics: Metrics,
    published: watch::Sender<Published>,
    reading: Mutex<Reading>,
}

/// What calls see of the keys.
#[derive(Clone, Default)]
struct Published {
    /// The last ones that could be read.
    keys: Option<Arc<KeySet>>,
    /// Whether the last attempt to read them failed.
    is_failing: bool,
}

/// What the attempts to read the keys came to.
#[derive(Default)]
struct Reading {
    last: Option<Instant>,
    /// The last time that it was for a token whose key was unknown afterwards as well. The others do not
    /// count: whoever begins to use a new key just after one of them should not have to wait.
    in_vain: Option<Instant>,
    /// Failed attempts in a row.
    failures: u32,
    /// Why the last attempt failed, as it was logged.
    failure: Option<String>,
    /// The published keys that are not used, as they were logged.
    left_out: BTreeSet<LeftOut>,
}

impl Keys {
    /// Has no keys until they are read.
    pub fn new(source: JwksSource, client: Client, metrics: Metrics) -> Self {
        let published = watch::Sender::default();
        Self(Arc::new(Shared { source, client, metrics, published, reading: Mutex::default() }))
    }

    /// Resolves once the keys could be read. Later failures do not change that.
    pub async fn available(&self) {
        let mut published = self.0.published.subscribe();
        // The sender lives as long as this.
        let _ = published.wait_for(|published| published.keys.is_some()).await;
    }

    /// The keys as they were last read; none before the first time.
    pub(super) fn current(&self) -> Arc<KeySet> {
        self.0.published.borrow().keys.clone().unwrap_or_default()
    }

    /// Whether the keys may have changed since they were last read, because the last attempt failed.
    pub(super) fn is_failing(&self) -> bool {
        self.0.published.borrow().is_failing
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
            if id.is_none_or(|id| !self.current().has(id)) {
                reading.in_vain = Some(Instant::now());
            }
        }
    }

    /// Reads the keys from time to time, for ever.
    pub async fn follow(self) {
        let interval = match self.0.source {
            JwksSource::Url(_) => INTERVAL,
            JwksSource::File(_) => FILE_INTERVAL,
        };
        loop {
            let failures = {
                let mut reading = self.0.reading.lock().await;
                self.refresh(&mut reading).await;
                reading.failures
            };
            sleep(if failures == 0 { interval } else { BACKOFF.pause(failures).min(interval) }).await;
        }
    }

    async fn refresh(&self, reading: &mut Reading) {
        let begin = Instant::now();
        let read = self.read().await;
        reading.last = Some(begin);
        match read {
            Ok(keys) => {
                reading.failures = 0;
                if reading.failure.take().is_some() {
                    tracing::info!(
                        from = self.setting(),
                        host = self.host(),
                        "the keys of callers' tokens can be read again"
                    );
                }
                for LeftOut { id, reason } in keys.left_out().difference(&reading.left_out) {
                    tracing::warn!(
                        kid = id,
                        reason,
                        from = self.setting(),
                        host = self.host(),
                        "a published key is not used"
                    );
                }
                reading.left_out.clone_from(keys.left_out());
                self.0.published.send_replace(Published { keys: Some(Arc::new(keys)), is_failing: false });
            }
            Err(error) => {
                self.0.metrics.jwks_failures.inc();
                reading.failures = reading.failures.saturating_add(1);
                self.log_failure(reading, error_chain(&*error));
                self.0.published.send_modify(|published| published.is_failing = true);
            }
        }
    }

    /// Logs a failure once, not at each attempt.
    fn log_failure(&self, reading: &mut Reading, error: String) {
        if reading.failure.as_ref() == Some(&error) {
            return;
        }
        let consequence = if self.0.published.borrow().keys.is_some() {
            "the last ones stay in use, new ones are not recognized"
        } else {
            "calls are answered with CALLER_KEYS_UNAVAILABLE until they can be read"
        };
        tracing::error!(
            error,
            from = self.setting(),
            host = self.host(),
            consequence,
            "the keys of callers' tokens cannot be read"
        );
        reading.failure = Some(error);
    }

    /// The setting that says where the keys are.
    fn setting(&self) -> &'static str {
        match self.0.source {
            JwksSource::Url(_) => "HCS_JWT_JWKS_URL",
            JwksSource::File(_) => "HCS_JWT_JWKS_FILE",
        }
    }

    fn host(&self) -> Option<String> {
        match &self.0.source {
            JwksSource::Url(url) => {
                Some(format!("{}:{}", url.host_str()?, url.port_or_known_default().unwrap_or_default()))
            }
            JwksSource::File(_) => None,
        }
    }

    async fn read(&self) -> Result<KeySet, Cause> {
        match &self.0.source {
            JwksSource::File(path) => Ok(KeySet::parse(&read_file(path)?)?),
            JwksSource::Url(url) => {
                let response = self.0.client.get(url.clone()).timeout(FETCH_TIMEOUT).send().await;
                let response = response.map_err(reqwest::Error::without_url)?;
                // Whatever else it is, also with a key set in its body: a redirect, which could lead to the
                // keys of somebody else, the page of a proxy, a partial response.
                if response.status() != StatusCode::OK {
                    return Err(UnexpectedStatus(response.status()).into());
                }
                let content_type = content_type(&response);
                let body = read_body(response, MOST_BYTES).await?;
                KeySet::parse(&body).map_err(|source| NoKeySet { content_type, source }.into())
            }
        }
    }
}

/// The key set is not there.
#[derive(Debug, thiserror::Error)]
#[error("the server responds with HTTP {0}{hint}", hint = if .0.is_redirection() { ": redirects are not followed" } else { "" })]
struct UnexpectedStatus(StatusCode);

/// What is there in its place.
#[derive(Debug, thiserror::Error)]
#[error("the response has the content type {content_type}")]
struct NoKeySet {
    content_type: String,
    source: InvalidKeySet,
}

fn content_type(response: &reqwest::Response) -> String {
    const MOST_CHARS: usize = 100;
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or("none").chars().take(MOST_CHARS).collect()
}

fn read_file(path: &Path) -> Result<Vec<u8>, Cause> {
    Ok(read_small_file(path, MOST_BYTES as u64)?.to_vec())
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("source", &self.0.source).finish_non_exhaustive()
    }
}
