//! The calls of the demo: it creates, lists, explores and tests a connection, and brings a table in with a dataflow,
//! through a socket, with the generated clients, as any caller would.

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
};

use tonic::transport::{Channel, Endpoint};

use super::dataflow;
use crate::{
    domain::RequestId,
    proto::{
        Check, CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, GetHubSpotTableRequest,
        HubSpotCredentials, ListHubSpotConnectionsRequest, ListHubSpotTablesRequest,
        TestHubSpotConnectionRequest, hub_spot_connection_service_client::HubSpotConnectionServiceClient,
    },
};

type Client = HubSpotConnectionServiceClient<Channel>;

/// A table that HubSpot has.
pub(super) const TABLE: &str = "Hubspot.Contacts";

/// What the tour has created, by its ID.
pub(super) struct Toured {
    pub(super) connection: String,
    pub(super) dataflow: String,
}

/// Makes the calls and prints the responses.
pub(super) async fn tour(grpc: SocketAddr) -> Result<Toured, Box<dyn Error>> {
    let channel = Endpoint::new(format!("http://{grpc}"))?.connect().await?;
    let mut client = Client::new(channel.clone());
    dry_run(&mut client).await?;
    let created = client.create_hub_spot_connection(creation(RequestId::generate())).await?.into_inner();
    show_created(&created)?;
    list(&mut client).await?;
    explore(&mut client, &created.id).await?;
    test(&mut client, &created.id).await?;
    let dataflow = dataflow::bring_in(channel, &created.id).await?;
    Ok(Toured { connection: created.id, dataflow })
}

fn creation(request_id: RequestId) -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest {
        request_id: request_id.to_string(),
        name: "connection for HubSpot".to_owned(),
        credentials: Some(HubSpotCredentials {
            client_id: "demo-hubspot-client".to_owned(),
            client_secret: "demo-hubspot-secret".to_owned(),
            access_token: "demo-hubspot-access-token".to_owned(),
            refresh_token: "demo-hubspot-refresh-token".to_owned(),
        }),
        ..CreateHubSpotConnectionRequest::default()
    }
}

fn show_created(response: &CreateHubSpotConnectionResponse) -> io::Result<()> {
    let CreateHubSpotConnectionResponse { id, etag, request_id, replayed: _, test: _, checks: _ } = response;
    let lines = [("id", id), ("etag", etag), ("request_id", request_id)];
    show("CreateHubSpotConnection returned", lines.map(|(name, value)| format!("{name:<10} {value}")))
}

pub(super) fn show(title: &str, lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{title}:")?;
    lines.into_iter().try_for_each(|line| writeln!(out, "  {line}"))
}

async fn list(client: &mut Client) -> Result<(), Box<dyn Error>> {
    let listed = client.list_hub_spot_connections(ListHubSpotConnectionsRequest::default()).await?;
    let lines = listed.into_inner().connections.into_iter().map(|connection| {
        let state = short(connection.state().as_str_name(), "CONNECTION_STATE_");
        format!("{} {state} {:?}", connection.id, connection.name)
    });
    Ok(show("ListHubSpotConnections returned", lines)?)
}

async fn explore(client: &mut Client, id: &str) -> Result<(), Box<dyn Error>> {
    let request = ListHubSpotTablesRequest { id: id.to_owned(), ..ListHubSpotTablesRequest::default() };
    let listed = client.list_hub_spot_tables(request).await?.into_inner();
    let tables: Vec<_> = listed.tables.into_iter().map(|table| table.path).collect();
    show("ListHubSpotTables returned", [tables.join(", ")])?;

    let (id, table) = (id.to_owned(), TABLE.to_owned());
    let request = GetHubSpotTableRequest { id, table, ..GetHubSpotTableRequest::default() };
    let table = client.get_hub_spot_table(request).await?.into_inner();
    let columns: Vec<_> = table.columns.into_iter().map(|column| column.name).collect();
    Ok(show(&format!("GetHubSpotTable returned for {TABLE}"), [columns.join(", ")])?)
}

async fn test(client: &mut Client, id: &str) -> Result<(), Box<dyn Error>> {
    let request =
        TestHubSpotConnectionRequest { id: id.to_owned(), ..TestHubSpotConnectionRequest::default() };
    let tested = client.test_hub_spot_connection(request).await?.into_inner();
    Ok(show("TestHubSpotConnection returned", checks(tested.result.unwrap_or_default().checks))?)
}

/// Asks Adobe and HubSpot about the creation first.
async fn dry_run(client: &mut Client) -> Result<(), Box<dyn Error>> {
    let request = CreateHubSpotConnectionRequest { validate_only: true, ..creation(RequestId::generate()) };
    let response = client.create_hub_spot_connection(request).await?.into_inner();
    Ok(show("CreateHubSpotConnection with validate_only returned", checks(response.checks))?)
}

fn checks(checks: Vec<Check>) -> impl Iterator<Item = String> {
    checks.into_iter().map(|check| {
        let state = short(check.state().as_str_name(), "STATE_");
        format!("{state} {:21} {}", check.name, check.message)
    })
}

/// An enum value in lower case, without the prefix of its enum.
pub(super) fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}
