//! `demo`: the service against an emulator, and one creation through it.

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

use super::{failed, serve::StopSignals};
use crate::{
    app::App,
    config::{Config, Flags, LogFormat},
    emulator::{self, Emulator},
    grpc::SERVICE_NAME,
    proto::{
        CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, HubSpotCredentials,
        hub_spot_connection_service_client::HubSpotConnectionServiceClient,
    },
    telemetry::{self, LogOutput},
};

const GRPC_PORT: u16 = 50051;
const ADMIN_PORT: u16 = 9090;
const EMULATOR_PORT: u16 = 8080;

/// Runs the demo until Ctrl-C, or until the answer is there with `once`. The exit status is 0 if
/// there was one.
pub fn run(once: bool) -> ExitCode {
    match Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(demo(once))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

async fn demo(once: bool) -> Result<(), Box<dyn Error>> {
    let signals = StopSignals::listen()?;
    let port = |port: u16| if once { 0 } else { port };
    let emulator = Emulator::start(listen(port(EMULATOR_PORT)).await?, emulator::Options::default());
    let config = configuration(&emulator)?;
    telemetry::start(&config.log, LogOutput::Stderr)?;
    let app = App::on(listen(port(GRPC_PORT)).await?, listen(port(ADMIN_PORT)).await?, &config).await?;
    let (grpc, admin) = (app.grpc_address()?, app.admin_address()?);

    let (stop, stopped) = oneshot::channel::<()>();
    let app = tokio::spawn(app.run(async {
        // Either way the demo is over.
        let _ = stopped.await;
    }));
    let answer = create(grpc).await?;
    introduce(&answer, grpc, admin, emulator.addr())?;
    if !once {
        signals.received().await;
    }
    drop(stop);
    app.await?;
    Ok(())
}

/// Opens a port on loopback: this one, or where it is taken any other.
async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            writeln!(io::stderr(), "port {port} is in use: taking another one")?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
        }
        result => result,
    }
}

fn configuration(emulator: &Emulator) -> Result<Config, Box<dyn Error>> {
    let environment = [
        ("HCS_FLOW_SERVICE_URL", emulator.base_url()),
        ("HCS_IMS_URL", emulator.ims_url()),
        ("HCS_ORG_ID", emulator::ORG_ID.to_owned()),
        ("HCS_CLIENT_ID", emulator::CLIENT_ID.to_owned()),
        ("HCS_CLIENT_SECRET", emulator::CLIENT_SECRET.to_owned()),
        ("HCS_DRAIN_DELAY", "0s".to_owned()),
        ("HCS_LOG", "error".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Ok(Config::load(environment, Flags::default(), LogFormat::Text)?.config)
}

/// Creates a connection as any caller would: through a socket, with the generated client.
async fn create(grpc: SocketAddr) -> Result<CreateHubSpotConnectionResponse, Box<dyn Error>> {
    let mut client = HubSpotConnectionServiceClient::connect(format!("http://{grpc}")).await?;
    let request = CreateHubSpotConnectionRequest {
        name: "connection for HubSpot".to_owned(),
        credentials: Some(HubSpotCredentials {
            client_id: "demo-hubspot-client".to_owned(),
            client_secret: "demo-hubspot-secret".to_owned(),
            access_token: "demo-hubspot-access-token".to_owned(),
            refresh_token: "demo-hubspot-refresh-token".to_owned(),
        }),
        ..CreateHubSpotConnectionRequest::default()
    };
    Ok(client.create_hub_spot_connection(request).await?.into_inner())
}

/// What goes into the grpcurl call that is printed, which the README shows too: the JSON names are
/// those of Adobe's tutorial.
const REQUEST_JSON: &str = r#"{
  "name": "another connection for HubSpot",
  "credentials": {
    "clientId": "demo-hubspot-client",
    "clientSecret": "demo-hubspot-secret",
    "accessToken": "demo-hubspot-access-token",
    "refreshToken": "demo-hubspot-refresh-token"
  }
}"#;

fn grpcurl_create(grpc: &str) -> String {
    format!("grpcurl -plaintext -d '{REQUEST_JSON}' {grpc} {SERVICE_NAME}/CreateHubSpotConnection")
}

fn introduce(
    answer: &CreateHubSpotConnectionResponse,
    grpc: SocketAddr,
    admin: SocketAddr,
    emulator: SocketAddr,
) -> io::Result<()> {
    let CreateHubSpotConnectionResponse { id, etag, request_id, replayed: _, test: _ } = answer;
    let create = grpcurl_create(&grpc.to_string());
    write!(
        io::stdout(),
        "\
CreateHubSpotConnection answered:
  id         {id}
  etag       {etag}
  request_id {request_id}

The service listens on {grpc} (gRPC) and {admin} (admin), the Flow Service emulator on {emulator}.

See what it offers, create another connection, see what the emulator has, ask for the health:

grpcurl -plaintext {grpc} list
grpcurl -plaintext {grpc} describe hubspot_connection.v1.CreateHubSpotConnectionRequest
{create}
curl http://{emulator}/emulator/connections
curl http://{admin}/readyz
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_shows_the_call_that_the_demo_prints() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&grpcurl_create(&format!("localhost:{GRPC_PORT}"))));
    }
}
