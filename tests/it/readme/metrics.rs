//! Metrics.

use std::collections::BTreeSet;

use super::{Document, current_documents, document, quoted, words};
use crate::deploy::queries::metric_names;

#[tokio::test]
async fn the_telemetry_page_lists_every_metric_and_no_other() {
    let page = document("deploy/telemetry.md");
    let (_, table) = page.split_once("| metric | meaning |\n").unwrap();
    let rows = table.split("\n\n").next().unwrap().lines().skip(1);
    let first_columns = rows.filter_map(|row| row.split('|').nth(1));
    let listed: Vec<_> = first_columns.flat_map(quoted).map(str::to_owned).collect();
    assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len(), "{listed:?}");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), metric_names().await);
}

#[tokio::test]
async fn every_metric_that_documentation_names_exists() {
    const PREFIXES: [&str; 3] = ["http_client_request_", "hubspot_connection_", "rpc_server_"];
    let metrics = metric_names().await;
    let mut unknown = BTreeSet::new();
    for Document { path, text } in current_documents() {
        // A file of the API has the same prefix.
        let named = words(&text).filter(|word| {
            PREFIXES.iter().any(|prefix| word.starts_with(prefix) && word != prefix)
                && !text.contains(&format!("{word}.proto"))
        });
        unknown.extend(named.filter(|name| !metrics.contains(*name)).map(|name| format!("{path}: {name}")));
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}
