//! Settings, tests, reasons and other constants.

use std::{collections::BTreeSet, fs};

use hubspot_connection_service::{config::SETTINGS, proto};
use prost_reflect::DescriptorPool;

use super::{Document, current_documents, document, documents, files, quoted, root, words};

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

/// Constants that are no setting, reason, code or enum value of this service.
const OTHER_CONSTANTS: [&str; 16] = [
    "BUILD_REVISION",
    // Of the example clients.
    "CA_FILE",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "DEMO_ACCESS_TOKEN",
    // Of the client.
    "HCS_CLIENT_ADDRESS",
    // Not a setting: Kubernetes adds it for a Service named `hcs`.
    "HCS_PORT",
    // Any secret.
    "HCS_X",
    "HCS_X_FILE",
    "HTTP_PROXY",
    "NOT_SERVING",
    // Of the options of a method.
    "NO_SIDE_EFFECTS",
    // Of the example clients.
    "REQUEST_ID",
    "RUST_IMAGE",
    "SSL_CERT_FILE",
    // Of the example clients.
    "TOKEN_FILE",
];

fn is_setting(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name == name || setting.file_variable().as_deref() == Some(name))
}

#[test]
fn the_configuration_page_lists_every_setting_and_no_other() {
    let page = document("deploy/configuration.md");
    let listed = page.lines().filter_map(|line| line.strip_prefix("| `HCS_")?.split('`').next());
    let listed: Vec<_> = listed.map(|name| format!("HCS_{name}")).collect();
    let settings: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(listed, settings);
}

#[test]
fn every_constant_that_documentation_names_exists() {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let values = pool.all_enums().flat_map(|of| of.values().collect::<Vec<_>>());
    let values: BTreeSet<_> = values.map(|value| value.name().to_owned()).collect();
    let is_constant = |word: &&str| {
        word.contains('_')
            && !word.ends_with('_')
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let is_known = |word: &str| {
        values.contains(word)
            || GRPC_CODES.contains(&word)
            || OTHER_CONSTANTS.contains(&word)
            || is_setting(word)
            // Of OpenTelemetry.
            || word.starts_with("OTEL_")
    };
    let mut unknown = BTreeSet::new();
    for Document { path, text } in current_documents() {
        // Examples in other languages have constants of their own.
        let text = text.split("```").step_by(2).collect::<String>();
        let constants = words(&text).filter(is_constant);
        unknown.extend(constants.filter(|word| !is_known(word)).map(|word| format!("{path}: {word}")));
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// The names of tests are sentences.
fn is_name_of_a_test(word: &str) -> bool {
    const METRICS: [&str; 4] = ["http_client_", "hubspot_connection_", "process_", "rpc_server_"];
    word.matches('_').count() >= 4
        && !METRICS.iter().any(|prefix| word.starts_with(prefix))
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[test]
fn every_test_that_documentation_names_exists() {
    let mut sources = String::new();
    for directory in ["src", "tests/it"] {
        files(&root().join(directory), &mut |path| {
            if path.ends_with(".rs") {
                sources.push_str(&fs::read_to_string(root().join(path)).unwrap());
            }
        });
    }
    let (mut named, mut unknown) = (0, BTreeSet::new());
    for Document { path, text } in current_documents() {
        for name in quoted(&text).filter(|word| is_name_of_a_test(word)) {
            named += 1;
            if !sources.contains(&format!("fn {name}(")) {
                unknown.insert(format!("{path}: {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(named > 60, "{named}");
}

/// Run a second time, such an example must not create a second connection.
#[test]
fn every_example_that_creates_sends_a_request_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for Document { path, text } in documents() {
        for example in text.split("grpcurl").skip(1) {
            let example = example.split("\n\n").next().unwrap();
            let Some((json, _)) = example.split_once("Service/CreateHubSpot") else { continue };
            if json.contains("\"validateOnly\": true") {
                continue;
            }
            let (_, id) = json.split_once("\"requestId\": \"").unwrap_or_else(|| panic!("{path}: {example}"));
            let (id, _) = id.split_once('"').unwrap();
            assert!(uuid::Uuid::parse_str(id).is_ok(), "{path}: {example}");
            assert!(ids.insert(id.to_owned()), "{path}: another example has this id: {example}");
        }
    }
    assert!(ids.len() >= 3, "{ids:?}");
}
