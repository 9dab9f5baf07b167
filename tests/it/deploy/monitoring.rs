//! The configuration of Prometheus and Grafana.

use std::{collections::BTreeSet, fs};

use hubspot_connection_service::exactly_once::store::{Outage, Weakness};
use serde_json::Value;

use super::{
    deploy,
    manifests::{Manifests, text},
    tools,
};
use crate::support::{TestService, metrics};

/// Every alert.
pub(super) fn alerts(production: &Manifests) -> Vec<Value> {
    let groups = production.get("PrometheusRule", "hubspot-connection-service")["spec"]["groups"].as_array();
    let rules = groups.unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

/// The dashboard of Grafana.
pub(super) fn dashboard(production: &Manifests) -> Value {
    let map = production.get("ConfigMap", "hubspot-connection-service-dashboard");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let files = map["data"].as_object().unwrap();
    assert_eq!(files.len(), 1);
    serde_json::from_str(text(&files["hubspot-connection-service.json"])).unwrap()
}

#[test]
fn every_alert_has_a_meaning_and_a_link_to_the_runbook() {
    let Some(production) = Manifests::of("production") else { return };
    let runbook = fs::read_to_string(deploy().join("runbook.md")).unwrap();
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("## HubSpot"));
    let headings: BTreeSet<_> =
        headings.map(|heading| format!("hubspot{}", heading.to_lowercase())).collect();
    let mut named = BTreeSet::new();
    let mut alerts_by_name = BTreeSet::new();
    for alert in alerts(&production) {
        let name = text(&alert["alert"]);
        assert!(alerts_by_name.insert(name.to_owned()), "{name} exists twice");
        assert!(["critical", "warning"].contains(&text(&alert["labels"]["severity"])), "{name}");
        for annotation in ["summary", "description"] {
            assert!(text(&alert["annotations"][annotation]).ends_with('.'), "{name}: {annotation}");
        }
        let link = text(&alert["annotations"]["runbook_url"]);
        let (page, anchor) = link.split_once('#').unwrap();
        assert!(page.starts_with("https://") && page.ends_with("/deploy/runbook.md"), "{name}: {link}");
        assert!(name.to_lowercase().starts_with(anchor), "{name}: {link}");
        assert!(headings.contains(anchor), "{name}: the runbook has no {anchor}");
        named.insert(anchor.to_owned());
    }
    assert_eq!(headings, named, "what the runbook has and what the alerts name");
}

#[test]
fn the_runbook_has_advice_for_every_weakness_of_the_store() {
    let entry = runbook_entry("StoreMayForget");
    let named = entry.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next());
    let named: BTreeSet<_> = named.collect();
    assert_eq!(named, BTreeSet::from(Weakness::NAMES));
}

#[test]
fn the_runbook_has_advice_for_every_outage_of_the_store() {
    let entry = runbook_entry("StoreDown");
    let missing: Vec<_> =
        Outage::ALL.iter().filter(|outage| !entry.contains(&format!("`{}`", outage.name()))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The section of the runbook about an alert.
fn runbook_entry(alert: &str) -> String {
    let runbook = fs::read_to_string(deploy().join("runbook.md")).unwrap();
    let (_, entry) = runbook.split_once(&format!("## HubSpotConnectionService{alert}\n")).unwrap();
    entry.split("\n## ").next().unwrap().to_owned()
}

/// The URL of the runbook is in one place, and not in the cluster.
#[test]
fn an_overlay_sets_the_url_of_the_runbook_once() {
    let Some(production) = Manifests::of("production") else { return };
    let source = fs::read_to_string(deploy().join("overlays/production/runbook.yaml")).unwrap();
    let (_, url) = source.trim_end().rsplit_once("url: ").unwrap();
    for alert in alerts(&production) {
        let link = text(&alert["annotations"]["runbook_url"]);
        assert!(link.strip_prefix(url).is_some_and(|anchor| anchor.starts_with('#')), "{link}");
    }
    let maps = production.of_kind("ConfigMap").into_iter().map(|map| text(&map["metadata"]["name"]));
    assert!(maps.into_iter().all(|name| !name.contains("runbook")));
}

#[test]
fn a_duplicate_is_for_now_and_a_clock_that_is_off_for_working_hours() {
    let rules = fs::read_to_string(deploy().join("components/monitoring/prometheus-rule.yaml")).unwrap();
    for (name, metric, severity) in
        [("Duplicates", "duplicates", "critical"), ("ClocksDisagree", "clock_disagreements", "warning")]
    {
        let (_, rule) = rules.split_once(&format!("alert: HubSpotConnectionService{name}\n")).unwrap();
        let rule = rule.split("- alert: ").next().unwrap();
        // A single event fires the alert, without a delay, also one of a pod that is new.
        let counter = format!("hubspot_connection_{metric}_total");
        let expressions = [
            format!("sum by (namespace) (increase({counter}[1h])) > 0\n"),
            format!(
                "or sum by (namespace) (max_over_time({counter}[1h]) unless last_over_time({counter}[1h] offset 1h)) > 0\n"
            ),
        ];
        assert!(expressions.iter().all(|part| rule.contains(part)) && !rule.contains("for: "), "{rule}");
        assert!(rule.contains(&format!("severity: {severity}\n")), "{rule}");
    }
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    if !tools::are_installed() {
        return;
    }
    let service = TestService::start().await;
    service.create().await.unwrap();
    tools::promtool(&["check", "metrics"], &metrics(service.admin).await);
}

#[test]
fn prometheus_finds_each_pod_once() {
    let Some(production) = Manifests::of("production") else { return };
    let monitor = production.get("ServiceMonitor", "hubspot-connection-service");
    let selector = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let services = production
        .of_kind("Service")
        .into_iter()
        .filter(|service| selector.iter().all(|(name, value)| service["metadata"]["labels"][name] == *value));
    let services: Vec<_> = services.collect();
    assert_eq!(services.len(), 1, "{services:?}");
    let endpoints = monitor["spec"]["endpoints"].as_array().unwrap();
    assert_eq!((endpoints.len(), &endpoints[0]["path"]), (1, &Value::from("/metrics")));
    let ports = services[0]["spec"]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|port| port["name"] == endpoints[0]["port"]));
}

#[test]
fn the_panels_of_the_dashboard_do_not_overlap() {
    let Some(production) = Manifests::of("production") else { return };
    let dashboard = dashboard(&production);
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{panel}");
        for column in x..x + w {
            for row in y..y + h {
                assert!(taken.insert((column, row)), "{panel}");
            }
        }
    }
}
