//! The binary of hubspot-connection-service. Nothing else reads the arguments and the settings of the process.

use std::{env, process::ExitCode};

use hubspot_connection_service::cli;
use mimalloc::MiMalloc;

// A creation costs up to a fifth less CPU than with the allocator of glibc.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(env::args_os(), env::vars_os())
}
