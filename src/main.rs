//! The binary of hubspot-connection-service: the command line, each subcommand's function, and the
//! exit status. The process environment is read here and nowhere else.

use std::{env, process::ExitCode};

use hubspot_connection_service::cli::{self, Command};

fn main() -> ExitCode {
    let command = match cli::parse(env::args_os()) {
        Ok(command) => command,
        Err(error) => return cli::explain(&error),
    };
    match command {
        Command::CheckConfig(flags) => cli::check_config::run(env::vars_os(), flags),
        Command::Serve(_) => not_wired("serve"),
        Command::Health { .. } => not_wired("health"),
        #[cfg(feature = "emulator")]
        Command::Demo { .. } => not_wired("demo"),
        #[cfg(feature = "emulator")]
        Command::Emulator { .. } => not_wired("emulator"),
    }
}

#[expect(clippy::print_stderr, reason = "the answer of a command line")]
fn not_wired(subcommand: &str) -> ExitCode {
    eprintln!("error: {subcommand} is not wired");
    ExitCode::FAILURE
}
