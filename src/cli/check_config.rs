//! `check-config`: whether `serve` would accept the configuration, and what is in effect.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use super::{BAD_USAGE, load};
use crate::config::Flags;

/// Prints the configuration in effect without its secrets, and what the service waits for before it is ready.
/// Warnings go to stderr. The exit status is 0, or 64 after every problem has been printed.
pub(super) fn run(environment: impl IntoIterator<Item = (OsString, OsString)>, flags: Flags) -> ExitCode {
    let Some(loaded) = load(environment, flags) else { return ExitCode::from(BAD_USAGE) };
    for warning in &loaded.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    // `println!` would panic if the reader has closed the pipe.
    let needs: Vec<_> = loaded.config.needs().iter().collect();
    let printed =
        writeln!(io::stdout(), "{}# NOT_SERVING until there was {}", loaded.effective, needs.join(", and "));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
