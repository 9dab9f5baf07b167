//! Dataflows of the service under test, and what they refer to.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use hubspot_connection_service::{
    emulator::{self, Emulator, Ledger},
    grpc::DATAFLOW_SERVICE_NAME,
    proto::{
        CreateHubSpotDataflowRequest, CreateHubSpotDataflowResponse, DataflowSchedule, DeltaColumn,
        NewDataset, SchemaFromTable, create_hub_spot_dataflow_request::Target, dataflow_schedule::Frequency,
        hub_spot_dataflow_service_client::HubSpotDataflowServiceClient, new_dataset::Schema,
    },
};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::transport::Channel;
use uuid::Uuid;

use super::{
    Failure, TestService, request_upstream, send_upstream,
    service::{framed, post_to},
};

/// The table that the requests read.
pub(crate) const CONTACTS: &str = "Hubspot.Contacts";
/// What there is after the creation of one dataflow with a new schema.
pub(crate) const ONE_OF_EACH: Ledger = Ledger {
    connections: 1,
    source_connections: 1,
    target_connections: 1,
    flows: 1,
    mapping_sets: 1,
    datasets: 1,
    schemas: 1,
    field_groups: 1,
};
/// What there is before.
pub(crate) const ONLY_A_CONNECTION: Ledger = Ledger {
    source_connections: 0,
    target_connections: 0,
    flows: 0,
    mapping_sets: 0,
    datasets: 0,
    schemas: 0,
    field_groups: 0,
    ..ONE_OF_EACH
};
/// What there is with an existing dataset before a dataflow into it is created.
pub(crate) const WITH_DATASET: Ledger =
    Ledger { datasets: 1, schemas: 1, field_groups: 1, ..ONLY_A_CONNECTION };

/// Far longer than the settle window of the tests, and two lists after it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A dataset that another client has created.
pub(crate) struct ExistingDataset {
    pub(crate) id: String,
    pub(crate) schema: String,
    /// What the paths of its own fields begin with.
    pub(crate) namespace: String,
}

impl TestService {
    pub(crate) async fn dataflows(&self) -> HubSpotDataflowServiceClient<Channel> {
        HubSpotDataflowServiceClient::connect(format!("http://{}", self.grpc)).await.unwrap()
    }

    pub(crate) async fn create_dataflow(
        &self,
        request: CreateHubSpotDataflowRequest,
    ) -> Result<CreateHubSpotDataflowResponse, Failure> {
        let response = self.dataflows().await.create_hub_spot_dataflow(request).await;
        response.map(tonic::Response::into_inner).map_err(Failure::from)
    }

    /// The same with a deadline in the form of the `grpc-timeout` header, which this client does not enforce.
    pub(crate) async fn create_dataflow_within(
        &self,
        request: &CreateHubSpotDataflowRequest,
        timeout: &str,
    ) -> Failure {
        let method = format!("{DATAFLOW_SERVICE_NAME}/CreateHubSpotDataflow");
        let body = framed(&request.encode_to_vec());
        let response = post_to(self.grpc, &method, &[("grpc-timeout", timeout)], body).await;
        Failure::from(tonic::Status::from_header_map(response.headers()).unwrap())
    }

    /// Creates a connection, and describes a dataflow from it that runs once, into a new dataset with a new schema.
    pub(crate) async fn dataflow_request(&self) -> CreateHubSpotDataflowRequest {
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let connection_id = self.create().await.unwrap().id;
        CreateHubSpotDataflowRequest {
            name: format!("Contacts daily {number}"),
            description: "for marketing".to_owned(),
            connection_id,
            table: CONTACTS.to_owned(),
            target: Some(new_dataset(
                &format!("HubSpot contacts {number}"),
                Schema::SchemaFromTable(SchemaFromTable::default()),
            )),
            schedule: Some(once()),
            request_id: Uuid::new_v4().to_string(),
            ..CreateHubSpotDataflowRequest::default()
        }
    }

