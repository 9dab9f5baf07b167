//! Every query of a dashboard or an alert uses metrics that the service exports.

use std::collections::{BTreeMap, BTreeSet};

use hubspot_connection_service::emulator::Options;
use serde_json::Value;

use super::{
    manifests::{Manifests, text},
    monitoring::{alerts, dashboard},
    tools,
};
use crate::support::{
    Mount, ServiceProcess,
    certificates::{Authority, TlsClient},
    metrics, request, start_emulator,
};

/// Prometheus adds these labels to everything that it scrapes in a cluster.
const ADDED: &str = "namespace";

/// Metric → label → values, as the service exports them.
type Exported = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The metrics of a service with every feature enabled, after one creation.
async fn exported() -> Exported {
    let authority = Authority::new("authority");
    let server = authority.server(1);
    let files = Mount::new(&[
        ("tls.crt", &server.certificate_pem),
        ("tls.key", &server.key_pem),
        ("ca.crt", &authority.pem),
    ]);
    let [certificate, key, client_ca] = ["tls.crt", "tls.key", "ca.crt"].map(|file| files.path(file));
    let emulator = start_emulator(Options::default()).await;
    let settings = [
        ("HCS_TLS_CERT_FILE", &*certificate),
        ("HCS_TLS_KEY_FILE", &*key),
        ("HCS_TLS_CLIENT_CA_FILE", &*client_ca),
    ];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let caller = authority.client(&["caller.example.com"]);
    let mut client = TlsClient::new(&authority, Some(&caller)).client(service.grpc);
    client.create_hub_spot_connection(request()).await.unwrap();
    parse(&metrics(service.admin).await)
}

fn parse(scraped: &str) -> Exported {
    let mut exported = Exported::new();
    for line in scraped.lines().filter(|line| !line.starts_with('#')) {
        // The value of a label may have braces and spaces in it.
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let of_metric = exported.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            let value = value.trim_end_matches('"').to_owned();
            of_metric.entry(label.to_owned()).or_default().insert(value);
        }
    }
    exported
}

/// Every query, by its origin.
fn queries(production: &Manifests) -> Vec<(String, String)> {
    let alerts = alerts(production);
    let alerts =
        alerts.iter().map(|alert| (text(&alert["alert"]).to_owned(), text(&alert["expr"]).to_owned()));
    let dashboard = dashboard(production);
    let panels = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| (text(&panel["title"]).to_owned(), text(&target["expr"]).to_owned()))
    });
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter().filter_map(|variable| {
        let query = variable["query"]["query"].as_str()?.strip_prefix("label_values(")?;
        Some((text(&variable["name"]).to_owned(), query.split_once(',')?.0.to_owned()))
    });
    // Grafana fills in its variables; within quotes they do not matter.
    let filled = |query: String| query.replace("$__rate_interval", "5m");
    alerts.chain(panels).chain(variables).map(|(origin, query)| (origin, filled(query))).collect()
}

#[tokio::test]
async fn every_query_uses_only_exported_metrics_and_labels() {
    let Some(production) = Manifests::of("production") else { return };
    let exported = exported().await;
    let queries = queries(&production);
    assert!(queries.len() > 50);
    let expressions: Vec<_> = queries.iter().map(|(_, query)| query).collect();
    let parsed = tools::script("promql_selectors.py", &serde_json::to_string(&expressions).unwrap());
    let parsed: Vec<Vec<Value>> = serde_json::from_str(&parsed).unwrap();

    let mut unknown = BTreeSet::new();
    for ((origin, query), selectors) in queries.iter().zip(parsed) {
        assert!(!selectors.is_empty(), "{origin}: {query}");
        for selector in selectors {
            let metric = text(&selector["metric"]);
            let Some(labels) = exported.get(metric) else {
                unknown.insert(format!("{origin}: {metric}"));
                continue;
            };
            for matcher in selector["matchers"].as_array().unwrap() {
                let [label, operator, value] = [0, 1, 2].map(|part| text(&matcher[part]));
                let Some(values) = labels.get(label) else {
                    if label != ADDED {
                        unknown.insert(format!("{origin}: {metric} by {label}"));
                    }
                    continue;
                };
                // A counter with an outcome exists from the start; a counter with a status only after
                // such a response.
                if metric.starts_with("hubspot_connection_") && ["Equal", "Re"].contains(&operator) {
                    let is_exported = |part: &str| values.iter().any(|value| matches(part, value));
                    for value in value.split('|').filter(|part| !is_exported(part)) {
                        unknown.insert(format!("{origin}: {metric} with {label} {value}"));
                    }
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?} are not among {exported:#?}");
}

/// Whether a part of a regular expression, in which only `.+` is special, matches a value.
fn matches(part: &str, value: &str) -> bool {
    let Some((start, rest)) = part.split_once(".+") else { return part == value };
    let Some(value) = value.strip_prefix(start).filter(|value| !value.is_empty()) else { return false };
    (1..=value.len()).any(|end| matches(rest, &value[end..]))
}

/// The names of all metrics of a service with every feature enabled.
pub(crate) async fn metric_names() -> BTreeSet<String> {
    let of_series = exported().await.into_keys();
    let of_metrics = of_series.map(|name| match name.rsplit_once('_') {
        // The series of a histogram.
        Some((histogram, "bucket" | "sum" | "count")) => histogram.to_owned(),
        _ => name,
    });
    of_metrics.collect()
}
