//! The calls of the demo: it creates, lists, explores and tests a connection through a socket, with the generated
//! client, as any caller would.

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
};

use tonic::transport::Channel;

use crate::{
    domain::RequestId,
    proto::{
        CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, GetHubSpotTableRequest,
        HubSpotCredentials, ListHubSpotConnectionsRequest, ListHubSpotTablesRequest,
        TestHubSpotConnectionRequest, hub_spot_connection_service_client::HubSpotConnectionServiceClient,
    },
};

pub(super) type Client = HubSpotConnectionServiceClient<Channel>;

/// A table that HubSpot has.
pub(super) const TABLE: &str = "Hubspot.Contacts";

/// Makes the calls and prints the responses. Returns the ID of the connection.
pub(super) async fn tour(grpc: SocketAddr) -> Result<String, Box<dyn Error>> {
    let mut client = Client::connect(format!("http://{grpc}")).await?;
    let id = create(&mut client).await?;
    list(&mut client).await?;
    explore(&mut client, &id).await?;
    test(&mut client, &id).await?;
    Ok(id)
}

async fn create(client: &mut Client) -> Result<String, Box<dyn Error>> {
    let creation = creation(RequestId::generate());
    let response = client.create_hub_spot_connection(creation).await?.into_inner();
    show_created(&response)?;
    Ok(response.id)
}

pub(super) fn creation(request_id: RequestId) -> CreateHubSpotConnectionRequest {
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

pub(super) fn show_created(response: &CreateHubSpotConnectionResponse) -> io::Result<()> {
    let CreateHubSpotConnectionResponse { id, etag, request_id, replayed: _, test: _ } = response;
    write!(
        io::stdout(),
        "\
CreateHubSpotConnection returned:
  id         {id}
  etag       {etag}
  request_id {request_id}
"
    )
}

async fn list(client: &mut Client) -> Result<(), Box<dyn Error>> {
    let request = ListHubSpotConnectionsRequest::default();
    let listed = client.list_hub_spot_connections(request).await?.into_inner();
    let mut out = io::stdout().lock();
    writeln!(out, "ListHubSpotConnections returned:")?;
    for connection in listed.connections {
        let state = short(connection.state().as_str_name(), "CONNECTION_STATE_");
        writeln!(out, "  {} {state} {:?}", connection.id, connection.name)?;
    }
    Ok(())
}

async fn explore(client: &mut Client, id: &str) -> Result<(), Box<dyn Error>> {
    let request = ListHubSpotTablesRequest { id: id.to_owned(), ..ListHubSpotTablesRequest::default() };
    let listed = client.list_hub_spot_tables(request).await?.into_inner();
    let tables: Vec<_> = listed.tables.into_iter().map(|table| table.path).collect();

    let request = GetHubSpotTableRequest {
        id: id.to_owned(),
        table: TABLE.to_owned(),
        ..GetHubSpotTableRequest::default()
    };
    let table = client.get_hub_spot_table(request).await?.into_inner();
    let columns: Vec<_> = table.columns.into_iter().map(|column| column.name).collect();
    write!(
        io::stdout(),
        "\
ListHubSpotTables returned:
  {}
GetHubSpotTable returned for {TABLE}:
  {}
",
        tables.join(", "),
        columns.join(", ")
    )?;
    Ok(())
}

async fn test(client: &mut Client, id: &str) -> Result<(), Box<dyn Error>> {
    let request =
        TestHubSpotConnectionRequest { id: id.to_owned(), ..TestHubSpotConnectionRequest::default() };
    let tested = client.test_hub_spot_connection(request).await?.into_inner();
    let mut out = io::stdout().lock();
    writeln!(out, "TestHubSpotConnection returned:")?;
    for check in tested.result.unwrap_or_default().checks {
        let state = short(check.state().as_str_name(), "STATE_");
        writeln!(out, "  {state} {:15} {}", check.name, check.message)?;
    }
    Ok(())
}

/// An enum value in lower case, without the prefix of its enum.
fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}
