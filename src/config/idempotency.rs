//! The settings of the idempotency store and of the recovery of lost creations.

use std::time::Duration;

use super::{
    setting::*,
    source::{Reported, Source, all_of},
};
use crate::{
    adobe::UpstreamConfig,
    exactly_once::{
        IdempotencyConfig, Recovery, SearchFirst,
        store::{RedisTlsFiles, RedisUrl, SEND_WITHIN},
    },
    secret::Secret,
};

/// The least time that the real Flow Service gets to list a new connection: nothing is documented.
const SHORTEST_SETTLE_WINDOW: Duration = Duration::from_secs(60);

pub(super) fn idempotency(source: &mut Source) -> Result<IdempotencyConfig, Reported> {
    let redis = source.read_secret(HCS_REDIS_URL);
    let url = redis.as_ref().map(|redis| redis.as_ref().map(|(_, url)| url));
    all_of!(IdempotencyConfig {
        redis_tls: redis_tls(source, url),
        // If the URL is unusable, its own problem is enough.
        fingerprint_keys: fingerprint_keys(source, matches!(url, Ok(Some(_)))),
        redis_url: redis.map(|redis| redis.map(|(secret, _)| secret)),
        request_id_ttl: source.read(HCS_REQUEST_ID_TTL),
        settle_window: source.read(HCS_SETTLE_WINDOW),
        recovery: all_of!(Recovery {
            references: source.read(HCS_DESCRIPTION_REFERENCE),
            search_first: source.read(HCS_SEARCH_FIRST),
        }),
    })
}

/// The files of TLS. The URL is an error if it is unusable.
fn redis_tls(
    source: &mut Source,
    url: Result<Option<&RedisUrl>, &Reported>,
) -> Result<RedisTlsFiles, Reported> {
    let files = all_of!(RedisTlsFiles {
        ca: source.read_optional(HCS_REDIS_CA_FILE),
        client: source.read_both(HCS_REDIS_CLIENT_CERT_FILE, HCS_REDIS_CLIENT_KEY_FILE),
    })?;
    if let Err(error) = files.read() {
        return Err(source.report(error.setting, error.to_string()));
    }
    let Some(setting) = files.setting() else { return Ok(files) };
    let problem = match url {
        Ok(Some(url)) if !url.is_tls() => {
            "set with a redis:// URL in HCS_REDIS_URL: write rediss:// there, or unset this"
        }
        Ok(None) => "set without HCS_REDIS_URL: set that as well, or unset this",
        Ok(Some(_)) | Err(Reported) => return Ok(files),
    };
    Err(source.report(setting, problem))
}

fn fingerprint_keys(source: &mut Source, with_redis: bool) -> Result<Option<Secret>, Reported> {
    match source.read_secret(HCS_FINGERPRINT_KEY)? {
        Some((secret, _)) => Ok(Some(secret)),
        None if !with_redis => Ok(None),
        None => Err(source.report(
            HCS_FINGERPRINT_KEY.name,
            "required with HCS_REDIS_URL: replicas have to share it, as in the output of openssl rand -base64 32",
        )),
    }
}

/// Reports settings that contradict each other.
pub(super) fn check_together(
    source: &mut Source,
    idempotency: &IdempotencyConfig,
    upstream: &UpstreamConfig,
    request_timeout: Duration,
) {
    let IdempotencyConfig { request_id_ttl, settle_window, recovery, .. } = idempotency;
    if recovery.search_first == SearchFirst::Strict && !recovery.references {
        source.report(
            HCS_SEARCH_FIRST.name,
            "strict needs HCS_DESCRIPTION_REFERENCE=true: without references nothing proves that a request was \
             not sent",
        );
    }
    if upstream.flow_service_url.scheme() == "https" && *settle_window < SHORTEST_SETTLE_WINDOW {
        source.report(
            HCS_SETTLE_WINDOW.name,
            "shorter than 60s: a connection that lists do not show yet could be created again",
        );
    }
    // A creation is settled after the first three: see `Retention::settled_after`.
    if *request_id_ttl < SEND_WITHIN + upstream.create_timeout + *settle_window + request_timeout {
        source.report(
            HCS_REQUEST_ID_TTL.name,
            "shorter than 5s, HCS_CREATE_TIMEOUT, HCS_SETTLE_WINDOW and HCS_REQUEST_TIMEOUT together: an id \
             could be forgotten while its outcome is not known yet",
        );
    }
}
