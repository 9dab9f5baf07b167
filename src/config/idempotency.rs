//! The settings of the record of creations.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::{
    IdempotencyConfig, Secret, UpstreamConfig, parse,
    source::{Reported, Source},
};
use crate::{
    domain::Invalid,
    idempotency::{FingerprintKeys, SEND_WITHIN},
    service::{Recovery, SearchFirst},
};

/// Shorter keys could be guessed.
const SHORTEST_KEY: usize = 32;
/// How long a connection may stay invisible in the real Flow Service, at least: nothing is documented.
const SHORTEST_SETTLE_WINDOW: Duration = Duration::from_secs(60);

pub(super) fn idempotency(source: &mut Source) -> Result<IdempotencyConfig, Reported> {
    let redis_url = redis_url(source);
    // An unusable URL is problem enough.
    let keys = fingerprint_secret(source, matches!(redis_url, Ok(None) | Err(_)));
    let request_id = source.read("HCS_REQUEST_ID_TTL", parse::timeout);
    let settle_window = source.read("HCS_SETTLE_WINDOW", parse::timeout);
    let references = source.read("HCS_DESCRIPTION_REFERENCE", parse::boolean);
    let search_first = source.read("HCS_SEARCH_FIRST", parse::search_first);
    Ok(IdempotencyConfig {
        redis_url: redis_url?,
        fingerprint_keys: keys?,
        request_id_ttl: request_id?,
        settle_window: settle_window?,
        recovery: Recovery { references: references?, search_first: search_first? },
    })
}

fn redis_url(source: &mut Source) -> Result<Option<Secret>, Reported> {
    let secret = source.read_secret("HCS_REDIS_URL")?;
    let url = secret.as_ref().and_then(|secret| secret.read().ok());
    let url = url.map(|url| Url::parse(url.expose_secret()));
    match url {
        None => Ok(secret),
        Some(Ok(url)) if matches!(url.scheme(), "redis" | "rediss") && url.host().is_some() => Ok(secret),
        Some(Ok(_) | Err(_)) => Err(source.report(
            "HCS_REDIS_URL",
            "must be a redis or rediss URL with a host, as in rediss://:PASSWORD@redis.example.com:6379",
        )),
    }
}

fn fingerprint_secret(source: &mut Source, memory_only: bool) -> Result<Option<Secret>, Reported> {
    let Some(secret) = source.read_secret("HCS_FINGERPRINT_KEY")? else {
        if memory_only {
            return Ok(None);
        }
        return Err(source.report(
            "HCS_FINGERPRINT_KEY",
            "required with HCS_REDIS_URL: replicas have to share it, as in the output of openssl rand -base64 32",
        ));
    };
    let text = secret.read().map_err(|error| source.report("HCS_FINGERPRINT_KEY", error.to_string()))?;
    match fingerprint_keys(&text) {
        Ok(_) => Ok(Some(secret)),
        Err(Invalid { sentence, .. }) => Err(source.report("HCS_FINGERPRINT_KEY", sentence)),
    }
}

/// Reads one key, or two: the one that writes first.
pub(crate) fn fingerprint_keys(text: &SecretString) -> Result<FingerprintKeys, Invalid> {
    let keys: Vec<&[u8]> = text.expose_secret().split(',').map(|key| key.trim().as_bytes()).collect();
    match keys.as_slice() {
        [current] if current.len() >= SHORTEST_KEY => Ok(FingerprintKeys::new(current, None)),
        [current, previous] if current.len().min(previous.len()) >= SHORTEST_KEY => {
            Ok(FingerprintKeys::new(current, Some(previous)))
        }
        _ => Err(Invalid::from(
            "must be one key of at least 32 bytes, or while rotating two, comma separated, the new one first",
        )),
    }
}

/// Reports settings that cannot hold together.
pub(super) fn check_together(
    source: &mut Source,
    idempotency: &IdempotencyConfig,
    upstream: &UpstreamConfig,
    request_timeout: Duration,
) {
    let IdempotencyConfig { request_id_ttl, settle_window, recovery, .. } = idempotency;
    if recovery.search_first == SearchFirst::Strict && !recovery.references {
        source.report(
            "HCS_SEARCH_FIRST",
            "strict needs HCS_DESCRIPTION_REFERENCE=true: without references nothing proves that a request was \
             not sent",
        );
    }
    if upstream.flow_service_url.scheme() == "https" && *settle_window < SHORTEST_SETTLE_WINDOW {
        source.report(
            "HCS_SETTLE_WINDOW",
            "shorter than 60s: a connection that lists do not show yet could be created again",
        );
    }
    // A creation is settled after the first three: see `Retention::settled_after`.
    if *request_id_ttl < SEND_WITHIN + upstream.create_timeout + *settle_window + request_timeout {
        source.report(
            "HCS_REQUEST_ID_TTL",
            "shorter than 5s, HCS_CREATE_TIMEOUT, HCS_SETTLE_WINDOW and HCS_REQUEST_TIMEOUT together: an id \
             could be forgotten while its outcome is not known yet",
        );
    }
}
