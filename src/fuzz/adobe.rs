//! The targets of [`crate::fuzz`] that read replies of Adobe.

use std::time::Duration;

use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{SECRETS, assert_no_secret};
use crate::{
    adobe::{
        AskedService, Author, ConnectionPage, DatasetSelection, PageToken, PageTrail, Problem, Selection,
        TargetSelection,
        answer::{error_body::ErrorBody, presentable::presentable},
        catalog::{batches, datasets},
        data_prep::mapping_sets,
        flow_service::{
            connection_specs::{read_table_parameter, spec_drift},
            connections::{
                changes::read_version,
                item::{Found, read_connection},
                page::{read_count, read_page},
                read_created,
            },
            explore::{read_columns, read_tables, read_test},
            flow_specs::flow_spec_drift,
            flows, runs, source_connections, target_connections,
        },
        identity::ims,
        schema_registry::{self, create, schemas, titles},
        wire,
    },
    domain::{
        ConnectionId,
        dataflow::{DataflowId, DatasetId, SchemaId},
    },
    error::{Cause, error_chain},
    secret::redaction::without_tokens,
};

/// Panics if a text is not fit to be shown.
fn assert_presentable(text: &str, most_chars: usize) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() <= most_chars, "{text:?}");
}

fn assert_quotes_nothing<T>(read: Result<T, Cause>) -> Option<T> {
    read.map_err(|error| assert_no_secret(&error_chain(&*error))).ok()
}

/// The shown parts of an error are short, printable and free of the secrets that were sent, and only an object is
/// recognized as an error of Adobe.
pub(crate) fn error_body(bytes: &[u8]) {
    let is_recognized = |body: &ErrorBody| body.author != Author::Unrecognized;
    assert_object(bytes, Some(ErrorBody::parse(400, bytes)).filter(is_recognized).as_ref());
    let Problem { status: _, author: _, code, message, request_id, flows } =
        presentable(400, ErrorBody::parse(400, bytes), None, &SECRETS);
    let texts = [(code, 40), (message, 1000), (request_id, 101)];
    let flows = flows.into_iter().map(|id| (Some(id), 100));
    let mut number = 0;
    for (text, most_chars) in texts.into_iter().chain(flows) {
        number += 1;
        let text = text.unwrap_or_default();
        assert_presentable(&text, most_chars);
        assert_no_secret(&text);
    }
    assert!(number <= 3 + 20);
    for service in [AskedService::SchemaRegistry, AskedService::Catalog, AskedService::DataPrep] {
        let body = ErrorBody::of(service, 400, bytes);
        assert_object(bytes, Some(&body).filter(|body| is_recognized(body)));
        let message = presentable(400, body, None, &SECRETS).message.unwrap_or_default();
        assert_presentable(&message, 1000);
        assert_no_secret(&message);
    }

    let text = String::from_utf8_lossy(bytes);
    let once = without_tokens(&text);
    assert_eq!(without_tokens(&once), once);
}

/// Panics if something other than an object was read.
fn assert_object<T>(bytes: &[u8], read: Option<&T>) {
    if let Ok(body) = serde_json::from_slice::<Value>(bytes) {
        assert!(body.is_object() || read.is_none(), "{body}");
    }
}

