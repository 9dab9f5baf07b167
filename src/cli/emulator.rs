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
use crate::emulator::{CLIENT_ID, CLIENT_SECRET, CONTROLS, Control, Emulator, ORG_ID, Options};

pub(super) fn command() -> Command {
    let listen = option("listen", "ADDR", "IP address and port of the emulator");
    let listen = listen.value_parser(value_parser!(SocketAddr)).default_value("127.0.0.1:8080");
    let about = "Run the emulator of Adobe's services alone";
    Command::new("emulator").about(about).arg(listen).after_help(controls())
}

/// What makes it fail, and shows what has arrived.
fn controls() -> String {
    let lines = CONTROLS.iter().map(|Control { route, does, body }| {
        let (method, path) = route.split_once(' ').expect("a route has a method");
        let body = if body.is_empty() { String::new() } else { format!(":\n      {body}") };
        format!("  {method:<6} {path:<21} {does}{body}\n")
    });
    format!(
        "Controls, on the same port (each fault and setting is explained in src/emulator.rs):\n{}\n\
         For example: curl -X PUT -d '{{\"test_result\": false}}' http://127.0.0.1:8080/emulator/settings",
        lines.collect::<String>()
    )
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

curl http://{}/emulator lists what makes it fail. Ctrl-C ends it.
",
        emulator.base_url(),
        emulator.ims_url(),
        emulator.addr(),
    )?;
    signals.received().await;
    emulator.stop().await;
    Ok(())
}
