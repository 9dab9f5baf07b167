//! Data Prep.

use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Caller, MAPPING_SETS, bad_request, not_found};

const PERSON_DETAILS: &str = "https://ns.adobe.com/xdm/context/profile-person-details";

async fn with_schema() -> (Caller, String) {
    let caller = Caller::new().await;
    let schema = caller.schema("Contacts", &[PERSON_DETAILS]).await;
    (caller, schema)
}

fn mapping_set(name: &str, schema: &str, mappings: Value) -> Value {
    json!({
        "name": name,
        "outputSchema": {"schemaRef": {
            "id": schema, "contentType": "application/vnd.adobe.xed-full+json;version=1",
        }},
        "mappings": mappings,
    })
}

fn first_name() -> Value {
    json!([{"sourceType": "ATTRIBUTE", "source": "First_Name", "destination": "person.name.firstName"}])
}

#[tokio::test]
async fn a_mapping_set_is_created_with_status_200_and_read_in_both_dialects() {
    let (caller, schema) = with_schema().await;
    let (status, created) = caller.post(MAPPING_SETS, mapping_set("Contacts", &schema, first_name())).await;
    assert_eq!((status, &created["version"]), (StatusCode::OK, &json!(0)));
    let id = created["id"].as_str().unwrap();
    assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_eq!(created.get("mappings"), None);
    let (_, read) = caller.read(&format!("{MAPPING_SETS}/{id}")).await;
    assert_eq!((&read["name"], &read["xdmSchema"]), (&json!("Contacts"), &json!(schema)));
    assert_eq!(read["outputSchema"]["schemaRef"]["id"], json!(schema));
    let mapping = &read["mappings"][0];
    assert_eq!(
        (&mapping["source"], &mapping["sourceAttribute"]),
        (&json!("First_Name"), &json!("First_Name"))
    );
    assert_eq!(mapping["destinationXdmPath"], "person.name.firstName");

    let earlier = json!({
        "version": 0, "xdmSchema": schema, "xdmVersion": "1.0", "id": null,
        "mappings": [{
            "destinationXdmPath": "_id", "sourceAttribute": "Vid", "identity": false, "identityGroup": null,
            "namespaceCode": null, "version": 0,
        }],
    });
    let (status, created) = caller.post(MAPPING_SETS, earlier).await;
    assert_eq!(status, StatusCode::OK);
    let (_, read) = caller.read(&format!("{MAPPING_SETS}/{}", super::text(&created["id"]))).await;
    assert_eq!((read.get("name"), &read["mappings"][0]["destination"]), (None, &json!("_id")));
}

#[tokio::test]
async fn an_update_increases_the_version() {
    let (caller, schema) = with_schema().await;
    let (_, created) = caller.post(MAPPING_SETS, mapping_set("a", &schema, first_name())).await;
    let path = format!("{MAPPING_SETS}/{}", super::text(&created["id"]));
    for version in [1, 2] {
        let body = Some(mapping_set("b", &schema, json!([])));
        let (status, updated) = caller.call(Method::PUT, &path, "application/json", body).await;
        assert_eq!((status, &updated["version"]), (StatusCode::OK, &json!(version)));
    }
    let (_, read) = caller.read(&path).await;
    assert_eq!((&read["name"], &read["version"], &read["mappings"]), (&json!("b"), &json!(2), &json!([])));
    let body = Some(mapping_set("b", &schema, json!([])));
    let unknown = format!("{MAPPING_SETS}/unknown");
    not_found(&caller.call(Method::PUT, &unknown, "application/json", body).await, "unknown");
}