/// Every item of a list is on its page, the next page can be requested, only a page without a link or with an empty one
/// is the last, and of the credentials in a page only their presence is kept.
pub(crate) fn page(bytes: &[u8]) {
    assert_object(bytes, assert_quotes_nothing(read_count(bytes)).as_ref());
    let page = assert_quotes_nothing(read_page(bytes));
    assert_object(bytes, page.as_ref());
    let Some(page) = page else { return };
    let mut trail = PageTrail::default();
    assert_quotes_nothing(trail.follow(&page));
    // The same page again is a loop.
    assert!(page.items.iter().all(|item| item.id.is_none()) || trail.follow(&page).is_err());
    let ConnectionPage { items, next } = page;
    if let Some(PageToken(token)) = &next {
        assert!((1..=16 * 1024).contains(&token.len()));
    }

    // This keeps the last of two members of the same name, so that both readers get the same text.
    let Ok(mut body) = serde_json::from_slice::<Value>(bytes) else { return };
    assert_eq!(body["items"].as_array().map(Vec::len), Some(items.len()));
    let link = &body["_links"]["next"];
    let is_last = link.is_null() || link == "" || link["href"] == "";
    assert_eq!(next.is_none(), is_last, "{link}");

    let read = |body: &Value| read_page(body.to_string().as_bytes()).map(|page| page.items).ok();
    let before = read(&body);
    for item in body.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        for name in ["clientSecret", "accessToken", "refreshToken"] {
            let secret = item.get_mut("auth").and_then(|auth| auth.get_mut("params")?.get_mut(name));
            if let Some(Value::String(secret)) = secret
                && !secret.is_empty()
            {
                *secret = "another".to_owned();
            }
        }
    }
    assert_eq!(read(&body), before);
}

/// A connection is the requested one, and an object.
pub(crate) fn connection(bytes: &[u8]) {
    let id = ConnectionId::parse("139f6a5f-a78b-4744-9f6a-5fa78bd74431").expect("a valid ID");
    let found = assert_quotes_nothing(read_connection(bytes, &id));
    assert_object(bytes, found.as_ref());
    if let Some(Found::Connection(connection)) = found {
        assert!(connection.id.as_str().eq_ignore_ascii_case(id.as_str()));
    }
    assert_object(bytes, assert_quotes_nothing(read_created(bytes)).as_ref());
    assert_object(bytes, assert_quotes_nothing(read_version(bytes)).as_ref());
}

/// Every table can be requested, and every column has a name.
pub(crate) fn explore(bytes: &[u8]) {
    assert_object(bytes, assert_quotes_nothing(read_test(bytes)).as_ref());
    for table in assert_quotes_nothing(read_tables(bytes)).unwrap_or_default() {
        assert!(!table.path.is_empty() && !table.name.is_empty());
    }
    for column in assert_quotes_nothing(read_columns(bytes)).unwrap_or_default() {
        assert!(!column.name.is_empty());
    }
}

/// The reported differences are fit to be shown: they are details of errors.
pub(crate) fn spec(bytes: &[u8]) {
    assert_quotes_nothing(read_table_parameter(bytes));
    for drift in [spec_drift(bytes), flow_spec_drift(bytes)] {
        let drift = assert_quotes_nothing(drift).unwrap_or_default();
        assert!(drift.len() <= 5);
        for difference in drift {
            assert_presentable(&difference, 201);
        }
    }
}

/// A flow is the requested one, and the errors of a run are fit to be shown.
pub(crate) fn flow(bytes: &[u8]) {
    let id = DataflowId::parse("84224def-1e2a-4d95-9ea2-132d697ed2aa").expect("a valid ID");
    if let Some(Some(flow)) = assert_quotes_nothing(flows::item::read_flow(bytes, &id)) {
        assert!(flow.id.is_some_and(|read| read.as_str().eq_ignore_ascii_case(id.as_str())));
    }
    assert_object(bytes, assert_quotes_nothing(flows::item::read_page(bytes)).as_ref());
    assert_object(bytes, assert_quotes_nothing(flows::create::read_created(bytes)).as_ref());
    assert_quotes_nothing(flows::read_version(bytes));
    let runs = assert_quotes_nothing(runs::read_page(bytes)).unwrap_or_default().items;
    for run in runs {
        assert!(!run.id.is_empty());
        for error in run.errors {
            assert_presentable(&error.code, 64);
            assert_presentable(&error.message, 500);
        }
    }
}

