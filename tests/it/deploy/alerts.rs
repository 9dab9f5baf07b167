//! When alerts fire, and when they do not.

use std::{env, fs, io, process::Command};

use super::deploy;

#[test]
fn alerts_need_more_than_a_quiet_replica_or_a_single_event() {
    let manifest = fs::read_to_string(deploy().join("components/monitoring/prometheus-rule.yaml")).unwrap();
    let (_, groups) = manifest.split_once("\nspec:\n").unwrap();
    // Prometheus reads the content of the resource.
    let rules: String =
        groups.lines().flat_map(|line| [line.strip_prefix("  ").unwrap_or(line), "\n"]).collect();
    let directory = env::temp_dir().join(format!("hcs-alerts-{}", uuid::Uuid::new_v4()));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("rules.yaml"), rules).unwrap();
    fs::write(directory.join("test.yaml"), include_str!("alerts.yaml")).unwrap();
    let tested =
        Command::new("promtool").args(["test", "rules", "test.yaml"]).current_dir(&directory).output();
    fs::remove_dir_all(&directory).unwrap();
    match tested {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        // Debian has it in the package `prometheus`.
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "promtool: {error}"),
    }
}
