//! Flows that another client of Adobe's services makes.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use hubspot_connection_service::emulator::{CLIENT_ID, DEMO_ACCESS_TOKEN, Emulator, ORG_ID};
use serde_json::{Value, json};

use super::tomorrow;
use crate::support::send_upstream;

const HUBSPOT: &str = "cc6a4487-9e91-433e-a3a3-9cf6626c1806";
const SALESFORCE: &str = "cfc0fee1-7dc0-40ef-b73e-d8b134c436f5";
const DATA_LAKE: &str = "c604ff05-7f1a-43c0-8e18-33bf874cb11c";
const CRM_TO_AEP: &str = "14518937-270c-4525-bdec-c2ba7cce3860";
const SCHEMA_VERSION: &str = "application/vnd.adobe.xed-full+json;version=1";

/// A flow, and what it uses.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) mapping_set: String,
    pub(super) dataset: String,
    pub(super) schema: String,
}

impl Flow {
    pub(super) async fn of_hubspot(emulator: &Emulator, connection: &str, name: &str) -> Self {
        Self::new(emulator, (HUBSPOT, connection, "Hubspot.Contacts", "Vid"), name).await
    }

    pub(super) async fn of_salesforce(emulator: &Emulator, connection: &str, name: &str) -> Self {
        Self::new(emulator, (SALESFORCE, connection, "Account", "Id"), name).await
    }

    async fn new(
        emulator: &Emulator,
        (spec, connection, table, column): (&str, &str, &str, &str),
        name: &str,
    ) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let title = format!("Made elsewhere {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let class = json!({"$ref": "https://ns.adobe.com/xdm/context/profile"});
        let schema = json!({"title": title, "type": "object", "allOf": [class]});
        let schema = posted(emulator, "/schemaregistry/tenant/schemas", &schema).await;
        let schema = schema["$id"].as_str().unwrap().to_owned();
        let schema_ref = json!({"id": schema, "contentType": SCHEMA_VERSION});
        let dataset = json!({"name": title, "schemaRef": schema_ref});
        let dataset = posted(emulator, "/catalog/dataSets", &dataset).await;
        let dataset = dataset[0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mapping_set = json!({
            "outputSchema": {"schemaRef": schema_ref},
            "mappings": [{"sourceType": "ATTRIBUTE", "source": column, "destination": "_id"}],
        });
        let mapping_set = posted(emulator, "/conversion/mappingSets", &mapping_set).await;
        let mapping_set = mapping_set["id"].as_str().unwrap().to_owned();
        let target = json!({
            "name": "target",
            "data": {"schema": {"id": schema, "version": SCHEMA_VERSION}},
            "params": {"dataSetId": dataset},
            "connectionSpec": {"id": DATA_LAKE, "version": "1.0"},
        });
        let target = new_id(emulator, "/targetConnections", target).await;
        let source = source(emulator, spec, connection, table).await;
        let flow = Self { id: String::new(), source, target, mapping_set, dataset, schema };
        let id = flow.flow(emulator, name).await;
        Self { id, ..flow }
    }

    /// Makes another flow with the same target connection and mapping set.
    pub(super) async fn beside(&self, emulator: &Emulator, connection: &str, name: &str) -> Self {
        let source = source(emulator, HUBSPOT, connection, "Hubspot.Contacts").await;
        let flow = Self { source, ..self.clone() };
        let id = flow.flow(emulator, name).await;
        Self { id, ..flow }
    }

    /// Makes the flow itself, which runs every hour from tomorrow on.
    async fn flow(&self, emulator: &Emulator, name: &str) -> String {
        let delta_column = json!({"name": "Added_At"});
        let flow = json!({
            "name": name,
            "flowSpec": {"id": CRM_TO_AEP, "version": "1.0"},
            "sourceConnectionIds": [self.source],
            "targetConnectionIds": [self.target],
            "transformations": [
                {"name": "Mapping", "params": {"mappingId": self.mapping_set, "mappingVersion": 0}},
                {"name": "Copy", "params": {"deltaColumn": delta_column}},
            ],
            "scheduleParams": {"startTime": tomorrow(), "frequency": "hour", "interval": 1},
        });
        new_id(emulator, "/flows", flow).await
    }
}

async fn source(emulator: &Emulator, spec: &str, connection: &str, table: &str) -> String {
    let source = json!({
        "name": "source",
        "baseConnectionId": connection,
        "data": {"format": "tabular"},
        "params": {"path": table, "tableName": table},
        "connectionSpec": {"id": spec, "version": "1.0"},
    });
    new_id(emulator, "/sourceConnections", source).await
}

async fn new_id(emulator: &Emulator, path: &str, body: Value) -> String {
    let created = send_upstream(emulator, Method::POST, path, Some(body)).await;
    created["id"].as_str().unwrap().to_owned()
}

/// Posts to another service than the Flow Service.
async fn posted(emulator: &Emulator, path: &str, body: &Value) -> Value {
    let response = reqwest::Client::new()
        .post(format!("http://{}/data/foundation{path}", emulator.addr()))
        .bearer_auth(DEMO_ACCESS_TOKEN)
        .header("x-api-key", CLIENT_ID)
        .header("x-gw-ims-org-id", ORG_ID)
        .header("x-sandbox-name", "prod")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{path}: {response:?}");
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}
