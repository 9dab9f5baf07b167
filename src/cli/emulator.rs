//! `emulator`: the Flow Service emulator alone.

use std::{
    error::Error,
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
};

use clap::{ArgMatches, Command, value_parser};
use tokio::net::TcpListener;

use super::{block_on, option, serve::StopSignals, value};
use crate::emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, ORG_ID, Options};

pub(super) fn command() -> Command {
    let listen = option("listen", "ADDR", "IP address and port of the emulator");
    let listen = listen.value_parser(value_parser!(SocketAddr)).default_value("127.0.0.1:8080");
    Command::new("emulator").about("Run the Flow Service emulator alone").arg(listen)
}

/// Runs the emulator until Ctrl-C.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    block_on(emulate(value(matches, "listen")))
}

async fn emulate(listen: SocketAddr) -> Result<(), Box<dyn Error>> {
    let signals = StopSignals::listen()?;
    let listener = TcpListener::bind(listen).await;
    let listener = listener.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let emulator = Emulator::start(listener, Options::default());
    write!(
        io::stdout(),
        "\
The Flow Service emulator listens. A service uses it with

HCS_FLOW_SERVICE_URL={}
HCS_IMS_URL={}
HCS_ORG_ID={ORG_ID}
HCS_CLIENT_ID={CLIENT_ID}
HCS_CLIENT_SECRET={CLIENT_SECRET}
",
        emulator.base_url(),
        emulator.ims_url(),
    )?;
    signals.received().await;
    emulator.stop().await;
    Ok(())
}
