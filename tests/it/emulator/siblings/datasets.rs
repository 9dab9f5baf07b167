//! The Catalog.

use std::time::Duration;

use http::StatusCode;
use hubspot_connection_service::emulator::Settings;
use serde_json::{Value, json};

use super::{Caller, DATASETS, bad_request, dataset, keys, not_found};

async fn names(caller: &Caller, query: &str) -> Vec<String> {
    let (status, found) = caller.read(&format!("{DATASETS}?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{query}: {found}");
    let mut names: Vec<_> =
        found.as_object().unwrap().values().map(|one| super::text(&one["name"])).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_created_dataset_is_read_by_its_id() {
    let caller = Caller::new().await;
    let schema = caller.schema("Contacts", &[]).await;
    let body = dataset("Contacts", &schema, json!({"hcsRequestId": ["1"]}));
    let (status, created) = caller.post(&format!("{DATASETS}?requestDataSource=true"), body.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    let id = created[0].as_str().unwrap().strip_prefix("@/dataSets/").unwrap();
    assert!(id.len() == 24 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    let (_, read) = caller.read(&format!("{DATASETS}/{id}")).await;
    assert_eq!(keys(&read), [id]);
    for field in ["name", "description", "schemaRef", "enableErrorDiagnostics"] {
        assert_eq!(read[id][field], body[field], "{field}");
    }
    assert_eq!(read[id]["tags"], json!({"hcsRequestId": ["1"], "adobe/pqs/table": ["contacts"]}));
    assert_eq!(read[id]["classification"], json!({"dataBehavior": "record", "managedBy": "CUSTOMER"}));
    assert_eq!((read[id]["imsOrg"].as_str(), read[id].get("lastBatchId")), (Some(caller.org), None));
    assert!(read[id]["created"].as_u64().unwrap() > 1_600_000_000_000);
    let (_, part) = caller.read(&format!("{DATASETS}/{id}?properties=name,tags")).await;
    assert_eq!(keys(&part[id]), ["name", "tags"]);
    let other = caller.for_tenant(caller.org, "dev");
    not_found(&other.read(&format!("{DATASETS}/{id}")).await, id);
    assert_eq!(other.read(DATASETS).await, (StatusCode::OK, json!({})));
}

#[tokio::test]
async fn each_mistake_in_a_dataset_is_named() {
    let caller = Caller::new().await;
    let schema = caller.schema("Contacts", &[]).await;
    let with = |pointer: &str, value: Value| {
        let mut body = dataset("Contacts", &schema, json!({}));
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (body, says) in [
        (with("/name", json!("")), "name"),
        (with("/description", json!(1)), "description"),
        (with("/enableErrorDiagnostics", json!("true")), "enableErrorDiagnostics"),
        (with("/tags", json!({"a": "b"})), "tag a"),
        (with("/tags", json!({"adobe/x": ["b"]})), "adobe/x"),
        (with("/schemaRef", Value::Null), "schemaRef"),
        (
            with("/schemaRef/id", json!("https://ns.adobe.com/x/schemas/1")),
            "https://ns.adobe.com/x/schemas/1",
        ),
        (with("/schemaRef/contentType", json!("application/json")), "contentType"),
    ] {
        bad_request(&caller.post(DATASETS, body).await, says);
    }
    assert_eq!(names(&caller, "").await, [""; 0]);
}

#[tokio::test]
async fn datasets_are_found_by_tags_and_names_which_can_repeat() {
    let caller = Caller::new().await;
    let schema = caller.schema("Contacts", &[]).await;
    for (name, tags) in [
        ("a", json!({"hcsRequestId": ["one"], "team": ["crm"]})),
        ("a", json!({"hcsRequestId": ["two"]})),
        ("b, c", json!({})),
    ] {
        caller.dataset(name, &schema, tags).await;
    }
    for (query, expected) in [
        ("tags=hcsRequestId:one", &["a"][..]),
        ("tags=hcsRequestId:*", &["a", "a"]),
        ("tags=hcsRequestId:o*,team:crm", &["a"]),
        ("tags=hcsRequestId:two,team:*", &[]),
        ("name=a", &["a", "a"]),
        ("name=b,%20c", &["b, c"]),
        ("property=name==a", &["a", "a"]),
        ("createdClient=demo-client&name=b,%20c", &["b, c"]),
        ("createdClient=other", &[]),
    ] {
        assert_eq!(names(&caller, query).await, expected, "{query}");
    }
    for (query, says) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("start=-1", "start"),
        ("tags=hcsRequestId", "NAME:VALUE"),
        ("orderBy=created", "orderBy"),
        ("orderBy=desc:size", "orderBy"),
        ("property=schemaRef.id==x", "schemaRef.id"),
        ("size=1", "size"),
    ] {
        bad_request(&caller.read(&format!("{DATASETS}?{query}")).await, says);
    }
}

#[tokio::test]
async fn a_list_has_twenty_datasets_unless_it_is_asked_for_others() {
    let caller = Caller::new().await;
    let schema = caller.schema("Contacts", &[]).await;
    for number in 0..25 {
        caller.dataset(&format!("{number:02}"), &schema, json!({})).await;
    }
    assert_eq!(names(&caller, "").await.len(), 20);
    assert_eq!(names(&caller, "limit=100").await.len(), 25);
    assert_eq!(names(&caller, "orderBy=asc:name&limit=2&start=23").await, ["23", "24"]);
    assert_eq!(names(&caller, "orderBy=desc:created&limit=1").await, ["24"]);
}

#[tokio::test]
async fn the_index_lag_hides_a_dataset_from_lists_alone() {
    let caller = Caller::new().await;
    caller.emulator.settings(Settings { index_lag: Duration::from_secs(600), ..Settings::default() });
    let schema = caller.schema("Contacts", &[]).await;
    let id = caller.dataset("Contacts", &schema, json!({"a": ["b"]})).await;
    assert_eq!(names(&caller, "tags=a:b").await, [""; 0]);
    assert_eq!(caller.read(&format!("{DATASETS}/{id}")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_deleted_dataset_is_gone_and_the_settings_decide_about_an_unknown_one() {
    let caller = Caller::new().await;
    let schema = caller.schema("Contacts", &[]).await;
    let path = format!("{DATASETS}/{}", caller.dataset("Contacts", &schema, json!({})).await);
    let (status, deleted) = caller.remove(&path).await;
    assert_eq!((status, deleted), (StatusCode::OK, json!([path.replace("/catalog", "@")])));
    not_found(&caller.read(&path).await, "dataSet");
    not_found(&caller.remove(&path).await, "dataSet");
    caller
        .emulator
        .settings(Settings { missing_dataset_delete_status: StatusCode::OK, ..Settings::default() });
    assert_eq!(caller.remove(&path).await, (StatusCode::OK, json!([])));
}
