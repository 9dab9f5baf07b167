//! The Flow Service's side of dataflows, and what they need of the other services.

mod actions;
mod batches;
mod faults;
mod flows;
mod patches;
mod references;
mod runs;
mod schedules;
mod sources;
mod targets;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{StatusCode, header};
use hubspot_connection_service::emulator::{
    CLIENT_ID, DEMO_ACCESS_TOKEN, Ledger, Outcome, PlannedRun, Settings,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{Caller, body_of};

const HUBSPOT: &str = "cc6a4487-9e91-433e-a3a3-9cf6626c1806";
const DATA_LAKE: &str = "c604ff05-7f1a-43c0-8e18-33bf874cb11c";
const CRM_TO_AEP: &str = "14518937-270c-4525-bdec-c2ba7cce3860";

/// What a flow needs, each one created.
struct Chain {
    caller: Caller,
    base: String,
    schema: String,
    dataset: String,
    mapping_set: String,
    source: String,
    target: String,
}

impl Caller {
    /// Sends a request to a service beside the Flow Service.
    async fn platform(&self, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("http://{}/data/foundation{path}", self.emulator.addr());
        let request = self.client.request(method, url).bearer_auth(DEMO_ACCESS_TOKEN);
        let request = request.header("x-api-key", CLIENT_ID).header("x-gw-ims-org-id", self.org);
        let request = request.header("x-sandbox-name", self.sandbox);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::ACCEPT, "application/json").body(body.to_string());
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        body_of(response).await
    }

    async fn posted(&self, path: &str, body: &Value) -> Response {
        self.try_send(Method::POST, path, Some(body.clone())).await.unwrap()
    }

    /// Creates a resource of the Flow Service and returns its id.
    async fn new_id(&self, path: &str, body: &Value) -> String {
        let response = self.posted(path, body).await;
        let status = response.status();
        let body = body_of(response).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Creates a schema of this title and returns its id.
    async fn new_schema(&self, title: &str) -> String {
        let class = json!({"$ref": "https://ns.adobe.com/xdm/context/profile"});
        let schema = json!({"title": title, "type": "object", "allOf": [class]});
        let schema = self.platform(Method::POST, "/schemaregistry/tenant/schemas", &schema).await;
        schema["$id"].as_str().unwrap().to_owned()
    }

    /// Creates a mapping set to a schema and returns its id.
    async fn new_mapping_set(&self, schema: &str) -> String {
        let mapping_set = json!({
            "outputSchema": {"schemaRef": schema_ref(schema)},
            "mappings": [{"sourceType": "ATTRIBUTE", "source": "Vid", "destination": "_id"}],
        });
        let mapping_set = self.platform(Method::POST, "/conversion/mappingSets", &mapping_set).await;
        mapping_set["id"].as_str().unwrap().to_owned()
    }

    async fn item_at(&self, path: &str) -> Value {
        body_of(self.get(path).await).await["items"][0].clone()
    }

    async fn items(&self, path: &str) -> Vec<Value> {
        let body = body_of(self.get(path).await).await;
        body["items"].as_array().unwrap_or_else(|| panic!("{body}")).clone()
    }
}

impl Chain {
    async fn new() -> Self {
        let caller = Caller::new().await;
        let base = body_of(caller.create("HubSpot").await.unwrap()).await["id"].as_str().unwrap().to_owned();
        let schema = caller.new_schema("Contacts").await;
        let dataset = json!({"name": "Contacts", "schemaRef": schema_ref(&schema)});
        let dataset = caller.platform(Method::POST, "/catalog/dataSets", &dataset).await;
        let dataset = dataset[0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mapping_set = caller.new_mapping_set(&schema).await;
        let source = caller.new_id("/sourceConnections", &source(&base, "Hubspot.Contacts")).await;
        let target = caller.new_id("/targetConnections", &target(&dataset, &schema)).await;
        Self { caller, base, schema, dataset, mapping_set, source, target }
    }

    /// A flow that runs once.
    fn once(&self, start: u64) -> Value {
        json!({
            "name": "Contacts",
            "description": "made by a test",
            "flowSpec": {"id": CRM_TO_AEP, "version": "1.0"},
            "sourceConnectionIds": [self.source],
            "targetConnectionIds": [self.target],
            "transformations": [{
                "name": "Mapping",
                "params": {"mappingId": self.mapping_set, "mappingVersion": 0},
            }],
            "scheduleParams": {"startTime": start, "frequency": "once"},
        })
    }

    /// A flow that runs every hour.
    fn hourly(&self, start: u64) -> Value {
        let mut flow = self.once(start);
        flow["scheduleParams"] = json!({"startTime": start, "frequency": "hour", "interval": 1});
        let delta_column = json!({"name": "Added_At", "dateFormat": "YYYY-MM-DD", "timezone": "UTC"});
        let copy = json!({"name": "Copy", "params": {"deltaColumn": delta_column}});
        flow["transformations"].as_array_mut().unwrap().push(copy);
        flow
    }

    async fn new_flow(&self, body: &Value) -> String {
        self.caller.new_id("/flows", body).await
    }

    /// The code of the error for a flow.
    async fn refusal(&self, flow: &Value) -> String {
        code_of(self.caller.posted("/flows", flow).await).await
    }

    async fn flow(&self, id: &str) -> Value {
        self.caller.item_at(&format!("/flows/{id}")).await
    }

    async fn delete(&self, path: &str) -> Response {
        self.caller.try_send(Method::DELETE, path, None).await.unwrap()
    }

    /// Sends a patch with the current etag.
    async fn patch(&self, path: &str, instructions: &Value) -> Response {
        let etag = self.caller.item_at(path).await["etag"].as_str().unwrap().to_owned();
        let request = self.caller.request(Method::PATCH, path).header(header::IF_MATCH, etag);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        request.body(instructions.to_string()).send().await.unwrap()
    }

    async fn runs(&self, flow: &str) -> Vec<Value> {
        self.caller.items(&format!("/runs?property=flowId=={flow}")).await
    }

    fn make_run(&self, planned: PlannedRun) {
        self.caller.emulator.make_runs(&[planned]).unwrap();
    }

    fn settings(&self, settings: Settings) {
        self.caller.emulator.settings(settings);
    }
}

fn schema_ref(schema: &str) -> Value {
    json!({"id": schema, "contentType": "application/vnd.adobe.xed-full+json;version=1"})
}

fn source(base: &str, table: &str) -> Value {
    json!({
        "name": "source",
        "baseConnectionId": base,
        "data": {"format": "tabular"},
        "params": {"path": table, "tableName": table},
        "connectionSpec": {"id": HUBSPOT, "version": "1.0"},
    })
}

fn target(dataset: &str, schema: &str) -> Value {
    json!({
        "name": "target",
        "data": {"schema": {"id": schema, "version": "application/vnd.adobe.xed-full+json;version=1"}},
        "params": {"dataSetId": dataset},
        "connectionSpec": {"id": DATA_LAKE, "version": "1.0"},
    })
}

/// What a report's `type` ends with, after asserting that its number is the status.
async fn code_of(response: Response) -> String {
    let status = response.status();
    let body = body_of(response).await;
    let kind = body["type"].as_str().unwrap_or_else(|| panic!("{body}"));
    let code = kind.rsplit('/').next().unwrap().to_owned();
    assert!(code.ends_with(status.as_str()), "{status}: {code}");
    code
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A start that no test lives to see.
fn later() -> u64 {
    now() + 3600
}
