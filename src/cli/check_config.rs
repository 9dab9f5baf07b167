//! `check-config`: says whether `serve` would accept the configuration, and what it comes to.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::config::Flags;

/// Prints the configuration in effect, without its secrets, and what a service with it waits for until it is
/// ready, and on stderr what is ignored, and exits with 0; or lists every problem on stderr and exits with 64.
pub fn run(environment: impl IntoIterator<Item = (OsString, OsString)>, flags: Flags) -> ExitCode {
    let loaded = match super::load(environment, flags) {
        Ok(loaded) => loaded,
        Err(exit_code) => return exit_code,
    };
    for warning in &loaded.warnings {
        // Nobody is left to tell when printing fails.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    // The reader may have closed the pipe, which is no reason to panic.
    let needs: Vec<_> = loaded.config.needs().iter().collect();
    let printed =
        writeln!(io::stdout(), "{}# NOT_SERVING until there was {}", loaded.effective, needs.join(", and "));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
