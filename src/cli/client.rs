//! `connections` and `dataflows`: the client, which calls a running service.
//!
//! A subcommand reads its arguments into a request, [`service::Service`] sends it, and [`output`] prints the response.
//! A creation goes through [`creation`], which retries it with one request id.

mod arguments;
mod confirmation;
mod connections;
mod creation;
mod credentials;
mod dataflows;
mod failure;
mod options;
mod output;
mod page;
mod rpc;
mod service;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{ArgMatches, Command};
use tokio::runtime::Builder;

pub(super) use self::credentials::misplaced as misplaced_secret;
use self::{
    failure::{Failure, Outcome},
    options::Options,
    rpc::Rpc,
    service::Service,
};
use crate::hardening;

/// Why a subcommand did not do what it was asked for.
enum Problem {
    /// The arguments have to be corrected. Nothing was sent.
    Usage(String),
    /// The person at the terminal said no, or pressed Ctrl-C. What was not done.
    Declined(&'static str),
    /// The call failed.
    Call(Box<Failure>),
    /// A check failed, which the printed response shows.
    Check,
    /// The output cannot be written, or the runtime not started.
    Io(io::Error),
}

impl From<String> for Problem {
    fn from(what_to_correct: String) -> Self {
        Self::Usage(what_to_correct)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Call(Box::new(failure))
    }
}

pub(super) fn commands() -> [Command; 2] {
    [connections::command(), dataflows::command()].map(options::with_options)
}

/// Runs a subcommand of `connections` or `dataflows`. `arguments` are those of the process.
pub(super) fn run(
    matches: &ArgMatches,
    arguments: &[OsString],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    // Before any secret is read. A system that refuses it is no reason not to work.
    let _ = hardening::protect_memory();
    let (resource, of_resource) = matches.subcommand().expect("clap requires it");
    let (command, matches) = of_resource.subcommand().expect("clap requires it");
    let outcome = Options::read(matches, environment).map_err(Problem::Usage).and_then(|options| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match resource {
                "connections" => Box::pin(connections::run(command, matches, arguments, &options)).await,
                _ => Box::pin(dataflows::run(command, matches, arguments, &options)).await,
            }
        })
    });
    // If printing fails, no output is left to report it on.
    match outcome {
        Ok(()) => Outcome::Done,
        Err(Problem::Usage(message)) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            Outcome::Usage
        }
        Err(Problem::Declined(what)) => {
            let _ = writeln!(io::stderr(), "{what}");
            Outcome::Other
        }
        Err(Problem::Call(failure)) => {
            let _ = failure.print(output::format(matches));
            failure.outcome()
        }
        Err(Problem::Check) => Outcome::Change,
        Err(Problem::Io(error)) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            Outcome::Other
        }
    }
    .into()
}

/// Calls a method and prints the response.
async fn show<Q: Rpc>(options: &Options, request: Q) -> Result<(), Problem> {
    let done = if Q::METHOD.starts_with("Delete") { "deleted" } else { "none found" };
    let response = Service::new(options)?.call(request).await?;
    Ok(output::print::<Q>(options.format, &response, done)?)
}

/// Exit statuses, as the help of each subcommand shows them.
const EXIT_STATUSES: &str = "Exit status:\n  \
    0   done\n  \
    2   retrying unchanged cannot help: the request, a permission or a precondition must change; or a check failed\n  \
    3   try again later\n  \
    4   the outcome is not known: retry, a creation with the same request id\n  \
    64  wrong arguments\n  \
    1   anything else";
