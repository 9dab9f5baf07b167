//! The Schema Registry: lists, and what a resource may be.

use std::time::Duration;

use http::StatusCode;
use hubspot_connection_service::emulator::Settings;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Caller, FIELD_GROUPS, FULL_FORM, ID_FORM, NAMESPACE, PROFILE, RAW_FORM, SCHEMAS, bad_request, by_id,
    field_group, keys, schema, titles,
};

async fn listed(caller: &Caller, query: &str) -> Value {
    let (status, page) = caller.call(Method::GET, &format!("{SCHEMAS}{query}"), ID_FORM, None).await;
    assert_eq!(status, StatusCode::OK, "{query}: {page}");
    page
}

#[tokio::test]
async fn the_statistics_name_the_namespace_of_the_organization() {
    let caller = Caller::new().await;
    caller.schema("Contacts", &[]).await;
    let (status, stats) = caller.read("/schemaregistry/stats").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(format!("_{}", stats["tenantId"].as_str().unwrap()), NAMESPACE);
    assert_eq!(stats["counts"], json!({"schemas": 1, "mixins": 0}));
    let other = caller.for_tenant("0123456789ABCDEF01234567@AdobeOrg", "prod");
    let (_, stats) = other.read("/schemaregistry/stats").await;
    assert_eq!(stats["tenantId"], "0123456789abcdef01234567");
}

#[tokio::test]
async fn a_list_has_what_the_accept_header_asks_for() {
    let caller = Caller::new().await;
    let id = caller.schema("Contacts", &[]).await;
    let page = listed(&caller, "").await;
    assert_eq!(keys(&page["results"][0]), ["$id", "meta:altId", "title", "version"]);
    assert_eq!(page["results"][0]["$id"], json!(id));
    assert_eq!(page["_page"], json!({"orderby": "updated", "next": null, "count": 1}));
    let (_, page) = caller.call(Method::GET, SCHEMAS, RAW_FORM, None).await;
    assert_eq!(page["results"][0]["allOf"], json!([{"$ref": PROFILE}]));
    for accept in ["*/*", "application/json", FULL_FORM] {
        let (status, body) = caller.call(Method::GET, SCHEMAS, accept, None).await;
        assert_eq!((status, &body["title"]), (StatusCode::NOT_ACCEPTABLE, &json!("NotAcceptableError")));
    }
}

