//! The settings of the record of creations.

use std::{path::PathBuf, time::Duration};

use secrecy::ExposeSecret;

use crate::{
    adobe::UpstreamConfig,
    config::{
        parse,
        source::{Reported, Source},
    },
    exactly_once::IdempotencyConfig,
    secret::Secret,
};
use crate::{
    domain::Invalid,
    exactly_once::{
        FingerprintKeys, Recovery, SearchFirst,
        store::{RedisTlsFiles, RedisUrl, SEND_WITHIN},
    },
};

/// How long a connection may stay invisible in the real Flow Service, at least: nothing is documented.
const SHORTEST_SETTLE_WINDOW: Duration = Duration::from_secs(60);

pub(super) fn idempotency(source: &mut Source) -> Result<IdempotencyConfig, Reported> {
    let redis_url = redis_url(source);
    let redis_tls =
        redis_tls(source, redis_url.as_ref().ok().map(|url| url.as_ref().map(|(_, is_tls)| *is_tls)));
    // An unusable URL is problem enough.
    let keys = fingerprint_secret(source, matches!(redis_url, Ok(None) | Err(_)));
    let request_id = source.read("HCS_REQUEST_ID_TTL", parse::timeout);
    let settle_window = source.read("HCS_SETTLE_WINDOW", parse::timeout);
    let references = source.read("HCS_DESCRIPTION_REFERENCE", parse::boolean);
    let search_first = source.read("HCS_SEARCH_FIRST", parse::search_first);
    Ok(IdempotencyConfig {
        redis_url: redis_url?.map(|(url, _)| url),
        redis_tls: redis_tls?,
        fingerprint_keys: keys?,
        request_id_ttl: request_id?,
        settle_window: settle_window?,
        recovery: Recovery { references: references?, search_first: search_first? },
    })
}

/// The URL, and whether it asks for TLS.
fn redis_url(source: &mut Source) -> Result<Option<(Secret, bool)>, Reported> {
    let Some(secret) = source.read_secret("HCS_REDIS_URL")? else { return Ok(None) };
    let text = secret.read().map_err(|error| source.report("HCS_REDIS_URL", error.to_string()))?;
    match RedisUrl::parse(text.expose_secret()) {
        Ok(url) => Ok(Some((secret, url.is_tls()))),
        Err(Invalid { sentence, .. }) => Err(source.report("HCS_REDIS_URL", sentence)),
    }
}

/// The files of TLS. `is_tls` is what the URL says: `None` where it cannot be used, and inside where there is
/// no URL.
fn redis_tls(source: &mut Source, is_tls: Option<Option<bool>>) -> Result<RedisTlsFiles, Reported> {
    let mut path = |name| source.read_optional(name, |text| Ok(PathBuf::from(text)));
    let ca = path("HCS_REDIS_CA_FILE");
    let certificate = path("HCS_REDIS_CLIENT_CERT_FILE");
    let key = path("HCS_REDIS_CLIENT_KEY_FILE");
    let (ca, certificate, key) = (ca?, certificate?, key?);
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            let missing = "set without HCS_REDIS_CLIENT_KEY_FILE: set both or neither";
            return Err(source.report("HCS_REDIS_CLIENT_CERT_FILE", missing));
        }
        (None, Some(_)) => {
            let missing = "set without HCS_REDIS_CLIENT_CERT_FILE: set both or neither";
            return Err(source.report("HCS_REDIS_CLIENT_KEY_FILE", missing));
        }
    };
    let files = RedisTlsFiles { ca, client };
    if let Err(error) = files.read() {
        return Err(source.report(error.setting, error.to_string()));
    }
    match (files.setting(), is_tls) {
        (Some(setting), Some(Some(false))) => Err(source.report(
            setting,
            "set with a redis:// URL in HCS_REDIS_URL: write rediss:// there, or unset this",
        )),
        (Some(setting), Some(None)) => {
            Err(source.report(setting, "set without HCS_REDIS_URL: set that as well, or unset this"))
        }
        _ => Ok(files),
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
    match FingerprintKeys::parse(&text) {
        Ok(_) => Ok(Some(secret)),
        Err(Invalid { sentence, .. }) => Err(source.report("HCS_FINGERPRINT_KEY", sentence)),
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
