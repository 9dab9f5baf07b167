//! The question before something is deleted.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ArgMatches;

use super::Problem;

/// Asks on a terminal whether to delete this, unless `--yes` is given.
pub(super) fn confirm(matches: &ArgMatches, what: &str) -> Result<(), Problem> {
    if matches.get_flag("yes") {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Problem::Usage(
            "deleting needs --yes here, because there is no terminal to ask on".to_owned(),
        ));
    }
    let mut terminal = io::stderr();
    write!(terminal, "Delete {what}? [y/N] ")?;
    terminal.flush()?;
    let mut reply = String::new();
    io::stdin().read_line(&mut reply)?;
    match reply.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Problem::Declined("nothing was deleted")),
    }
}
