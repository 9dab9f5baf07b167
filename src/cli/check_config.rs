//! `check-config`: says whether `serve` would accept the configuration, and what it comes to.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::config::Flags;

/// Prints the configuration in effect, without its secrets, and exits with 0; or lists every
/// problem on stderr and exits with 64.
pub fn run(environment: impl IntoIterator<Item = (OsString, OsString)>, flags: Flags) -> ExitCode {
    let loaded = match super::load(environment, flags) {
        Ok(loaded) => loaded,
        Err(exit_code) => return exit_code,
    };
    // The reader may have closed the pipe, which is no reason to panic.
    match write!(io::stdout(), "{}", loaded.effective) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