    /// The same into an existing dataset.
    pub(crate) async fn dataflow_request_into(
        &self,
        dataset: &ExistingDataset,
    ) -> CreateHubSpotDataflowRequest {
        let target = Some(Target::DatasetId(dataset.id.clone()));
        CreateHubSpotDataflowRequest { target, ..self.dataflow_request().await }
    }

    /// Creates, as another client, a dataset with the fields `Vid` and `nickname` below the namespace.
    pub(crate) async fn existing_dataset(&self) -> ExistingDataset {
        existing_dataset(&self.emulator).await
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.emulator.ledger()
    }

    /// The bodies that were posted to a path of the emulator.
    pub(crate) fn posted_to(&self, path_end: &str) -> Vec<Value> {
        let received = self.emulator.received();
        let posts = received.iter().filter(|r| r.method == "POST" && r.path.ends_with(path_end));
        posts.map(|post| serde_json::from_slice(&post.body).unwrap()).collect()
    }

    /// Repeats a creation until its outcome is known and final.
    pub(crate) async fn repeat_dataflow_until_known(
        &self,
        request: &CreateHubSpotDataflowRequest,
    ) -> Result<CreateHubSpotDataflowResponse, Failure> {
        let began = Instant::now();
        loop {
            match self.create_dataflow(request.clone()).await {
                Err(failure)
                    if ["OUTCOME_UNKNOWN", "UPSTREAM_UNAVAILABLE"].contains(&&*failure.reason)
                        && began.elapsed() < PATIENCE => {}
                outcome => return outcome,
            }
        }
    }

    /// Repeats a creation that has succeeded until there is only this, at most a minute long.
    pub(crate) async fn repeat_dataflow_until(
        &self,
        request: &CreateHubSpotDataflowRequest,
        expected: Ledger,
    ) -> CreateHubSpotDataflowResponse {
        let began = Instant::now();
        let mut ticks = interval(Duration::from_millis(500));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let repeated = self.create_dataflow(request.clone()).await.unwrap();
            let ledger = self.ledger();
            if ledger == expected {
                return repeated;
            }
            assert!(began.elapsed() < PATIENCE, "{ledger:?}");
        }
    }
}

pub(crate) fn new_dataset(name: &str, schema: Schema) -> Target {
    let (name, description) = (name.to_owned(), "all contacts".to_owned());
    Target::NewDataset(NewDataset { name, description, schema: Some(schema) })
}

pub(crate) fn once() -> DataflowSchedule {
    DataflowSchedule { frequency: Frequency::Once as i32, ..DataflowSchedule::default() }
}

pub(crate) fn hourly(delta_column: &str) -> DataflowSchedule {
    DataflowSchedule {
        frequency: Frequency::Hour as i32,
        interval: 2,
        delta_column: Some(DeltaColumn { name: delta_column.to_owned(), date_format: String::new() }),
        ..DataflowSchedule::default()
    }
}

