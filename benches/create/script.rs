//! A dataflow as a script creates it: each request after the response to the one before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubspot_connection_service::emulator::{CLIENT_ID, DEMO_ACCESS_TOKEN, Emulator, ORG_ID};
use reqwest::{Client, Method, header};
use serde_json::{Value, json};

pub(crate) const TABLE: &str = "Hubspot.Contacts";
const COLUMN: &str = "Vid";
const FULL_SCHEMA: &str = "application/vnd.adobe.xed-full+json; version=1";
const PROFILE: &str = "https://ns.adobe.com/xdm/context/profile";
const HUBSPOT: &str = "cc6a4487-9e91-433e-a3a3-9cf6626c1806";
const DATA_LAKE: &str = "c604ff05-7f1a-43c0-8e18-33bf874cb11c";
const CRM_TO_AEP: &str = "14518937-270c-4525-bdec-c2ba7cce3860";

/// A client that keeps its connection to the emulator, and reads no specification.
pub(crate) struct Script {
    client: Client,
    platform: String,
}

impl Script {
    pub(crate) fn new(emulator: &Emulator) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        Self { client, platform: format!("http://{}/data/foundation", emulator.addr()) }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let request = self.client.request(method, format!("{}{path}", self.platform));
        let request = request.bearer_auth(DEMO_ACCESS_TOKEN).header(header::ACCEPT, FULL_SCHEMA);
        let request = request.header("x-api-key", CLIENT_ID).header("x-gw-ims-org-id", ORG_ID);
        let mut request = request.header("x-sandbox-name", "prod");
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Creates the resource of the Flow Service that is not measured, and returns its ID.
    pub(crate) async fn create_connection(&self) -> String {
        let params =
            json!({"clientId": "client", "clientSecret": "a", "accessToken": "b", "refreshToken": "c"});
        let connection = json!({
            "name": "HubSpot",
            "auth": {"specName": "Basic Authentication", "params": params},
            "connectionSpec": {"id": HUBSPOT, "version": "1.0"},
        });
        text(&self.post("/flowservice/connections", connection).await["id"])
    }

    /// In eleven requests.
    pub(crate) async fn create_with_new_dataset(&self, connection: &str, name: &str) {
        self.read_source(connection).await;
        let stats = self.get("/schemaregistry/stats").await;
        let namespace = format!("_{}", text(&stats["tenantId"]));
        let fields = json!({
            "title": format!("{name} fields"),
            "type": "object",
            "meta:intendedToExtend": [PROFILE],
            "definitions": {"fields": {"properties": {
                &namespace: {"type": "object", "properties": {COLUMN: {"type": "string", "title": COLUMN}}},
            }}},
            "allOf": [{"$ref": "#/definitions/fields"}],
        });
        let fields = self.post("/schemaregistry/tenant/fieldgroups", fields).await;
        let parts = json!([{"$ref": PROFILE}, {"$ref": fields["$id"]}]);
        let schema = json!({"title": name, "type": "object", "allOf": parts});
        let schema = text(&self.post("/schemaregistry/tenant/schemas", schema).await["$id"]);
        let dataset = json!({"name": name, "schemaRef": schema_ref(&schema)});
        let created = self.post("/catalog/dataSets", dataset).await;
        let dataset = created[0].as_str().and_then(|path| path.rsplit('/').next()).unwrap();
        self.create_flow(connection, name, dataset, &schema, &format!("{namespace}.{COLUMN}")).await;
    }

    /// In nine requests.
    pub(crate) async fn create_with_dataset(&self, connection: &str, name: &str, dataset: &str) {
        self.read_source(connection).await;
        let read = self.get(&format!("/catalog/dataSets/{dataset}")).await;
        let id = text(&read[dataset]["schemaRef"]["id"]);
        let in_path = id.replace(':', "%3A").replace('/', "%2F");
        self.get(&format!("/schemaregistry/tenant/schemas/{in_path}")).await;
        // After `https://ns.adobe.com`.
        let tenant = id.split('/').nth(3).unwrap();
        self.create_flow(connection, name, dataset, &id, &format!("_{tenant}.{COLUMN}")).await;
    }

    /// In two requests.
    async fn read_source(&self, connection: &str) {
        self.get(&format!("/flowservice/connections/{connection}")).await;
        let query = format!("objectType=table&object={TABLE}");
        self.get(&format!("/flowservice/connections/{connection}/explore?{query}")).await;
    }

    /// In five requests.
    async fn create_flow(
        &self,
        connection: &str,
        name: &str,
        dataset: &str,
        schema: &str,
        destination: &str,
    ) {
        let mapping_set = json!({
            "outputSchema": {"schemaRef": schema_ref(schema)},
            "mappings": [{"sourceType": "ATTRIBUTE", "source": COLUMN, "destination": destination}],
        });
        self.post("/conversion/mappingSets/validate", mapping_set.clone()).await;
        let mapping_set = self.post("/conversion/mappingSets", mapping_set).await;
        let source = json!({
            "name": name,
            "baseConnectionId": connection,
            "data": {"format": "tabular"},
            "params": {"path": TABLE},
            "connectionSpec": {"id": HUBSPOT, "version": "1.0"},
        });
        let source = self.post("/flowservice/sourceConnections", source).await;
        let target = json!({
            "name": name,
            "data": {"schema": {"id": schema, "version": "application/vnd.adobe.xed-full+json;version=1"}},
            "params": {"dataSetId": dataset},
            "connectionSpec": {"id": DATA_LAKE, "version": "1.0"},
        });
        let target = self.post("/flowservice/targetConnections", target).await;
        let mapping = json!({"mappingId": mapping_set["id"], "mappingVersion": mapping_set["version"]});
        let flow = json!({
            "name": name,
            "flowSpec": {"id": CRM_TO_AEP, "version": "1.0"},
            "sourceConnectionIds": [source["id"]],
            "targetConnectionIds": [target["id"]],
            "transformations": [{"name": "Mapping", "params": mapping}],
            "scheduleParams": {"startTime": in_an_hour(), "frequency": "once"},
        });
        self.post("/flowservice/flows", flow).await;
    }
}

fn schema_ref(schema: &str) -> Value {
    json!({"id": schema, "contentType": "application/vnd.adobe.xed-full+json;version=1"})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn in_an_hour() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now + Duration::from_secs(3600)).as_secs()
}
