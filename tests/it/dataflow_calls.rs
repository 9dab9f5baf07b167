//! Calls about dataflows that exist, whoever made them: read, pause, resume, delete, and their runs.

mod audit;
mod callers;
mod delete;
mod delete_lost;
mod flows;
mod get;
mod in_use;
mod limits;
mod list;
mod runs;
mod runs_errors;
mod state;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubspot_connection_service::{
    emulator::Ledger,
    proto::{
        self, create_hub_spot_dataflow_request::Target,
        delete_hub_spot_dataflow_request::Dataflow as Deleted,
        hub_spot_dataflow_service_client::HubSpotDataflowServiceClient, new_dataset::Schema,
    },
};
use prost_types::Timestamp;
use tonic::{Code, transport::Channel};

use self::flows::Flow;
use crate::support::{Failure, TestService};

type Client = HubSpotDataflowServiceClient<Channel>;

const NOT_FOUND: (Code, &str) = (Code::NotFound, "DATAFLOW_NOT_FOUND");
const ACTION: &str = "POST /flows/{id}/action";

async fn client(grpc: std::net::SocketAddr) -> Client {
    HubSpotDataflowServiceClient::connect(format!("http://{grpc}")).await.unwrap()
}

/// A time long after a test: no schedule makes a run.
fn tomorrow() -> u64 {
    (SystemTime::now() + Duration::from_hours(24)).duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A request for a dataflow into a new dataset, with names of its own.
pub(crate) fn creation(connection: &str, name: &str) -> proto::CreateHubSpotDataflowRequest {
    let schema = proto::SchemaFromTable { title: format!("Schema of {name}"), ..Default::default() };
    let dataset = proto::NewDataset {
        name: format!("Dataset of {name}"),
        schema: Some(Schema::SchemaFromTable(schema)),
        ..Default::default()
    };
    let start = Timestamp { seconds: tomorrow().try_into().unwrap(), nanos: 0 };
    let schedule = proto::DataflowSchedule {
        frequency: proto::dataflow_schedule::Frequency::Hour.into(),
        interval: 1,
        start_time: Some(start),
        delta_column: Some(proto::DeltaColumn { name: "Added_At".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    proto::CreateHubSpotDataflowRequest {
        name: name.to_owned(),
        connection_id: connection.to_owned(),
        table: "Hubspot.Contacts".to_owned(),
        target: Some(Target::NewDataset(dataset)),
        schedule: Some(schedule),
        ..Default::default()
    }
}

/// A service with one connection.
struct Setup {
    service: TestService,
    client: Client,
    connection: String,
}

impl Setup {
    async fn new() -> Self {
        Self::over(TestService::start().await).await
    }

    async fn over(service: TestService) -> Self {
        let connection = service.create().await.unwrap().id;
        let client = client(service.grpc).await;
        Self { service, client, connection }
    }

    /// Creates a dataflow with the service.
    async fn create(&mut self, name: &str) -> proto::CreateHubSpotDataflowResponse {
        let created = self.client.create_hub_spot_dataflow(creation(&self.connection, name)).await;
        created.unwrap().into_inner()
    }

    /// Creates a dataflow of the connection without the service, as Adobe's user interface does.
    async fn create_elsewhere(&self, name: &str) -> Flow {
        Flow::of_hubspot(&self.service.emulator, &self.connection, name).await
    }

    async fn get(&mut self, id: &str) -> Result<proto::HubSpotDataflow, Failure> {
        let request = proto::GetHubSpotDataflowRequest { id: id.to_owned(), ..Default::default() };
        let read = self.client.get_hub_spot_dataflow(request).await.map_err(Failure::from)?;
        Ok(read.into_inner().dataflow.unwrap())
    }

    async fn pause(&mut self, id: &str) -> Result<String, Failure> {
        let request = proto::PauseHubSpotDataflowRequest { id: id.to_owned(), ..Default::default() };
        let paused = self.client.pause_hub_spot_dataflow(request).await.map_err(Failure::from)?.into_inner();
        assert_eq!(paused.id, id);
        Ok(paused.etag)
    }

    async fn resume(&mut self, id: &str) -> Result<String, Failure> {
        let request = proto::ResumeHubSpotDataflowRequest { id: id.to_owned(), ..Default::default() };
        let resumed =
            self.client.resume_hub_spot_dataflow(request).await.map_err(Failure::from)?.into_inner();
        assert_eq!(resumed.id, id);
        Ok(resumed.etag)
    }

    async fn delete(
        &mut self,
        id: &str,
        allow_missing: bool,
    ) -> Result<Vec<proto::LeftoverResource>, Failure> {
        let deleted = self.client.delete_hub_spot_dataflow(deletion(id, allow_missing)).await;
        Ok(deleted.map_err(Failure::from)?.into_inner().leftovers)
    }

    /// How many of each resource exist.
    fn ledger(&self) -> Ledger {
        self.service.emulator.ledger()
    }

    /// The state and the etag of a flow.
    fn flow(&self, id: &str) -> (String, String) {
        let flows = self.service.emulator.flows();
        let flow = flows.into_iter().find(|flow| flow.id == id).unwrap();
        (flow.state, flow.etag)
    }

    /// The requests that change something at Adobe, without the IDs in their paths.
    fn writes(&self) -> Vec<String> {
        let received = self.service.emulator.received();
        let writes = received.iter().filter(|r| r.method != "GET" && !r.path.contains("/ims/"));
        writes
            .map(|request| {
                let path = request.path.trim_start_matches("/data/foundation/");
                let path = path.trim_start_matches("flowservice/").trim_start_matches("conversion/");
                let kind = path.split('/').next().unwrap();
                format!("{} {kind}", request.method)
            })
            .collect()
    }
}

fn deletion(id: &str, allow_missing: bool) -> proto::DeleteHubSpotDataflowRequest {
    let dataflow = Some(Deleted::Id(id.to_owned()));
    proto::DeleteHubSpotDataflowRequest { dataflow, allow_missing, ..Default::default() }
}

/// The kinds and IDs of what remains.
fn kinds(leftovers: &[proto::LeftoverResource]) -> Vec<(&str, &str)> {
    leftovers.iter().map(|leftover| (&*leftover.kind, &*leftover.id)).collect()
}