/// Creates, as another client, a dataset with the fields `Vid` and `nickname` below the namespace.
pub(crate) async fn existing_dataset(emulator: &Emulator) -> ExistingDataset {
    const PROFILE: &str = "https://ns.adobe.com/xdm/context/profile";
    let stats = platform(emulator, reqwest::Method::GET, "/schemaregistry/stats", None).await;
    let namespace = format!("_{}", stats["tenantId"].as_str().unwrap());
    let text = json!({"type": "string", "title": "text"});
    let group = json!({
        "title": "Own fields",
        "type": "object",
        "meta:intendedToExtend": [PROFILE],
        "definitions": {"fields": {"properties": {
            &namespace: {"type": "object", "properties": {"Vid": text, "nickname": text}},
        }}},
        "allOf": [{"$ref": "#/definitions/fields"}],
    });
    let post = reqwest::Method::POST;
    let group = platform(emulator, post.clone(), "/schemaregistry/tenant/fieldgroups", Some(group)).await;
    let schema = json!({
        "title": "Own schema",
        "type": "object",
        "allOf": [{"$ref": PROFILE}, {"$ref": group["$id"]}],
    });
    let schema = platform(emulator, post.clone(), "/schemaregistry/tenant/schemas", Some(schema)).await;
    let schema = schema["$id"].as_str().unwrap().to_owned();
    let dataset = json!({
        "name": "Own dataset",
        "schemaRef": {"id": schema, "contentType": "application/vnd.adobe.xed+json;version=1"},
    });
    let dataset = platform(emulator, post, "/catalog/dataSets", Some(dataset)).await;
    let id = dataset[0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    ExistingDataset { id, schema, namespace }
}

/// Sends a request as another client of the services beside the Flow Service would, for the sandbox `prod`.
pub(crate) async fn platform(
    emulator: &Emulator,
    method: reqwest::Method,
    path: &str,
    body: Option<Value>,
) -> Value {
    let url = format!("http://{}/data/foundation{path}", emulator.addr());
    let request = reqwest::Client::new().request(method, url).bearer_auth(emulator::DEMO_ACCESS_TOKEN);
    let request = request.header("x-api-key", emulator::CLIENT_ID);
    let request = request.header("x-gw-ims-org-id", emulator::ORG_ID).header("x-sandbox-name", "prod");
    let request = request.header("accept", "application/json");
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    };
    let response = request.send().await.unwrap();
    let (status, body) = (response.status(), response.bytes().await.unwrap());
    assert!(status.is_success(), "{path}: {status} {body:?}");
    serde_json::from_slice(&body).unwrap_or_default()
}

/// Creates, as another client, a flow into the only dataset, and returns its ID.
pub(crate) async fn ingest_into_the_only_dataset(service: &TestService, connection: &str) -> String {
    let emulator = &service.emulator;
    let datasets = platform(emulator, reqwest::Method::GET, "/catalog/dataSets", None).await;
    let (dataset, document) = datasets.as_object().unwrap().iter().next().unwrap();
    let schema = &document["schemaRef"]["id"];
    let version = "application/vnd.adobe.xed-full+json;version=1";
    let sets =
        platform(emulator, reqwest::Method::GET, "/conversion/mappingSets?limit=10&start=0", None).await;
    let spec = |id: &str| json!({"id": id, "version": "1.0"});
    let source = json!({
        "name": "another client's",
        "baseConnectionId": connection,
        "data": {"format": "tabular"},
        "params": {"path": CONTACTS, "tableName": CONTACTS},
        "connectionSpec": spec("cc6a4487-9e91-433e-a3a3-9cf6626c1806"),
    });
    let target = json!({
        "name": "another client's",
        "data": {"schema": {"id": schema, "version": version}},
        "params": {"dataSetId": dataset},
        "connectionSpec": spec("c604ff05-7f1a-43c0-8e18-33bf874cb11c"),
    });
    let post = reqwest::Method::POST;
    let source = send_upstream(emulator, post.clone(), "/sourceConnections", Some(source)).await;
    let target = send_upstream(emulator, post.clone(), "/targetConnections", Some(target)).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let flow = json!({
        "name": "another client's",
        "flowSpec": spec("14518937-270c-4525-bdec-c2ba7cce3860"),
        "sourceConnectionIds": [source["id"]],
        "targetConnectionIds": [target["id"]],
        "transformations": [{
            "name": "Mapping",
            "params": {"mappingId": sets["data"][0]["id"], "mappingVersion": 0},
        }],
        "scheduleParams": {"startTime": now + 3600, "frequency": "once"},
    });
    let flow = send_upstream(emulator, post, "/flows", Some(flow)).await;
    flow["id"].as_str().unwrap().to_owned()
}

/// Deletes, as another client, what a path of the Flow Service names.
pub(crate) async fn delete_upstream(emulator: &Emulator, path: &str) {
    let request = request_upstream(&reqwest::Client::new(), emulator, reqwest::Method::DELETE, path, None);
    assert!(request.send().await.unwrap().status().is_success(), "{path}");
}
