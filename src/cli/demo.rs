//! `demo`: runs the service against an emulator, creates a connection and brings data in with a dataflow; or creates a
//! connection through a running service.

mod dataflow;
mod elsewhere;
mod grpcurl;
mod tour;

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use http::Uri;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::tour::Toured;
use super::{block_on, http_url, option, serve::StopSignals};
use crate::{
    app::App,
    config::{Config, Flags},
    domain::RequestId,
    emulator::{self, Emulator},
    telemetry::{self, LogFormat, LogOutput},
};

const GRPC_PORT: u16 = 50051;
const ADMIN_PORT: u16 = 9090;
const EMULATOR_PORT: u16 = 8080;

pub(super) fn command() -> Command {
    let once = Arg::new("once")
        .long("once")
        .action(ArgAction::SetTrue)
        .help("End after the first run of the dataflow");
    let address = "Only create a connection, through the service with this plaintext gRPC port; wait for it";
    let address = option("address", "URL", address).value_parser(http_url).conflicts_with("once");
    let request_id = "Request id of that creation: the same one makes the same connection";
    let request_id = option("request-id", "UUID", request_id).value_parser(RequestId::parse);
    Command::new("demo")
        .about("Run the service against an emulator; create a connection, bring data in with it; stay up")
        .args([once, address, request_id.requires("address")])
}

/// Runs the demo until Ctrl-C, or with `--once` until the dataflow has run; or with `--address` waits for a service and
/// creates a connection through it. The exit status is 0 if every call succeeded.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    if let Some(address) = matches.get_one::<Uri>("address") {
        let request_id = matches.get_one("request-id").copied().unwrap_or_else(RequestId::generate);
        return block_on(elsewhere::create(address.clone(), request_id));
    }
    let status = block_on(demo(matches.get_flag("once")));
    telemetry::finish();
    status
}

async fn demo(once: bool) -> Result<(), Box<dyn Error>> {
    let signals = StopSignals::listen()?;
    let port = |port: u16| if once { 0 } else { port };
    let emulator = Emulator::start(listen(port(EMULATOR_PORT)).await?, emulator::Options::default());
    let config = configuration(&emulator)?;
    telemetry::start(&config.log, LogOutput::Stderr)?;
    let app = App::on(listen(port(GRPC_PORT)).await?, listen(port(ADMIN_PORT)).await?, &config).await?;
    let (grpc, admin) = (app.grpc_address()?, app.admin_address()?);

    let stop = CancellationToken::new();
    let app = tokio::spawn(app.run(stop.clone().cancelled_owned()));
    let toured = tour::tour(grpc).await?;
    if !once {
        introduce(&toured, grpc, admin, emulator.addr())?;
        signals.received().await;
    }
    stop.cancel();
    app.await?;
    Ok(())
}

/// Opens this port on loopback, or another one if it is in use.
async fn listen(port: u16) -> Result<TcpListener, Box<dyn Error>> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            writeln!(io::stderr(), "port {port} is in use: taking another one")?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
        }
        result => result,
    };
    Ok(listener.map_err(|error| format!("cannot listen on {}:{port}: {error}", Ipv4Addr::LOCALHOST))?)
}

fn configuration(emulator: &Emulator) -> Result<Config, Box<dyn Error>> {
    let environment = [
        ("HCS_FLOW_SERVICE_URL", emulator.base_url()),
        ("HCS_IMS_URL", emulator.ims_url()),
        ("HCS_ORG_ID", emulator::ORG_ID.to_owned()),
        ("HCS_CLIENT_ID", emulator::CLIENT_ID.to_owned()),
        ("HCS_CLIENT_SECRET", emulator::CLIENT_SECRET.to_owned()),
        ("HCS_DRAIN_DELAY", "0s".to_owned()),
        ("HCS_LOG", "error,audit=off".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Ok(Config::load(environment, Flags::default(), LogFormat::Text)?.config)
}

/// Prints what to try next.
fn introduce(toured: &Toured, grpc: SocketAddr, admin: SocketAddr, emulator: SocketAddr) -> io::Result<()> {
    let Toured { connection, dataflow } = toured;
    let target = grpc.to_string();
    let create = grpcurl::create(&target, RequestId::generate());
    let others = grpcurl::others(&target, connection, grpcurl::CREDENTIALS, RequestId::generate()).join("\n");
    let dataflow_request = RequestId::generate();
    let create_dataflow = grpcurl::create_dataflow(&target, connection, dataflow_request);
    let dataflows = grpcurl::dataflows(&target, connection, dataflow, dataflow_request).join("\n");
    let delete = grpcurl::delete(&target, connection);
    write!(
        io::stdout(),
        "
The service listens on {grpc} (gRPC) and {admin} (admin), the emulator of Adobe on {emulator}.

See what it offers, and create another connection. Run the creation again: the response has the same
connection, replayed.

grpcurl -plaintext {grpc} list
grpcurl -plaintext {grpc} describe hubspot_connection.v1.CreateHubSpotConnectionRequest
{create}

Bring in another table with the first connection. It runs a minute later.

{create_dataflow}

The calls in README.md and proto/README.md take the IDs from variables:

ID={connection}
DATAFLOW={dataflow}

Read, test, explore and change the first connection:

{others}

See the first dataflow and its runs, check another one, pause and resume the first, and in the end delete both:

{dataflows}

Delete the connection, which no dataflow uses any more:

{delete}

See what the emulator has, and ask for the health:

curl http://{emulator}/emulator/ledger
curl http://{emulator}/emulator/connections
curl http://{admin}/readyz
"
    )
}
