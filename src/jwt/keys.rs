//! The key set of an issuer, fetched at intervals and when a token names an unknown key.
//!
//! Own code, because it promises what no library offers together: a set from a URL or a file, no redirects, one
//! fetch for all calls that wait for it, a pause after tokens with made-up keys, the last keys through an outage of
//! the issuer, and errors that name the setting.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{StatusCode, header::CONTENT_TYPE};
use reqwest::Client;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep},
};

use super::{
    JwksSource,
    key_set::{KeySet, LeftOut},
};
use crate::{
    backoff::Backoff,
    error::{Cause, error_chain},
    http_client::{read_body, without_url},
    metrics::Metrics,
    secret::read_small_file,
};

/// A key has some 500 bytes.
const MOST_BYTES: usize = 1 << 20;
/// A key that the issuer withdraws is accepted for this long at most.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Reading a file costs little.
const FILE_INTERVAL: Duration = Duration::from_secs(5);
/// The first pause is short, because at the start the network may not be up yet.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10), 0.0);
/// The pause after a token with an unknown key caused a fetch that did not find the key. Anybody can make such
/// tokens.
const PAUSE: Duration = Duration::from_secs(10);
/// An issuer, or the way to it, that is not up yet when this process starts is an error only after this time.
const START: Duration = Duration::from_secs(20);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The keys of an issuer, kept up to date. After a failure the last ones stay in use.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: JwksSource,
    client: Client,
    metrics: Metrics,
    published: watch::Sender<Published>,
    began: Instant,
    fetches: Mutex<Fetches>,
}

/// What calls see of the keys.
#[derive(Clone, Debug, Default)]
struct Published {
    /// The last ones that could be read.
    keys: Option<Arc<KeySet>>,
    /// Whether the last attempt failed.
    is_failing: bool,
}

/// The attempts to read the keys.
#[derive(Debug, Default)]
struct Fetches {
    last: Option<Instant>,
    /// The last attempt for a token whose key was unknown afterwards as well. Successful attempts cause no pause,
    /// so that a new key works at once even if another one was fetched just before.
    in_vain: Option<Instant>,
    /// Failed attempts in a row.
    failures: u32,
    /// The last failure in the log, and whether it is an error there.
    failure: Option<(String, bool)>,
    /// The unused keys that are in the log.
    left_out: BTreeSet<LeftOut>,
}

impl Keys {
    /// Has no keys until they are fetched.
    pub fn new(source: JwksSource, client: Client, metrics: Metrics) -> Self {
        let published = watch::Sender::default();
        let (began, fetches) = (Instant::now(), Mutex::default());
        Self(Arc::new(Shared { source, client, metrics, published, began, fetches }))
    }

    /// Resolves once the keys could be read. Later failures do not change that.
    pub async fn available(&self) {
        let mut published = self.0.published.subscribe();
        // The sender lives as long as this.
        let _ = published.wait_for(|published| published.keys.is_some()).await;
    }

    /// The last keys that could be read, at first none.
    pub(super) fn current(&self) -> Arc<KeySet> {
        self.0.published.borrow().keys.clone().unwrap_or_default()
    }

    /// Whether the issuer may have newer keys, because the last attempt failed.
    pub(super) fn is_failing(&self) -> bool {
        self.0.published.borrow().is_failing
    }

    /// The keys after a fetch for a token with an unknown key, unless such a fetch was in vain just before.
    /// A token that names no key counts as one whose key is unknown.
    pub(super) async fn refreshed(&self, id: Option<&str>) -> Arc<KeySet> {
        let (keys, id) = (self.clone(), id.map(str::to_owned));
        // In a task, so that a caller that gives up does not cancel it: the next call would begin from scratch.
        let fetch = tokio::spawn(async move { keys.refresh_for(id.as_deref()).await });
        // If it panicked, the keys of before are there.
        let _ = fetch.await;
        self.current()
    }

    async fn refresh_for(&self, id: Option<&str>) {
        let asked_at = Instant::now();
        let mut fetches = self.0.fetches.lock().await;
        // All calls that wait here share the first one's fetch.
        let is_new = fetches.last.is_some_and(|last| last >= asked_at);
        let is_pausing = fetches.in_vain.is_some_and(|last| last.elapsed() < PAUSE);
        if !is_new && !is_pausing {
            self.refresh(&mut fetches).await;
            if id.is_none_or(|id| !self.current().has(id)) {
                fetches.in_vain = Some(Instant::now());
            }
        }
    }

