//! The Schema Registry, the Catalog and Data Prep.

mod datasets;
mod mappings;
mod refusals;
mod registry;
mod schemas;

use http::{StatusCode, header};
use hubspot_connection_service::emulator::{CLIENT_ID, DEMO_ACCESS_TOKEN};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Caller, body_of};

const PROFILE: &str = "https://ns.adobe.com/xdm/context/profile";

/// The namespace of the organization that the tests use.
const NAMESPACE: &str = "_5c1328435bf324e90a49402a";

const ID_FORM: &str = "application/vnd.adobe.xed-id+json";
const RAW_FORM: &str = "application/vnd.adobe.xed+json; version=1";
const FULL_FORM: &str = "application/vnd.adobe.xed-full+json; version=1";

const SCHEMAS: &str = "/schemaregistry/tenant/schemas";
const FIELD_GROUPS: &str = "/schemaregistry/tenant/fieldgroups";
const DATASETS: &str = "/catalog/dataSets";
const MAPPING_SETS: &str = "/conversion/mappingSets";

/// What came back: the status and the body, which is null where it is empty.
type Outcome = (StatusCode, Value);

impl Caller {
    /// Sends a request to a path below `/data/foundation`.
    async fn call(&self, method: Method, path: &str, accept: &str, body: Option<Value>) -> Outcome {
        let url = format!("http://{}/data/foundation{path}", self.emulator.addr());
        let mut request = self.client.request(method, url).bearer_auth(DEMO_ACCESS_TOKEN);
        for (name, value) in [
            ("x-api-key", CLIENT_ID),
            ("x-gw-ims-org-id", self.org),
            ("x-sandbox-name", self.sandbox),
            ("accept", accept),
        ] {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let body = response.bytes().await.unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (status, body)
    }

    async fn read(&self, path: &str) -> Outcome {
        self.call(Method::GET, path, FULL_FORM, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Outcome {
        self.call(Method::POST, path, "application/json", Some(body)).await
    }

    async fn remove(&self, path: &str) -> Outcome {
        self.call(Method::DELETE, path, "application/json", None).await
    }

    /// Creates a field group with one text, and returns its `$id`.
    async fn field_group(&self, title: &str) -> String {
        let (status, created) = self.post(FIELD_GROUPS, field_group(title)).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        text(&created["$id"])
    }

    /// Creates a profile schema with this title and these field groups, and returns its `$id`.
    async fn schema(&self, title: &str, field_groups: &[&str]) -> String {
        let (status, created) = self.post(SCHEMAS, schema(title, field_groups)).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        text(&created["$id"])
    }

    async fn dataset(&self, name: &str, schema: &str, tags: Value) -> String {
        let (status, created) = self.post(DATASETS, dataset(name, schema, tags)).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        text(&created[0]).rsplit('/').next().unwrap().to_owned()
    }
}

fn field_group(title: &str) -> Value {
    json!({
        "title": title,
        "type": "object",
        "meta:intendedToExtend": [PROFILE],
        "definitions": {"fields": {"properties": {NAMESPACE: {"type": "object", "properties": {
            "Vid": {"type": "string", "title": "Vid", "description": "HubSpot's id of a contact"},
        }}}}},
        "allOf": [{"$ref": "#/definitions/fields"}],
    })
}

fn schema(title: &str, field_groups: &[&str]) -> Value {
    let parts = [PROFILE].iter().chain(field_groups).map(|id| json!({"$ref": id}));
    json!({"title": title, "description": "made by a test", "type": "object", "allOf": parts.collect::<Vec<_>>()})
}

fn dataset(name: &str, schema: &str, tags: Value) -> Value {
    json!({
        "name": name,
        "description": "made by a test",
        "schemaRef": {"id": schema, "contentType": "application/vnd.adobe.xed+json;version=1"},
        "tags": tags,
        "enableErrorDiagnostics": true,
    })
}

/// A path that names a resource by its `$id`.
fn by_id(resources: &str, id: &str) -> String {
    format!("{resources}/{}", id.replace(':', "%3A").replace('/', "%2F"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The names of an object's members, sorted.
fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The titles of a page of schemas or field groups.
fn titles(page: &Value) -> Vec<&str> {
    page["results"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect()
}

fn rejected(outcome: &Outcome, status: StatusCode, title: &str, says: &str) {
    let (found, body) = outcome;
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(*found == status && detail.contains(says), "{found} {body}");
    assert_eq!((&body["title"], &body["status"]), (&json!(title), &json!(status.as_u16())));
}

fn bad_request(outcome: &Outcome, says: &str) {
    rejected(outcome, StatusCode::BAD_REQUEST, "BadRequestError", says);
}

fn not_found(outcome: &Outcome, says: &str) {
    rejected(outcome, StatusCode::NOT_FOUND, "NotFoundError", says);
}
