//! The Schema Registry: one schema and its field groups.

use http::StatusCode;
use hubspot_connection_service::emulator::Settings;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Caller, FIELD_GROUPS, FULL_FORM, NAMESPACE, PROFILE, RAW_FORM, SCHEMAS, bad_request, by_id, keys,
    not_found,
};

const PERSON_DETAILS: &str = "https://ns.adobe.com/xdm/context/profile-person-details";
const PERSONAL_DETAILS: &str = "https://ns.adobe.com/xdm/context/profile-personal-details";

#[tokio::test]
async fn a_full_schema_has_the_fields_of_its_class_and_field_groups() {
    let caller = Caller::new().await;
    let fields = caller.field_group("HubSpot fields").await;
    let id = caller.schema("HubSpot contacts", &[PERSON_DETAILS, PERSONAL_DETAILS, &fields]).await;
    let (status, full) = caller.read(&by_id(SCHEMAS, &id)).await;
    assert_eq!(status, StatusCode::OK);
    for (pointer, value) in [
        ("/_id/type", json!("string")),
        ("/person/properties/name/properties/firstName/type", json!("string")),
        ("/person/properties/birthDate/format", json!("date")),
        ("/personalEmail/properties/address/title", json!("Address")),
        (&format!("/{NAMESPACE}/properties/Vid/title"), json!("Vid")),
    ] {
        assert_eq!(full["properties"].pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!((full.get("allOf"), full.get("definitions")), (None, None));
    for (field, value) in [
        ("$id", json!(id)),
        ("title", json!("HubSpot contacts")),
        ("version", json!("1.0")),
        ("meta:class", json!(PROFILE)),
        ("meta:tenantNamespace", json!(NAMESPACE)),
    ] {
        assert_eq!(full[field], value, "{field}");
    }
    assert!(full["meta:registryMetadata"]["eTag"].is_string());
}

#[tokio::test]
async fn a_schema_is_named_by_both_its_ids_in_its_sandbox() {
    let caller = Caller::new().await;
    let id = caller.schema("Contacts", &[]).await;
    let (_, by_uri) = caller.read(&by_id(SCHEMAS, &id)).await;
    let path = format!("{SCHEMAS}/{}", by_uri["meta:altId"].as_str().unwrap());
    assert_eq!(caller.read(&path).await, (StatusCode::OK, by_uri));
    not_found(&caller.for_tenant(caller.org, "dev").read(&path).await, "schemas");
    not_found(&caller.read(&by_id(FIELD_GROUPS, &id)).await, "fieldgroups");
    not_found(&caller.read(&format!("{SCHEMAS}/unknown")).await, "unknown");
}

#[tokio::test]
async fn the_accept_header_decides_about_references_and_texts() {
    let caller = Caller::new().await;
    let fields = caller.field_group("HubSpot fields").await;
    let path = by_id(SCHEMAS, &caller.schema("Contacts", &[&fields]).await);
    let get = |accept| caller.call(Method::GET, &path, accept, None);
    let (_, raw) = get(RAW_FORM).await;
    assert_eq!(raw["allOf"], json!([{"$ref": PROFILE}, {"$ref": fields}]));
    let (_, short) = get("application/vnd.adobe.xed-full-notext+json; version=1").await;
    assert_eq!((short.get("title"), short.get("description")), (None, None));
    assert_eq!(keys(&short["properties"][NAMESPACE]["properties"]["Vid"]), ["type"]);
    for (accept, status, title) in [
        ("*/*", StatusCode::NOT_ACCEPTABLE, "NotAcceptableError"),
        ("application/vnd.adobe.xed-full+json", StatusCode::BAD_REQUEST, "BadRequestError"),
        ("application/vnd.adobe.xed-full+json; version=7", StatusCode::NOT_FOUND, "NotFoundError"),
    ] {
        let (found, body) = get(accept).await;
        assert_eq!((found, &body["title"]), (status, &json!(title)), "{accept}");
    }
}

#[tokio::test]
async fn what_is_in_use_cannot_be_deleted_unless_the_settings_allow_it() {
    let caller = Caller::new().await;
    let fields = caller.field_group("HubSpot fields").await;
    let schema = caller.schema("Contacts", &[&fields]).await;
    let dataset = caller.dataset("Contacts", &schema, json!({})).await;
    bad_request(&caller.remove(&by_id(SCHEMAS, &schema)).await, &dataset);
    bad_request(&caller.remove(&by_id(FIELD_GROUPS, &fields)).await, &schema);
    caller.emulator.settings(Settings { delete_schemas_in_use: true, ..Settings::default() });
    for path in [by_id(FIELD_GROUPS, &fields), by_id(SCHEMAS, &schema)] {
        assert_eq!(caller.remove(&path).await, (StatusCode::NO_CONTENT, Value::Null));
        not_found(&caller.remove(&path).await, "not found");
        not_found(&caller.call(Method::GET, &path, FULL_FORM, None).await, "not found");
    }
}

#[tokio::test]
async fn what_is_no_longer_in_use_can_be_deleted() {
    let caller = Caller::new().await;
    let fields = caller.field_group("HubSpot fields").await;
    let schema = caller.schema("Contacts", &[&fields]).await;
    let dataset = caller.dataset("Contacts", &schema, json!({})).await;
    for (path, status) in [
        (format!("{}/{dataset}", super::DATASETS), StatusCode::OK),
        (by_id(SCHEMAS, &schema), StatusCode::NO_CONTENT),
        (by_id(FIELD_GROUPS, &fields), StatusCode::NO_CONTENT),
    ] {
        assert_eq!(caller.remove(&path).await.0, status, "{path}");
    }
}
