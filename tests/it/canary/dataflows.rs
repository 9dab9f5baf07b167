//! Dataflows: every method, while any request to any of Adobe's services fails with an echo of what arrived, and while
//! HubSpot's words about a connection hold its credentials.

mod caller;
mod upstream;
mod words;

use std::collections::BTreeSet;

use hubspot_connection_service::emulator::ORG_ID;

use self::{
    caller::{Caller, Method},
    upstream::{Echoing, Failing, service_of},
};
use super::{
    evidence::{ADOBE_SECRET, ADOBE_TOKEN, CREDENTIALS, Observed},
    hostile::{ECHOES, ENCODED, Echo, FIELDS},
    search::Search,
    verbose,
};
use crate::{
    chaos::redis::SharedRedis,
    support::{FINGERPRINT_KEY, ServiceProcess, collector::Collector},
};

/// A search for something lost ends with the call.
const TIMEOUT: (&str, &str) = ("HCS_REQUEST_TIMEOUT", "2s");

/// Requests whose replies are cached, with the first method that sends them.
const CACHED: [(Method, &str); 3] = [
    (Method::Create, "GET /flowservice/connectionSpecs/{id}"),
    (Method::Create, "GET /schemaregistry/stats"),
    (Method::Check, "GET /flowservice/flowSpecs/{id}"),
];

/// One request to each service, which every call of that method sends.
const OF_EACH_SERVICE: [(Method, &str); 4] = [
    (Method::Get, "GET /flowservice/flows/{id}"),
    (Method::Create, "POST /schemaregistry/tenant/fieldgroups"),
    (Method::CreateInto, "GET /catalog/dataSets/{id}"),
    (Method::Create, "POST /conversion/mappingSets"),
];

fn echoes() -> impl Iterator<Item = Echo> + Clone {
    ECHOES.into_iter().chain(ENCODED)
}

/// The ways in which a request of a method fails: other ones each time.
fn failings(method: Method, kind: &str, number: usize) -> Vec<Failing> {
    let echo = |step: usize| echoes().cycle().nth((number * step) % 16).unwrap();
    if method == Method::Lost {
        return vec![(500, "everywhere", echo(1))];
    }
    let mut failings = vec![
        ([400, 403, 404, 422][number % 4], "everywhere", echo(1)),
        ([400, 403][number % 2], FIELDS[number % FIELDS.len()], echo(3)),
    ];
    if kind.starts_with("POST") {
        // An encoded secret can have the form of an ID, which is shown.
        failings.extend([(500, "everywhere", echo(5)), (201, "id and etag", ECHOES[number % ECHOES.len()])]);
    }
    failings
}

/// Every method of these, with each of its requests failing.
async fn no_method_leaks(methods: &[Method], format: &str) {
    let upstream = Echoing::start(ADOBE_TOKEN).await;
    let redis = SharedRedis::start().await;
    let collector = Collector::start().await;
    let (urls, export) = (upstream.settings(), collector.settings());
    let mut settings: Vec<_> = urls.iter().map(|(name, value)| (*name, &**value)).collect();
    settings.push(TIMEOUT);
    let secrets = || CREDENTIALS.into_iter().chain([ADOBE_SECRET, ADOBE_TOKEN]);

    let service = ServiceProcess::with(&verbose(format, &settings)).await;
    let mut caller = Caller::start(Observed::new(service).await, &upstream, &[]).await;
    let kinds = caller.kinds(methods).await;
    // The last call, as no other token is issued.
    let (method, kind) = kinds.first().unwrap();
    let _ = caller.call(*method, &[kind], (401, "everywhere", Echo::Credentials)).await;
    caller.observed.end_without(secrets()).await;

    settings.extend(export.iter().map(|(name, value)| (*name, &**value)));
    if let Some(redis) = &redis {
        settings.extend([("HCS_REDIS_URL", redis.url()), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY)]);
    }
    let service = ServiceProcess::with(&verbose(format, &settings)).await;
    let observed = Observed::new(service).await.exporting_to(collector);
    let cached = CACHED.into_iter().filter(|(method, _)| methods.contains(method));
    let cached: Vec<_> =
        cached.map(|(method, kind)| (method, kind, (403, "everywhere", Echo::Credentials))).collect();
    let mut caller = Caller::start(observed, &upstream, &cached).await;
    let of_each = OF_EACH_SERVICE.into_iter().filter(|(method, _)| methods.contains(method));
    for (method, kind) in of_each.clone() {
        for echo in echoes() {
            caller.call(method, &[kind], (400, "everywhere", echo)).await.unwrap_err();
        }
    }
    // Those that open the breaker come last.
    for does_fail in [false, true] {
        for (number, (method, kind)) in kinds.iter().enumerate().rev() {
            let failings = failings(*method, kind, number).into_iter();
            for how in failings.filter(|(status, ..)| (*status == 500) == does_fail) {
                // Only the output matters.
                let _ = caller.call(*method, &[kind], how).await;
            }
        }
    }
    let failed = upstream.failed();
    let never = |(_, kind): &&(Method, String)| failed.iter().all(|(failed, _)| failed != kind);
    let never: Vec<_> = kinds.iter().filter(never).collect();
    assert!(never.is_empty(), "they never failed: {never:?}");
    for (_, kind) in of_each {
        let of_service = failed.iter().filter(|(failed, _)| service_of(failed) == service_of(kind));
        let echoed: BTreeSet<_> = of_service.map(|(_, echo)| echo).collect();
        assert_eq!(echoed.len(), echoes().count(), "{kind}");
    }
    caller.observed.end_without(secrets()).await;
    if let Some(redis) = redis {
        assert_records_without(&redis, secrets()).await;
    }
}

/// Fails if a record has a secret.
async fn assert_records_without(redis: &SharedRedis, secrets: impl Iterator<Item = &str>) {
    let (search, records) = (Search::new(secrets), redis.dump().await);
    assert!(
        records.len() > 1
            && records.keys().all(|key| key.starts_with(format!("hcs:{{{ORG_ID}}}").as_bytes()))
    );
    for (key, fields) in records {
        search.assert_absent("the store", &key);
        fields.iter().for_each(|field| search.assert_absent("the store", field));
    }
}

#[tokio::test]
async fn no_failure_while_a_dataflow_is_created_makes_it_leak_a_secret() {
    no_method_leaks(&Method::OF_CREATIONS, "json").await;
}

#[tokio::test]
async fn no_failure_of_a_call_about_a_dataflow_makes_it_leak_a_secret() {
    no_method_leaks(&Method::OF_OTHERS, "text").await;
}