#[tokio::test]
async fn a_list_is_filtered_by_the_whole_title() {
    let caller = Caller::new().await;
    for title in ["Contacts", "Contacts, all", "a \"b\"", "Deals"] {
        caller.schema(title, &[]).await;
    }
    for (filter, expected) in [
        ("title==Contacts", &["Contacts"][..]),
        ("title==Contacts, all", &["Contacts, all"]),
        ("title==a \"b\"", &["a \"b\""]),
        ("title==contacts", &[]),
        ("title!=Deals", &["Contacts", "Contacts, all", "a \"b\""]),
        ("title>D", &["Deals", "a \"b\""]),
        (
            "meta:extends==https://ns.adobe.com/xdm/data/record",
            &["Contacts", "Contacts, all", "Deals", "a \"b\""],
        ),
        ("meta:extends!=https://ns.adobe.com/xdm/data/record", &[]),
        ("meta:class==https://ns.adobe.com/xdm/context/experienceevent", &[]),
    ] {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("property", filter)
            .append_pair("orderby", "title")
            .finish();
        assert_eq!(titles(&listed(&caller, &format!("?{query}")).await), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_page_begins_after_the_last_title_of_the_one_before() {
    let caller = Caller::new().await;
    for title in ["b", "d", "a", "c"] {
        caller.schema(title, &[]).await;
    }
    let first = listed(&caller, "?orderby=title&limit=3").await;
    assert_eq!(titles(&first), ["a", "b", "c"]);
    assert_eq!(first["_page"]["next"], "c");
    let second = listed(&caller, "?orderby=title&limit=3&start=c").await;
    assert_eq!((titles(&second), &second["_page"]["next"]), (vec!["d"], &Value::Null));
    let last = listed(&caller, "?orderby=-title&limit=2").await;
    assert_eq!((titles(&last), &last["_page"]["next"]), (vec!["d", "c"], &json!("c")));
    // A cursor is no number, so nothing comes after this one.
    assert_eq!(titles(&listed(&caller, "?orderby=title&start=zero").await), [""; 0]);
    for (query, says) in [
        ("?start=a", "need orderby"),
        ("?limit=5", "need orderby"),
        ("?orderby=title&limit=0", "limit"),
        ("?orderby=size", "orderby"),
        ("?property=size==1", "size"),
        ("?name=a", "name"),
    ] {
        let path = format!("{SCHEMAS}{query}");
        bad_request(&caller.call(Method::GET, &path, ID_FORM, None).await, says);
    }
}

#[tokio::test]
async fn a_page_has_at_most_three_hundred_items() {
    let caller = Caller::new().await;
    for number in 0..=300 {
        caller.schema(&format!("{number:03}"), &[]).await;
    }
    let first = listed(&caller, "?orderby=title").await;
    assert_eq!((titles(&first).len(), &first["_page"]["next"]), (300, &json!("299")));
    assert_eq!(titles(&listed(&caller, "?orderby=title&start=299").await), ["300"]);
}

#[tokio::test]
async fn the_index_lag_hides_a_schema_from_lists_alone() {
    let caller = Caller::new().await;
    caller.emulator.settings(Settings { index_lag: Duration::from_secs(600), ..Settings::default() });
    let id = caller.schema("Contacts", &[]).await;
    assert_eq!(titles(&listed(&caller, "").await), [""; 0]);
    assert_eq!(caller.read(&by_id(SCHEMAS, &id)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_title_is_unique_over_all_kinds_within_a_sandbox() {
    let caller = Caller::new().await;
    let id = caller.field_group("Contacts").await;
    let says = format!("Title must be unique. An object {id} already exists with the same title.");
    bad_request(&caller.post(SCHEMAS, schema("Contacts", &[])).await, &says);
    bad_request(&caller.post(FIELD_GROUPS, field_group("Contacts")).await, &says);
    caller.for_tenant(caller.org, "dev").schema("Contacts", &[]).await;
    assert_eq!(caller.remove(&by_id(FIELD_GROUPS, &id)).await.0, StatusCode::NO_CONTENT);
    caller.schema("Contacts", &[]).await;
}

#[tokio::test]
async fn each_mistake_in_a_field_group_is_named() {
    let caller = Caller::new().await;
    let with = |pointer: &str, value: Value| {
        let mut body = field_group("Fields");
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (body, says) in [
        (with("/title", json!("")), "title"),
        (with("/type", json!("array")), "type"),
        (with("/meta:intendedToExtend", json!([])), "meta:intendedToExtend"),
        (with("/meta:intendedToExtend/0", json!("https://ns.adobe.com/xdm/x")), "https://ns.adobe.com/xdm/x"),
        (with("/allOf/0/$ref", json!("#/definitions/others")), "#/definitions/others"),
        (with("/definitions/fields/properties", json!({"Vid": {"type": "string"}})), NAMESPACE),
        (with("/allOf", json!([{"properties": {"_other": {"type": "object"}}}])), NAMESPACE),
        (json!([]), "object"),
    ] {
        bad_request(&caller.post(FIELD_GROUPS, body).await, says);
    }
}

#[tokio::test]
async fn each_mistake_in_a_schema_is_named() {
    let caller = Caller::new().await;
    let event = "https://ns.adobe.com/xdm/context/experienceevent";
    let mut for_events = field_group("For events");
    for_events["meta:intendedToExtend"] = json!([event]);
    let for_events = super::text(&caller.post(FIELD_GROUPS, for_events).await.1["$id"]);
    let missing = "https://ns.adobe.com/tenant/mixins/1";
    let dangling = json!({"title": "a", "allOf": [{"$ref": PROFILE}, {"$ref": "#/definitions/x"}]});
    for (body, says) in [
        (json!({"title": "a", "allOf": []}), "allOf must refer to one class"),
        (schema("a", &[event]), "only one class"),
        (schema("a", &[missing]), missing),
        (schema("a", &[&for_events]), "meta:intendedToExtend"),
        (json!({"allOf": [{"$ref": PROFILE}]}), "title"),
        (dangling, "#/definitions/x"),
    ] {
        bad_request(&caller.post(SCHEMAS, body).await, says);
    }
}
