//! `completions`: prints the completions of a shell.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Arg, ArgMatches, Command};
use clap_complete::{Shell, generate};

use super::failed;

pub(super) fn command() -> Command {
    let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(["bash", "zsh", "fish"]);
    Command::new("completions")
        .about("Print completions for a shell")
        .arg(shell.help("Shell to print them for"))
        .after_help("For bash: source <(hubspot-connection-service completions bash)")
}

pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let shell = match matches.get_one::<String>("shell").map(String::as_str) {
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        Some(_) | None => Shell::Bash,
    };
    // The generator panics if it cannot write, and a buffer can always be written to.
    let mut completions = Vec::new();
    generate(shell, &mut super::command(), env!("CARGO_PKG_NAME"), &mut completions);
    match io::stdout().write_all(&completions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}
