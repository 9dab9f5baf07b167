//! `demo`: runs the service against an emulator, creates a connection and brings data in with a dataflow.

mod dataflow;
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
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::tour::Toured;
use super::{block_on, serve::StopSignals};
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
/// The only setting that the demo takes from its environment.
const LOG: &str = "HCS_LOG";

pub(super) fn command() -> Command {
    let ports = [
        ("listen", "of gRPC", GRPC_PORT),
        ("admin-listen", "of health and metrics", ADMIN_PORT),
        ("emulator-listen", "of the emulator of Adobe", EMULATOR_PORT),
    ];
    let ports = ports.map(|(name, of, port)| {
        let help = format!("Address on loopback and port {of} [default: 127.0.0.1:{port}, or another one where that is in use]");
        Arg::new(name).long(name).value_name("ADDR").value_parser(loopback).help(help)
    });
    let once = Arg::new("once")
        .long("once")
        .action(ArgAction::SetTrue)
        .help("End after the first run of the dataflow");
    Command::new("demo")
        .about("Run the service against an emulator; create a connection, bring data in with it; stay up")
        .arg(once)
        .args(ports)
        .after_help("HCS_LOG=info shows the log of the service.")
}

/// The demo has no TLS and checks no caller.
fn loopback(text: &str) -> Result<SocketAddr, &'static str> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or("must be an address on loopback and a port, as in 127.0.0.1:50051")
}

/// Where to listen.
struct Ports {
    grpc: Port,
    admin: Port,
    emulator: Port,
}

enum Port {
    /// This one or none.
    Given(SocketAddr),
    /// This one, or another one if it is in use.
    Preferred(u16),
}

impl Ports {
    fn of(matches: &ArgMatches) -> Self {
        let once = matches.get_flag("once");
        let port = |name, preferred| match matches.get_one(name) {
            Some(given) => Port::Given(*given),
            None if once => Port::Given((Ipv4Addr::LOCALHOST, 0).into()),
            None => Port::Preferred(preferred),
        };
        Self {
            grpc: port("listen", GRPC_PORT),
            admin: port("admin-listen", ADMIN_PORT),
            emulator: port("emulator-listen", EMULATOR_PORT),
        }
    }
}

/// Runs the demo until Ctrl-C, or with `--once` until the dataflow has run. The exit status is 0 if every call succeeded.
pub(super) fn run(
    program: &str,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    matches: &ArgMatches,
) -> ExitCode {
    let log = environment.into_iter().find(|(name, value)| name == LOG && !value.is_empty());
    let status =
        block_on(demo(program, matches.get_flag("once"), Ports::of(matches), log.map(|(_, filter)| filter)));
    telemetry::finish();
    status
}

async fn demo(program: &str, once: bool, ports: Ports, log: Option<OsString>) -> Result<(), Box<dyn Error>> {
    let signals = StopSignals::listen()?;
    let emulator = Emulator::start(listen(ports.emulator).await?, emulator::Options::default());
    let config = configuration(&emulator, log)?;
    telemetry::start(&config.log, LogOutput::Stderr)?;
    let app = App::on(listen(ports.grpc).await?, listen(ports.admin).await?, &config).await?;
    let (grpc, admin) = (app.grpc_address()?, app.admin_address()?);

    let stop = CancellationToken::new();
    let app = tokio::spawn(app.run(stop.clone().cancelled_owned()));
    let toured = tour::tour(grpc).await?;
    if !once {
        introduce(program, &toured, grpc, admin, emulator.addr())?;
        signals.received().await;
    }
    stop.cancel();
    app.await?;
    Ok(())
}

async fn listen(port: Port) -> Result<TcpListener, Box<dyn Error>> {
    let (address, listener) = match port {
        Port::Given(address) => (address, TcpListener::bind(address).await),
        Port::Preferred(port) => {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let listener = match TcpListener::bind(address).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    writeln!(io::stderr(), "port {port} is in use: taking another one")?;
                    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
                }
                result => result,
            };
            (address, listener)
        }
    };
    Ok(listener.map_err(|error| format!("cannot listen on {address}: {error}"))?)
}

fn configuration(emulator: &Emulator, log: Option<OsString>) -> Result<Config, Box<dyn Error>> {
    let environment = [
        ("HCS_FLOW_SERVICE_URL", emulator.base_url()),
        ("HCS_HUBSPOT_URL", emulator.hubspot_url()),
        ("HCS_IMS_URL", emulator.ims_url()),
        ("HCS_ORG_ID", emulator::ORG_ID.to_owned()),
        ("HCS_CLIENT_ID", emulator::CLIENT_ID.to_owned()),
        ("HCS_CLIENT_SECRET", emulator::CLIENT_SECRET.to_owned()),
        ("HCS_DRAIN_DELAY", "0s".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let log = log.unwrap_or_else(|| "error,audit=off".into());
    let environment = environment.into_iter().chain([(LOG.into(), log)]);
    Ok(Config::load(environment, Flags::default(), LogFormat::Text)?.config)
}

/// Prints what to try next.
fn introduce(
    program: &str,
    toured: &Toured,
    grpc: SocketAddr,
    admin: SocketAddr,
    emulator: SocketAddr,
) -> io::Result<()> {
    let Toured { connection, dataflow } = toured;
    let target = grpc.to_string();
    let create = grpcurl::create(&target, RequestId::generate());
    let create_dataflow = grpcurl::create_dataflow(&target, connection, RequestId::generate());
    write!(
        io::stdout(),
        "
The service listens on {grpc} (gRPC) and {admin} (admin), the emulator of Adobe on {emulator}.

See what there is, with the client:

export HCS_CLIENT_ADDRESS=http://{grpc}
{program} connections list
{program} connections test {connection}
{program} dataflows runs {dataflow}

See what the service offers, and create another connection, with grpcurl. Run the creation again: the response
has the same connection, replayed.

grpcurl -plaintext {grpc} list
grpcurl -plaintext {grpc} describe hubspot_connection.v1.CreateHubSpotConnectionRequest
{create}

Bring in another table with the first connection. It runs a minute later.

{create_dataflow}

proto/README.md has a call for each method, and takes the IDs from variables:

ID={connection}
DATAFLOW={dataflow}

See what the emulator has, make the test of a connection fail, and see what else can fail:

curl http://{emulator}/emulator/ledger
curl -X PUT -d '{{\"test_result\": false}}' http://{emulator}/emulator/settings
curl http://{emulator}/emulator

HCS_LOG=info in the environment shows the log. Ctrl-C ends the demo.
"
    )
}
