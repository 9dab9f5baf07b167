//! The service configs for callers, compared with the service.

use std::{collections::BTreeSet, time::Duration};

use hubspot_connection_service::{
    grpc::{DATAFLOW_SERVICE_NAME, SERVICE_NAME},
    proto,
};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde::Deserialize;
use serde_json::Value;

use super::load::{READS, REQUEST_IDS};
use crate::errors::reasons::{codes, comments};

const CREATES: [&str; 2] = ["CreateHubSpotConnection", "CreateHubSpotDataflow"];
/// The values of `idempotency_level` in descriptors.
const NO_SIDE_EFFECTS: i32 = 1;
const IDEMPOTENT: i32 = 2;
/// The maximum number of attempts of gRPC clients, whatever a service config requests.
const MOST_ATTEMPTS: u32 = 5;
/// The default of `HCS_REQUEST_TIMEOUT`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The part of gRPC's service config that is used here; anything else is a mistake. So is `retryThrottling`: a channel
/// has one budget for all methods, and the outage of one dependency would use it up for everything. The number of
/// attempts bounds retries. What the service sheds with RESOURCE_EXHAUSTED is not retried; a call that may not wait for
/// the store, because enough others do, is UNAVAILABLE and retried.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceConfig {
    load_balancing_config: Value,
    health_check_config: Value,
    method_config: Vec<MethodConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MethodConfig {
    name: Vec<Name>,
    wait_for_ready: bool,
    timeout: String,
    retry_policy: Option<RetryPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    service: String,
    method: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RetryPolicy {
    max_attempts: u32,
    initial_backoff: String,
    max_backoff: String,
    backoff_multiplier: f64,
    retryable_status_codes: BTreeSet<String>,
}

fn parse(config: &str) -> ServiceConfig {
    serde_json::from_str(config).unwrap()
}

fn seconds(duration: &str) -> Duration {
    Duration::from_secs_f64(duration.strip_suffix('s').unwrap().parse().unwrap())
}

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let services = [SERVICE_NAME, DATAFLOW_SERVICE_NAME].map(|name| pool.get_service_by_name(name).unwrap());
    services.iter().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn level(method: &MethodDescriptor) -> Option<i32> {
    let options = method.options();
    options.get_field_by_name("idempotency_level").and_then(|level| level.as_enum_number())
}

/// The methods with retries, each with the codes that cause a retry.
fn retried(config: &ServiceConfig) -> Vec<(&str, &BTreeSet<String>)> {
    let mut retried = Vec::new();
    for MethodConfig { name, retry_policy, .. } in &config.method_config {
        let Some(policy) = retry_policy else { continue };
        // Without the name of a method it would apply to all.
        let methods = name.iter().map(|name| name.method.as_deref().unwrap());
        retried.extend(methods.map(|method| (method, &policy.retryable_status_codes)));
    }
    retried
}

/// The reasons that come with a code, according to `error_reason.proto`.
fn reasons(code: &str) -> BTreeSet<String> {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let reasons = comments(&pool.get_enum_by_name("hubspot_connection.v1.ErrorReason").unwrap());
    let with_code = reasons.into_iter().filter(|(_, comment)| codes(comment).contains(code));
    with_code.map(|(reason, _)| reason).collect()
}

#[test]
fn every_method_in_a_service_config_exists_and_what_clients_limit_is_within_their_limits() {
    let methods = methods();
    for config in [READS, REQUEST_IDS].map(parse) {
        assert_eq!(config.load_balancing_config, serde_json::json!([{"round_robin": {}}]));
        assert_eq!(config.health_check_config, serde_json::json!({"serviceName": SERVICE_NAME}));
        let mut named = BTreeSet::new();
        for MethodConfig { name, wait_for_ready, timeout, retry_policy } in &config.method_config {
            // The replacement of a replica must not fail a call.
            assert!(wait_for_ready);
            assert!(!seconds(timeout).is_zero());
            for Name { service, method } in name {
                assert!([SERVICE_NAME, DATAFLOW_SERVICE_NAME].contains(&&**service), "{service}");
                let descriptor = method.as_ref().map(|method| {
                    let is_meant = |descriptor: &&MethodDescriptor| {
                        descriptor.name() == method && descriptor.parent_service().full_name() == service
                    };
                    methods.iter().find(is_meant).unwrap_or_else(|| panic!("{service}/{method}"))
                });
                assert!(named.insert((service.clone(), method.clone())), "{method:?} twice");
                // After the deadline, the error of a write itself reports whether it may have been
                // executed.
                let is_read = descriptor.is_some_and(|method| level(method) == Some(NO_SIDE_EFFECTS));
                assert!(is_read || seconds(timeout) > REQUEST_TIMEOUT, "{method:?}");
            }
            let Some(policy) = retry_policy else { continue };
            assert!((2..=MOST_ATTEMPTS).contains(&policy.max_attempts));
            assert!(seconds(&policy.initial_backoff) <= seconds(&policy.max_backoff));
            assert!(policy.backoff_multiplier > 1.0);
        }
        for service in [SERVICE_NAME, DATAFLOW_SERVICE_NAME] {
            assert!(named.contains(&(service.to_owned(), None)), "what is not named has no timeout");
        }
    }
}

#[test]
fn callers_without_request_ids_retry_reads_and_those_with_them_retry_creations_too() {
    let methods = methods();
    // A deletion of a connection is repeatable only with allow_missing.
    let is_repeatable = |method: &&MethodDescriptor| match level(method) {
        Some(NO_SIDE_EFFECTS) => true,
        Some(IDEMPOTENT) => method.parent_service().full_name() == DATAFLOW_SERVICE_NAME,
        _ => false,
    };
    let mut repeatable: BTreeSet<_> =
        methods.iter().filter(is_repeatable).map(MethodDescriptor::name).collect();
    assert_eq!(repeatable.len(), 11);
    let names = |config: &ServiceConfig| {
        retried(config).into_iter().map(|(method, _)| method.to_owned()).collect::<BTreeSet<_>>()
    };
    assert!(names(&parse(READS)).iter().eq(&repeatable));
    repeatable.extend(CREATES);
    assert!(names(&parse(REQUEST_IDS)).iter().eq(&repeatable));
}

#[test]
fn calls_are_retried_only_after_errors_that_ask_for_it() {
    for (method, codes) in [READS, REQUEST_IDS].map(parse).iter().flat_map(retried) {
        let expected: &[_] =
            if CREATES.contains(&method) { &["ABORTED", "UNAVAILABLE"] } else { &["UNAVAILABLE"] };
        assert!(codes.iter().eq(expected), "{method}: {codes:?}");
    }
    // Each of these has a RetryInfo, except ETAG_MISMATCH, which is not an error of a creation.
    let unavailable = [
        "BREAKER_OPEN",
        "CALLER_KEYS_UNAVAILABLE",
        "OUTCOME_UNKNOWN",
        "STORE_UNAVAILABLE",
        "UPSTREAM_UNAVAILABLE",
        "UPSTREAM_UNRECOGNIZED",
    ];
    assert_eq!(reasons("UNAVAILABLE"), BTreeSet::from(unavailable.map(str::to_owned)));
    assert_eq!(
        reasons("ABORTED"),
        BTreeSet::from(["ETAG_MISMATCH", "REQUEST_IN_PROGRESS"].map(str::to_owned))
    );
}
