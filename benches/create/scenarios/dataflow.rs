//! How long the creation of a dataflow takes if every response of Adobe takes long: what does not depend on each other
//! is sent at the same time.

use std::time::Duration;

use hubspot_connection_service::{
    emulator::{Action, CLIENT_ID, DEMO_ACCESS_TOKEN, Emulator, Fault, ORG_ID, Options, Route},
    proto::{
        CreateHubSpotDataflowRequest, DataflowResources, DataflowSchedule, NewDataset, SchemaFromTable,
        create_hub_spot_dataflow_request::Target, dataflow_schedule::Frequency,
        hub_spot_dataflow_service_client::HubSpotDataflowServiceClient, new_dataset::Schema,
    },
};
use tokio::{net::TcpListener, time::Instant};
use tonic::transport::Channel;

use crate::{
    Bench, Report,
    process::{Core, Process},
    report::{Limit, Spread, ratio},
    script::{Script, TABLE},
};

const DELAY: Duration = Duration::from_millis(300);

/// The service, and the connection to HubSpot of its dataflows.
struct Service {
    client: HubSpotDataflowServiceClient<Channel>,
    connection: String,
    /// How many dataflows were created.
    created: usize,
}

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    println!("dataflows, upstream at {} ms", DELAY.as_millis());
    let emulator = Emulator::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), Options::default());
    let script = Script::new(&emulator);
    let process = start(bench, &emulator).await;
    let client = HubSpotDataflowServiceClient::connect(format!("http://{}", process.address)).await.unwrap();
    let mut service = Service { client, connection: script.create_connection().await, created: 0 };
    // The service reads specifications once, and connects.
    let dataset = service.create(None).await.dataset_id;
    let delayed = |route| Fault { route, count: 0, action: Action::Delay(DELAY) };
    emulator.inject(Route::all().map(delayed).collect());
    for (what, dataset, limit) in
        [("new dataset and schema", None, 7.5), ("existing dataset", Some(&*dataset), 5.5)]
    {
        let (mut by_service, mut by_script) = (Vec::new(), Vec::new());
        for round in 0..bench.arguments.rounds() {
            by_service.push(in_delays(service.create(dataset)).await);
            let name = format!("{what} {round}");
            by_script.push(match dataset {
                Some(id) => in_delays(script.create_with_dataset(&service.connection, &name, id)).await,
                None => in_delays(script.create_with_new_dataset(&service.connection, &name)).await,
            });
        }
        let what = format!("dataflow, {what}: latency");
        report.target(
            format!("{what} vs one response"),
            Limit::AtMost(limit),
            Spread::of(by_service.iter().copied()),
        );
        report.figure(format!("{what} vs a script"), ratio(&by_service, &by_script));
        report.figure(format!("{what} of a script vs one response"), Spread::of(by_script));
    }
}

/// Starts the service with its defaults, but without a search before sending, as with a store that has run for long.
async fn start(bench: &Bench, emulator: &Emulator) -> Process {
    let url = emulator.base_url();
    let environment = [
        ("HCS_LISTEN", "127.0.0.1:0"),
        ("HCS_ADMIN_LISTEN", "127.0.0.1:0"),
        ("HCS_FLOW_SERVICE_URL", &*url),
        ("HCS_ORG_ID", ORG_ID),
        ("HCS_CLIENT_ID", CLIENT_ID),
        ("HCS_ACCESS_TOKEN", DEMO_ACCESS_TOKEN),
        ("HCS_SEARCH_FIRST", "never"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Process::start(&bench.arguments.service, &["serve"], &environment, Core::Measured).await
}

impl Service {
    /// Creates a dataflow to this dataset, or else to a new one with a new schema.
    async fn create(&mut self, dataset: Option<&str>) -> DataflowResources {
        self.created += 1;
        let name = format!("contacts {}", self.created);
        let request_id = format!("139f6a5f-a78b-4744-9f6a-{:012x}", self.created);
        let target = match dataset {
            Some(id) => Target::DatasetId(id.to_owned()),
            None => Target::NewDataset(NewDataset {
                name: name.clone(),
                schema: Some(Schema::SchemaFromTable(SchemaFromTable::default())),
                ..NewDataset::default()
            }),
        };
        let schedule = DataflowSchedule { frequency: Frequency::Once.into(), ..DataflowSchedule::default() };
        let request = CreateHubSpotDataflowRequest {
            name,
            connection_id: self.connection.clone(),
            table: TABLE.to_owned(),
            target: Some(target),
            schedule: Some(schedule),
            request_id,
            ..CreateHubSpotDataflowRequest::default()
        };
        let created = self.client.create_hub_spot_dataflow(request).await.unwrap().into_inner();
        created.resources.unwrap()
    }
}

/// How long something takes, as a multiple of the delay.
async fn in_delays<T>(what: impl Future<Output = T>) -> f64 {
    let start = Instant::now();
    what.await;
    start.elapsed().div_duration_f64(DELAY)
}
