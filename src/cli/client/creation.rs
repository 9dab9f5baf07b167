//! A creation: one request id, printed before the first attempt, and retries that are safe because of it.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    pin::pin,
    time::Duration,
};

use clap::ArgMatches;
use tokio::time::{Instant, interval_at, sleep};
use tonic::Code;

use super::{
    Problem,
    arguments::quoted,
    failure::{Failure, Outcome},
    options::Options,
    output,
    rpc::Rpc,
    service::Service,
};
use crate::{backoff::Backoff, cli::serve::StopSignals, domain::RequestId};

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5), 0.5);
/// How often the remaining time is shown on a terminal.
const TICK: Duration = Duration::from_secs(1);

/// Creates a resource, or with `--dry-run` only checks the creation, and prints the response. `request` makes the
/// request from a request id, which is empty for a check.
pub(super) async fn run<Q: Rpc>(
    matches: &ArgMatches,
    arguments: &[OsString],
    options: &Options,
    request: impl FnOnce(String) -> Q,
) -> Result<(), Problem> {
    let service = Service::new(options)?;
    let dry_run = matches.get_flag("dry-run");
    let response = if dry_run {
        service.call(request(String::new())).await?
    } else {
        let id = request_id(matches);
        create(&service, request(id.to_string()), id, arguments).await?
    };
    output::print::<Q>(options.format, &response, "")?;
    let failed = dry_run && output::has_failed_check::<Q>(&response);
    if failed { Err(Problem::Check) } else { Ok(()) }
}

/// The request id that the arguments have, or a new one.
fn request_id(matches: &ArgMatches) -> RequestId {
    matches.get_one("request-id").copied().unwrap_or_else(RequestId::generate)
}

/// Sends a creation with this request id, and retries it until the outcome is known or the time is over.
/// `arguments` are those of the process, with which the command is resumed.
async fn create<Q: Rpc>(
    service: &Service<'_>,
    request: Q,
    request_id: RequestId,
    arguments: &[OsString],
) -> Result<Q::Response, Problem> {
    let signals = StopSignals::listen()?;
    // Without it nobody could resume the creation, so nothing is sent if it cannot be printed.
    writeln!(io::stderr(), "request id: {request_id}")?;
    let outcome = tokio::select! {
        outcome = retry(service, request) => outcome,
        () = signals.received() => Err(Failure::interrupted()),
    };
    outcome.map_err(|failure| match failure.outcome() {
        Outcome::Later | Outcome::Unknown | Outcome::Other => {
            failure.resumed_by(resume(arguments, request_id)).into()
        }
        Outcome::Change | Outcome::Done | Outcome::Usage => failure.into(),
    })
}

async fn retry<Q: Rpc>(service: &Service<'_>, request: Q) -> Result<Q::Response, Failure> {
    let mut failures = 0;
    let mut after_unknown = false;
    let mut shown: Option<(Code, &str)> = None;
    loop {
        let failure =
            match shown_while(service, "waiting for the response", service.call(request.clone())).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
        failures += 1;
        let left = service.deadline.saturating_duration_since(Instant::now());
        // No sooner than the service says, and never at once.
        let delay = failure.retry_after().map(|delay| delay.max(BACKOFF.pause(failures)));
        let Some(delay) = delay.filter(|delay| *delay < left) else {
            return Err(failure.of_creation(after_unknown));
        };
        after_unknown |= failure.outcome() == Outcome::Unknown;
        // Each problem once, however long it lasts. What cannot be written is not worth ending a creation for.
        let problem = (failure.code(), failure.reason());
        if shown != Some(problem) {
            let _ = writeln!(
                io::stderr(),
                "{} [{}]. Trying again with the same request id",
                failure.message(),
                failure.reason()
            );
            shown = Some(problem);
        }
        shown_while(service, "waiting before the next attempt", sleep(delay)).await;
    }
}

/// Waits, and on a terminal shows for what and how much longer.
async fn shown_while<T>(service: &Service<'_>, what: &str, work: impl Future<Output = T>) -> T {
    let mut terminal = io::stderr();
    if !terminal.is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    // Also when this future is dropped.
    let _clear = ClearLine;
    let mut ticks = interval_at(Instant::now() + TICK, TICK);
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            now = ticks.tick() => {
                let left = service.deadline.saturating_duration_since(now).as_secs();
                let _ = write!(terminal, "\r\x1b[K{what}: at most {left} s more");
            }
        }
    }
}

/// Clears the line of the terminal when it is dropped.
struct ClearLine;

impl Drop for ClearLine {
    fn drop(&mut self) {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// The command that continues with the same request id.
fn resume(arguments: &[OsString], request_id: RequestId) -> String {
    let mut words: Vec<_> = arguments.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    let has_id = words.iter().any(|word| word == "--request-id" || word.starts_with("--request-id="));
    if !has_id {
        words.push(format!("--request-id {request_id}"));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_resumes_a_creation_has_its_request_id_once() {
        let id = RequestId::parse("8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7").unwrap();
        let resumed = |words: &[&str]| resume(&words.iter().map(OsString::from).collect::<Vec<_>>(), id);
        assert_eq!(
            resumed(&["hcs", "connections", "create", "--name", "HubSpot EU"]),
            format!("hcs connections create --name 'HubSpot EU' --request-id {id}")
        );
        for given in [vec!["--request-id", "x"], vec!["--request-id=x"]] {
            assert_eq!(resumed(&given), given.join(" "));
        }
    }
}
