//! The second part of the tour: a dataflow brings the contacts into a new dataset.

use std::{
    error::Error,
    io::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prost_types::Timestamp;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use super::tour::{TABLE, short, show};
use crate::{
    domain::RequestId,
    proto::{
        CreateHubSpotDataflowRequest, CreateHubSpotDataflowResponse, DataflowSchedule, DeltaColumn,
        HubSpotDataflowRun, ListHubSpotDataflowRunsRequest, NewDataset, RunState, SchemaFromTable,
        create_hub_spot_dataflow_request::Target, dataflow_schedule::Frequency,
        hub_spot_dataflow_service_client::HubSpotDataflowServiceClient, new_dataset::Schema,
    },
};

type Client = HubSpotDataflowServiceClient<Channel>;

/// Far enough ahead that the creation is certainly done by then.
const STARTS_IN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
/// The longest wait for the first run.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates a dataflow, waits for its first run, and prints both. Returns the ID of the dataflow.
pub(super) async fn bring_in(channel: Channel, connection: &str) -> Result<String, Box<dyn Error>> {
    let mut client = Client::new(channel);
    let created = client.create_hub_spot_dataflow(creation(connection)?).await?.into_inner();
    show_created(&created)?;
    writeln!(io::stdout(), "Waiting for the first run, which starts in {} seconds.", STARTS_IN.as_secs())?;
    show_run(&first_run(&mut client, &created.id).await?)?;
    Ok(created.id)
}

/// Every hour, beginning with everything that the table has.
fn creation(connection: &str) -> Result<CreateHubSpotDataflowRequest, Box<dyn Error>> {
    let start = SystemTime::now().duration_since(UNIX_EPOCH)? + STARTS_IN;
    let dataset = NewDataset {
        name: "HubSpot contacts".to_owned(),
        schema: Some(Schema::SchemaFromTable(SchemaFromTable::default())),
        ..NewDataset::default()
    };
    let schedule = DataflowSchedule {
        frequency: Frequency::Hour.into(),
        interval: 1,
        start_time: Some(Timestamp { seconds: start.as_secs().try_into()?, nanos: 0 }),
        delta_column: Some(DeltaColumn { name: "Added_At".to_owned(), ..DeltaColumn::default() }),
        ..DataflowSchedule::default()
    };
    Ok(CreateHubSpotDataflowRequest {
        request_id: RequestId::generate().to_string(),
        name: "contacts from HubSpot".to_owned(),
        connection_id: connection.to_owned(),
        table: TABLE.to_owned(),
        target: Some(Target::NewDataset(dataset)),
        schedule: Some(schedule),
        ..CreateHubSpotDataflowRequest::default()
    })
}

fn show_created(response: &CreateHubSpotDataflowResponse) -> io::Result<()> {
    let resources = response.resources.clone().unwrap_or_default();
    let identifiers =
        [("id", &response.id), ("dataset", &resources.dataset_id), ("schema", &resources.schema_id)];
    let mapped =
        response.mappings.iter().map(|mapping| format!("{} to {}", mapping.source, mapping.destination));
    let identifiers = identifiers.into_iter().map(|(name, value)| format!("{name:<10} {value}"));
    show("CreateHubSpotDataflow returned", identifiers.chain(mapped))
}

async fn first_run(client: &mut Client, dataflow: &str) -> Result<HubSpotDataflowRun, Box<dyn Error>> {
    let give_up = Instant::now() + RUN_TIMEOUT;
    let request = ListHubSpotDataflowRunsRequest {
        id: dataflow.to_owned(),
        ..ListHubSpotDataflowRunsRequest::default()
    };
    loop {
        let listed = client.list_hub_spot_dataflow_runs(request.clone()).await?.into_inner();
        let has_ended = |run: &HubSpotDataflowRun| {
            matches!(run.state(), RunState::Succeeded | RunState::PartiallySucceeded | RunState::Failed)
        };
        match listed.runs.into_iter().find(has_ended) {
            Some(run) => return Ok(run),
            None if Instant::now() > give_up => return Err("the dataflow did not run within a minute".into()),
            None => sleep(PAUSE).await,
        }
    }
}

fn show_run(run: &HubSpotDataflowRun) -> io::Result<()> {
    let state = short(run.state().as_str_name(), "RUN_STATE_");
    let count = |count: Option<i64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let (read, written, failed) =
        (count(run.input_records), count(run.output_records), count(run.failed_records));
    show(
        "ListHubSpotDataflowRuns returned",
        [format!("{state}: {read} records read, {written} written, {failed} failed")],
    )
}