/// What is selected has an ID, and something that cannot be read is not left out.
pub(crate) fn marker_list(bytes: &[u8]) {
    let sources = source_connections::read_list(bytes, Selection::Name("marker"));
    for source in assert_quotes_nothing(sources).into_iter().flat_map(|page| page.items) {
        assert!(source.matching.is_none_or(|source| source.name.as_deref() == Some("marker")));
    }
    let targets = target_connections::read_list(bytes, TargetSelection::Name("marker"));
    for target in assert_quotes_nothing(targets).into_iter().flat_map(|page| page.items) {
        assert!(target.matching.is_none_or(|target| target.name.as_deref() == Some("marker")));
    }
    let sets = datasets::read_list(bytes, DatasetSelection::Tag("request:marker"), 0);
    for set in assert_quotes_nothing(sets).into_iter().flat_map(|page| page.items) {
        assert!(set.matching.is_none_or(|set| set.tags.iter().any(|tag| tag == "request:marker")));
    }
    let id = DatasetId::parse("5ed5639d798a22191b6987b2").expect("a valid ID");
    assert_object(bytes, assert_quotes_nothing(datasets::read_dataset(bytes, &id)).as_ref());
    assert_quotes_nothing(datasets::read_created(bytes));
    assert_quotes_nothing(batches::read_any(bytes));
    assert_quotes_nothing(wire::read_deleted(bytes));
    assert_object(bytes, assert_quotes_nothing(source_connections::read_created(bytes)).as_ref());
    assert_object(bytes, assert_quotes_nothing(target_connections::read_created(bytes)).as_ref());
}

/// A schema is the requested one, and a listed one has exactly the title.
pub(crate) fn schema(bytes: &[u8]) {
    let id = SchemaId::parse("https://ns.adobe.com/t/schemas/1").expect("a valid ID");
    let schema = assert_quotes_nothing(schemas::read_schema(bytes, &id));
    assert!(schema.is_none_or(|schema| schema.id == id));
    assert_object(bytes, assert_quotes_nothing(titles::read_titles(bytes, "marker")).as_ref());
    assert_object(bytes, assert_quotes_nothing(titles::read_titled(bytes)).as_ref());
    assert_object(bytes, assert_quotes_nothing(create::read_created(bytes)).as_ref());
    assert_object(bytes, assert_quotes_nothing(schema_registry::read_tenant(bytes)).as_ref());
    let _ = create::owner(&String::from_utf8_lossy(bytes));
}

/// A mapping set that is found has exactly the name, and what is wrong with a mapping is fit to be shown.
pub(crate) fn mapping_set(bytes: &[u8]) {
    let sets = assert_quotes_nothing(mapping_sets::read_list(bytes, "marker", 0));
    for set in sets.into_iter().flat_map(|page| page.items) {
        assert!(set.matching.is_none_or(|set| set.name.as_deref() == Some("marker")));
    }
    assert_object(bytes, assert_quotes_nothing(mapping_sets::read_created(bytes)).as_ref());
    let said = assert_quotes_nothing(mapping_sets::read_validation(bytes, 2)).unwrap_or_default();
    for said in said.into_iter().flatten() {
        assert_presentable(&said, 500);
    }
}

/// A token is renewed within its lifetime and not shown. Of a refusal only a code is shown.
pub(crate) fn ims(bytes: &[u8]) {
    let issued = ims::issued(bytes);
    assert_object(bytes, issued.as_ref().ok());
    match issued {
        Ok(token) => {
            assert!(!token.value.expose_secret().is_empty());
            let lifetime = token.lifetime.expect("IMS says how long a token lives");
            assert!(lifetime > Duration::ZERO && token.renew_after <= lifetime);
            assert_no_secret(&format!("{token:?}"));
        }
        Err(error) => assert_no_secret(&format!("{error:?} {}", error_chain(&error))),
    }
    for status in [StatusCode::BAD_REQUEST, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let error = ims::refused(status, bytes, None);
        assert_object(bytes, error.code.as_ref());
        let code = error.code.as_deref().unwrap_or("none");
        assert!(code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code:?}");
        assert_no_secret(&format!("{error:?}"));
    }
}
