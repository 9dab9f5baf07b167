//! The binary of hubspot-connection-service: the command line, each subcommand's function, and the
//! exit status. The settings in the process environment are read here and nowhere else.

use std::{env, process::ExitCode};

use hubspot_connection_service::cli::{self, Command};
use mimalloc::MiMalloc;

// A creation costs up to a fifth less than with the allocator of glibc: see the README, "Performance".
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let command = match cli::parse(env::args_os()) {
        Ok(command) => command,
        Err(error) => return cli::explain(&error),
    };
    match command {
        Command::Serve(flags) => cli::serve::run(env::vars_os(), flags),
        Command::CheckConfig(flags) => cli::check_config::run(env::vars_os(), flags),
        Command::Health { address } => cli::health::run(address),
        #[cfg(feature = "emulator")]
        Command::Demo { once } => cli::demo::run(once),
        #[cfg(feature = "emulator")]
        Command::DemoAt { address, request_id } => cli::demo::run_at(address, request_id),
        #[cfg(feature = "emulator")]
        Command::Emulator { listen } => cli::emulator::run(listen),
    }
}