#[tokio::test]
async fn a_list_needs_a_limit_and_continues_at_a_number() {
    let (caller, schema) = with_schema().await;
    for name in ["a", "b", "a, b"] {
        caller.post(MAPPING_SETS, mapping_set(name, &schema, json!([]))).await;
    }
    let list = |query: &'static str| {
        let caller = &caller;
        async move { caller.read(&format!("{MAPPING_SETS}?{query}")).await.1 }
    };
    let names = |page: &Value| {
        page["data"].as_array().unwrap().iter().map(|one| super::text(&one["name"])).collect::<Vec<_>>()
    };
    let page = list("limit=2&start=0&orderBy=name").await;
    assert_eq!(names(&page), ["a", "a, b"]);
    assert_eq!(page["_page"], json!({"count": 2, "limit": 2}));
    assert_eq!(page["_links"]["next"]["href"], "/mappingSets?limit=2&start=2");
    assert_eq!(names(&list("limit=2&start=2&orderBy=name").await), ["b"]);
    assert_eq!(names(&list("limit=10&start=0&name=a,%20b").await), ["a, b"]);
    assert_eq!(names(&list("limit=10&start=0&property=xdmSchema==other").await), [""; 0]);
    for (query, says) in [("start=0", "limit is required"), ("limit=0", "limit"), ("limit=5&size=1", "size")]
    {
        bad_request(&caller.read(&format!("{MAPPING_SETS}?{query}")).await, says);
    }
}

#[tokio::test]
async fn a_validation_has_one_result_per_mapping_and_keeps_nothing() {
    let (caller, schema) = with_schema().await;
    let mappings = json!([
        {"sourceType": "ATTRIBUTE", "source": "no such column", "destination": "person.name.firstName"},
        {"sourceType": "ATTRIBUTE", "source": "First_Name", "destination": "person.name.givenName"},
        {"sourceType": "EXPRESSION", "source": "uuid()", "destination": "_id"},
        {"sourceType": "EXPRESSION", "source": "concat(First_Name", "destination": "_id"},
        {"sourceType": "STATIC", "source": "concat(", "destination": "person"},
        {"sourceAttribute": "Vid", "destinationXdmPath": "_id.more"},
    ]);
    let body = mapping_set("a", &schema, mappings);
    let (status, result) = caller.post(&format!("{MAPPING_SETS}/validate"), body.clone()).await;
    assert_eq!(status, StatusCode::OK);
    let results = result["validationResponse"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["SUCCESS", "FAILED", "SUCCESS", "FAILED", "SUCCESS", "FAILED"]);
    assert!(results[1]["errors"][0]["message"].as_str().unwrap().contains("person.name.givenName"));
    assert_eq!(caller.read(&format!("{MAPPING_SETS}?limit=1")).await.1["data"], json!([]));

    bad_request(&caller.post(&format!("{MAPPING_SETS}?validate=true"), body.clone()).await, "givenName");
    assert_eq!(caller.post(&format!("{MAPPING_SETS}?validate=False"), body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn each_mistake_in_a_mapping_set_is_named() {
    let (caller, schema) = with_schema().await;
    for (body, says) in [
        (json!({"mappings": []}), "outputSchema.schemaRef.id"),
        (mapping_set("a", "https://ns.adobe.com/x/schemas/1", json!([])), "https://ns.adobe.com/x/schemas/1"),
        (mapping_set("a", &schema, json!({})), "mappings"),
        (mapping_set("a", &schema, json!([{"source": "a"}])), "destination"),
        (mapping_set("a", &schema, json!([{"sourceType": "COLUMN"}])), "COLUMN"),
        (json!({"name": 1, "xdmSchema": schema, "mappings": []}), "name"),
    ] {
        bad_request(&caller.post(MAPPING_SETS, body.clone()).await, says);
        bad_request(&caller.post(&format!("{MAPPING_SETS}/validate"), body).await, says);
    }
}

#[tokio::test]
async fn a_deleted_mapping_set_is_gone() {
    let (caller, schema) = with_schema().await;
    let (_, created) = caller.post(MAPPING_SETS, mapping_set("a", &schema, first_name())).await;
    let path = format!("{MAPPING_SETS}/{}", super::text(&created["id"]));
    not_found(&caller.for_tenant(caller.org, "dev").remove(&path).await, "mapping set");
    assert_eq!(caller.remove(&path).await, (StatusCode::NO_CONTENT, Value::Null));
    not_found(&caller.remove(&path).await, "mapping set");
    not_found(&caller.read(&path).await, "mapping set");
}
