//! The findings of external tools about the manifests and the Dockerfile.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use super::{
    deploy,
    manifests::{Manifests, text},
    tools,
};

/// The API groups of custom resources, which `custom_resources` validates.
const CUSTOM: [&str; 3] =
    [" cert-manager.io/v1 ", " monitoring.coreos.com/v1 ", " policy.cert-manager.io/v1alpha1 "];

/// Accepted findings.
const ACCEPTED: [(&str, &str); 5] = [
    ("CKV_K8S_15", "always pulling ties each start of a pod to the registry; a tag is never used twice"),
    ("CKV_K8S_21", "the namespace is chosen with kubectl -n or in an overlay of one's own"),
    (
        "CKV_K8S_43",
        "the digest is that of the registry that the image is pushed to: the overlay's to fill in",
    ),
    ("CKV_DOCKER_2", "Kubernetes ignores HEALTHCHECK; the manifests have probes"),
    ("CKV_DOCKER_7", "a false alarm: the base image is an argument, whose default has a version"),
];

#[test]
fn every_manifest_fits_the_schemas_of_kubernetes_strictly() {
    for manifests in Manifests::with_callers() {
        let file = manifests.file.to_str().unwrap();
        let output = tools::run("kubernetes-validate", &["--strict", "-k", "1.36", file]);
        let printed = tools::text(&output.stdout) + &tools::text(&output.stderr);
        assert!(output.status.success(), "{printed}");
        let mut passed = 0;
        for line in printed.lines() {
            if line.starts_with("INFO ") && line.contains(" passed ") {
                passed += 1;
            } else {
                // An unknown kind is a warning, too.
                assert!(
                    line.starts_with("WARN ") && CUSTOM.iter().any(|group| line.contains(group)),
                    "{line}"
                );
            }
        }
        let custom = tools::custom_resources(&fs::read_to_string(&manifests.file).unwrap()).unwrap();
        assert_eq!(passed + custom.len(), manifests.documents.len(), "{printed}{custom:?}");
    }
}

#[test]
fn a_policy_scanner_finds_nothing_that_is_not_accepted_with_a_reason() {
    if !tools::are_installed() {
        return;
    }
    let manifests = Manifests::with_callers().into_iter().map(|manifests| manifests.file).collect();
    let findings = [scan("kubernetes", manifests), scan("dockerfile", vec![deploy().join("Dockerfile")])];
    let findings: BTreeSet<_> = findings.into_iter().flatten().collect();
    let accepted: BTreeSet<_> = ACCEPTED.iter().map(|(check, _)| (*check).to_owned()).collect();
    let checks: BTreeSet<_> =
        findings.iter().map(|finding| finding.split(' ').next().unwrap().to_owned()).collect();
    // An unnecessary exception must be removed.
    assert_eq!(checks, accepted, "{findings:#?}");
}

/// The failed checks, each with its resource. All files at once, because a start takes seconds.
fn scan(framework: &str, files: Vec<PathBuf>) -> Vec<String> {
    let mut arguments =
        vec!["--framework", framework, "-o", "json", "--compact", "--quiet", "--skip-download", "-f"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let output = tools::run("checkov", &arguments);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", tools::text(&output.stderr)));
    let summary = &report["summary"];
    assert!(summary["passed"].as_u64().unwrap() > 100, "{summary}");
    assert_eq!(summary["parsing_errors"], 0, "{summary}");
    let failed = report["results"]["failed_checks"].as_array().unwrap().iter();
    failed.map(|check| format!("{} {}", text(&check["check_id"]), text(&check["resource"]))).collect()
}
