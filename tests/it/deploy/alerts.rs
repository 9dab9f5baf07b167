//! When alerts fire, and when they do not: `alerts.yaml` has the shapes of the metrics.

use std::fs;

use super::{deploy, tools};
use crate::support::Mount;

const TESTS: &str = include_str!("alerts.yaml");

#[test]
fn alerts_fire_for_what_lasts_and_for_single_events_that_matter() {
    if !tools::are_installed() {
        return;
    }
    let manifest = fs::read_to_string(deploy().join("components/monitoring/prometheus-rule.yaml")).unwrap();
    let (_, groups) = manifest.split_once("\nspec:\n").unwrap();
    // Prometheus reads the content of the resource.
    let rules: String =
        groups.lines().flat_map(|line| [line.strip_prefix("  ").unwrap_or(line), "\n"]).collect();
    let files = Mount::new(&[("rules.yaml", &rules), ("test.yaml", TESTS)]);
    tools::promtool_test(&files.path("test.yaml"));
}

#[test]
fn every_alert_has_a_shape_that_fires_it() {
    let manifest = fs::read_to_string(deploy().join("components/monitoring/prometheus-rule.yaml")).unwrap();
    let alerts: Vec<_> = manifest.lines().filter_map(|line| line.split_once("- alert: ")).collect();
    assert!(alerts.len() > 25);
    for (_, alert) in alerts {
        let fires = |after: &&str| {
            let expected = after.split("expr:").next().unwrap();
            expected.contains("namespace=") || expected.contains("namespace: ")
        };
        let named = [format!("alertname=\"{alert}\""), format!("alertname: {alert}\n")];
        let mut after = named.iter().flat_map(|name| TESTS.split(name.as_str()).skip(1));
        assert!(after.any(|after| fires(&after)), "{alert}");
    }
}
