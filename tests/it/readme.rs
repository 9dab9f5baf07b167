//! What the README promises.

use std::{collections::BTreeSet, fs, path::Path};

use hubspot_connection_service::config::SETTINGS;

/// The codes of gRPC that are errors.
pub(crate) const GRPC_CODES: [&str; 16] = [
    "ABORTED",
    "ALREADY_EXISTS",
    "CANCELLED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
    "UNKNOWN",
];

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_lists_every_setting_and_no_other() {
    let listed: Vec<_> = README
        .lines()
        .filter_map(|line| line.strip_prefix("| `HCS_")?.split('`').next())
        .map(|name| format!("HCS_{name}"))
        .collect();
    let settings: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(listed, settings);
}

#[test]
fn every_test_that_the_readme_names_exists() {
    let mut sources = String::new();
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"), &mut sources);
    // A name of a test is a sentence.
    let named: Vec<_> = README.split('`').filter(|word| word.matches('_').count() >= 5).collect();
    let is_metric = |word: &str| word.starts_with("hubspot_connection_");
    let named = named.into_iter().filter(|word| !word.contains(['=', '/', ' ', '$']) && !is_metric(word));
    let named: Vec<_> = named.collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "{name}");
    }
}

/// Run a second time, such an example must not create a second connection.
#[test]
fn every_example_that_creates_sends_a_request_id_of_its_own() {
    let mut text = README.to_owned();
    for directory in ["deploy", "proto"] {
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut text);
    }
    let mut ids = BTreeSet::new();
    for example in text.split("grpcurl").skip(1) {
        let example = example.split("\n\n").next().unwrap();
        let Some((json, _)) = example.split_once("HubSpotConnectionService/CreateHubSpotConnection") else {
            continue;
        };
        if json.contains("\"validateOnly\": true") {
            continue;
        }
        let (_, id) = json.split_once("\"requestId\": \"").unwrap_or_else(|| panic!("{example}"));
        let (id, _) = id.split_once('"').unwrap();
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{example}");
        assert!(ids.insert(id), "another example has this id: {example}");
    }
    assert!(ids.len() >= 2, "{ids:?}");
}

fn read_all(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, sources);
        } else {
            sources.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