    /// Fetches the keys at intervals, for ever.
    pub async fn follow(self) {
        let interval = match self.0.source {
            JwksSource::Url(_) => INTERVAL,
            JwksSource::File(_) => FILE_INTERVAL,
        };
        loop {
            let failures = {
                let mut fetches = self.0.fetches.lock().await;
                self.refresh(&mut fetches).await;
                fetches.failures
            };
            sleep(if failures == 0 { interval } else { BACKOFF.pause(failures).min(interval) }).await;
        }
    }

    async fn refresh(&self, fetches: &mut Fetches) {
        fetches.last = Some(Instant::now());
        let (from, host) = self.0.source.origin();
        match self.read().await {
            Ok(keys) => {
                fetches.failures = 0;
                if fetches.failure.take().is_some() {
                    tracing::info!(from, host, "the keys of callers' tokens can be read again");
                }
                for LeftOut { id, reason } in keys.left_out.difference(&fetches.left_out) {
                    tracing::warn!(kid = id, reason, from, host, "a published key is not used");
                }
                fetches.left_out.clone_from(&keys.left_out);
                self.0.published.send_replace(Published { keys: Some(Arc::new(keys)), is_failing: false });
            }
            Err(error) => {
                self.0.metrics.jwks_failures.inc();
                fetches.failures = fetches.failures.saturating_add(1);
                let error = error_chain(&*error);
                let has_keys = self.0.published.borrow().keys.is_some();
                let may_be_starting = !has_keys && self.0.began.elapsed() < START;
                let failure = (error, !may_be_starting);
                // Logged once, not at each attempt.
                if fetches.failure.as_ref() != Some(&failure) {
                    let (error, is_error) = &failure;
                    let consequence = if has_keys {
                        "the last ones stay in use, new ones are not recognized"
                    } else {
                        "calls fail with CALLER_KEYS_UNAVAILABLE until they can be read"
                    };
                    let message = "the keys of callers' tokens cannot be read";
                    if *is_error {
                        tracing::error!(error, from, host, consequence, message);
                    } else {
                        tracing::warn!(error, from, host, consequence, message);
                    }
                    fetches.failure = Some(failure);
                }
                self.0.published.send_modify(|published| published.is_failing = true);
            }
        }
    }

    async fn read(&self) -> Result<KeySet, Cause> {
        let url = match &self.0.source {
            JwksSource::File(path) => return Ok(KeySet::parse(&read_small_file(path, MOST_BYTES as u64)?)?),
            JwksSource::Url(url) => url.clone(),
        };
        let response = self.0.client.get(url).timeout(FETCH_TIMEOUT).send().await;
        let response = response.map_err(without_url)?;
        // Any other status is an error even with a key set in the body: a redirect could lead to the keys of
        // somebody else, and a proxy or a partial response could hold anything.
        let status = response.status();
        if status != StatusCode::OK {
            let hint = if status.is_redirection() { ": redirects are not followed" } else { "" };
            return Err(format!("the server responds with HTTP {status}{hint}").into());
        }
        let content_type = content_type(&response);
        let body = read_body(response, MOST_BYTES).await?;
        KeySet::parse(&body)
            .map_err(|error| format!("the response has the content type {content_type}: {error}").into())
    }
}

impl JwksSource {
    /// The setting, and with a URL its host and port, for the log.
    fn origin(&self) -> (&'static str, Option<String>) {
        match self {
            Self::File(_) => ("HCS_JWT_JWKS_FILE", None),
            Self::Url(url) => {
                let port = url.port_or_known_default().unwrap_or_default();
                ("HCS_JWT_JWKS_URL", url.host_str().map(|host| format!("{host}:{port}")))
            }
        }
    }
}

fn content_type(response: &reqwest::Response) -> String {
    const MOST_CHARS: usize = 100;
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or("none").chars().take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_missing_are_an_error_once_they_should_have_been_there() {
        let source = JwksSource::File("/there/is/no/such/file".into());
        let keys = Keys::new(source, Client::new(), Metrics::default());
        for (time, is_error) in [(Duration::ZERO, false), (START / 2, false), (START, true)] {
            advance(time).await;
            let mut fetches = keys.0.fetches.lock().await;
            keys.refresh(&mut fetches).await;
            assert_eq!(fetches.failure.as_ref().map(|(_, is_error)| *is_error), Some(is_error));
        }
    }
}
