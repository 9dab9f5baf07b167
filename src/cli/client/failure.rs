//! A call that failed: what happened, what to do, whether a retry can help, and the exit status.

mod lost;

use std::{
    error::Error,
    fmt,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use http::Uri;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use self::lost::Lost;
use super::output::{self, Format};
use crate::{cli::BAD_USAGE, proto::ErrorReason as Reason};

/// The domain of the reasons of this service.
const DOMAIN: &str = "hubspot-connection-service";
const FOREIGN: &str =
    "This error is not from the service: check --address and what is between here and there";

/// How a subcommand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Retrying unchanged cannot help.
    Change,
    /// The same call may succeed later, and nothing was changed.
    Later,
    /// Something may have been changed.
    Unknown,
    Usage,
    Other,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Other => 1,
            Outcome::Change => 2,
            Outcome::Later => 3,
            Outcome::Unknown => 4,
            Outcome::Usage => BAD_USAGE,
        })
    }
}

/// What to do, as far as the message does not say it.
#[derive(Clone, Copy)]
enum Advice {
    None,
    Repeat,
    /// The same command without a request id would create something else.
    RepeatCreation,
    /// The same, because of an attempt before the one that this failure is of.
    RepeatEarlier,
}

impl Advice {
    fn sentence(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Repeat => "Repeat the command",
            Self::RepeatCreation => "Repeat the creation only with the same request id",
            Self::RepeatEarlier => {
                "An earlier attempt may have been executed: repeat the creation only with the same request id"
            }
        }
    }
}

/// The error of a call.
pub(super) struct Failure {
    code: Code,
    /// What happened.
    message: String,
    advice: Advice,
    /// One of this service's; `None` for an error of this client, of a proxy, or with a reason that this version does
    /// not know.
    reason: Option<Reason>,
    /// The encoded `google.rpc.Status` of the service; empty for an error of this client.
    details: Vec<u8>,
    /// The metadata of the reason, sorted: the IDs and what else is known.
    metadata: Vec<(String, String)>,
    retry_after: Option<Duration>,
    outcome: Outcome,
    /// The command that continues.
    resume: Option<String>,
}

impl Failure {
    /// `writes`: whether the call can have changed something.
    pub(super) fn of(status: &Status, address: &Uri, writes: bool) -> Self {
        // With a cause, the error comes from this client and not from the service.
        if let Some(cause) = status.source() {
            return Self::lost(lost::explain(status.code(), cause, address), writes);
        }
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let reason = info.and_then(|info| Reason::from_str_name(&info.reason));
        let message = sentences(status.message(), if info.is_some() { "" } else { FOREIGN });
        let mut metadata: Vec<_> =
            info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default();
        metadata.sort_unstable();
        let mut failure = Self {
            reason,
            metadata,
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            details: status.details().to_vec(),
            ..Self::of_client(status.code(), message, Outcome::Other)
        };
        failure.outcome = match reason {
            Some(reason) => failure.outcome_of_reason(reason, writes),
            None => outcome_of_code(status.code(), writes),
        };
        failure
    }

    /// No response until the end of this client's time.
    pub(super) fn late(address: &Uri, writes: bool) -> Self {
        Self::lost(lost::late(address), writes)
    }

    /// No connection, so that nothing was sent.
    pub(super) fn not_connected(cause: &(dyn Error + 'static), address: &Uri) -> Self {
        Self::lost(lost::not_connected(cause, address), false)
    }

    fn lost(lost: Lost, writes: bool) -> Self {
        let outcome = match (lost.was_sent, writes) {
            _ if lost.is_permanent => Outcome::Change,
            (true, true) => Outcome::Unknown,
            (true, false) | (false, _) => Outcome::Later,
        };
        let advice = if lost.was_sent { Advice::Repeat } else { Advice::None };
        Self { advice, ..Self::of_client(lost.code, lost.message, outcome) }
    }

    /// The end of a creation that a person or a signal has interrupted.
    pub(super) fn interrupted() -> Self {
        let message = "interrupted before the outcome was known: the service may finish the creation";
        let failure = Self::of_client(Code::Cancelled, message.to_owned(), Outcome::Unknown);
        Self { advice: Advice::RepeatCreation, ..failure }
    }

    /// The end of a dry run that a server of an earlier version has executed as an update.
    pub(super) fn dry_run_ignored() -> Self {
        let message = "the service does not know dry runs of updates, and has changed the connection: read it with \
                       connections get, and upgrade the service before the next dry run";
        Self::of_client(Code::Unimplemented, message.to_owned(), Outcome::Unknown)
    }

    fn of_client(code: Code, message: String, outcome: Outcome) -> Self {
        let (reason, details, metadata, retry_after, resume) = (None, Vec::new(), Vec::new(), None, None);
        let advice = Advice::None;
        Self { code, message, advice, reason, details, metadata, retry_after, outcome, resume }
    }

    fn outcome_of_reason(&self, reason: Reason, writes: bool) -> Outcome {
        // `leftovers` of a refused dataflow are named: the outcome is known.
        let may_have_changed = self.get("may_exist") == Some("true")
            || (reason == Reason::DeadlineExceeded && matches!(self.get("stage"), Some("update" | "delete")));
        // These two say what exists, except where an earlier attempt may have created it.
        let is_explained = reason == Reason::OutcomeAmbiguous
            || (reason == Reason::VerificationFailed && self.get("connection_id").is_some());
        if may_have_changed && !is_explained {
            return Outcome::Unknown;
        }
        match reason {
            Reason::InvalidRequest
            | Reason::RequestTooLarge
            | Reason::RequestIdReused
            | Reason::CallerUnauthenticated
            | Reason::CallerNotAllowed
            | Reason::SandboxNotAllowed
            | Reason::ConnectionNotFound
            | Reason::TableNotFound
            | Reason::SandboxNotFound
            | Reason::DataflowNotFound
            | Reason::DatasetNotFound
            | Reason::SchemaNotFound
            | Reason::SchemaTitleTaken
            | Reason::DataflowState
            | Reason::ConnectionInUse
            | Reason::ConnectionState
            | Reason::VerificationFailed
            | Reason::UpstreamRejected
            | Reason::PlatformCredentialsRejected
            | Reason::PlatformPermissionMissing
            | Reason::OutcomeAmbiguous => Outcome::Change,
            Reason::EtagMismatch | Reason::UpstreamUnrecognized if self.retry_after.is_none() => {
                Outcome::Change
            }
            Reason::EtagMismatch
            | Reason::UpstreamUnrecognized
            | Reason::CallerKeysUnavailable
            | Reason::UpstreamThrottled
            | Reason::Overloaded
            | Reason::UpstreamUnavailable
            | Reason::BreakerOpen
            | Reason::StoreUnavailable
            | Reason::DeadlineExceeded => Outcome::Later,
            // Something may exist: a creation with another request id could be a second one.
            Reason::RequestInProgress | Reason::OutcomeUnknown | Reason::RecordUnreadable => Outcome::Unknown,
            Reason::UpstreamUndecodable => Outcome::Other,
            // Nobody knows what a bug has left.
            Reason::Internal | Reason::Unspecified => outcome_of_code(self.code, writes),
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The shortest time after which an unchanged creation can be retried by itself; `None` if that cannot help.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self.outcome {
            Outcome::Later | Outcome::Unknown => match self.reason {
                // The service waits for a shorter time than this client.
                None | Some(Reason::DeadlineExceeded) => Some(self.retry_after.unwrap_or_default()),
                Some(_) => self.retry_after,
            },
            Outcome::Done | Outcome::Change | Outcome::Usage | Outcome::Other => None,
        }
    }

    /// The end of a creation. `after_unknown`: the outcome of an earlier attempt is not known. It is not known either
    /// after an error that does not say what that attempt has done.
    pub(super) fn of_creation(mut self, after_unknown: bool) -> Self {
        self.advice = if self.outcome == Outcome::Unknown {
            Advice::RepeatCreation
        } else if after_unknown && !self.is_final() {
            self.outcome = Outcome::Unknown;
            Advice::RepeatEarlier
        } else {
            Advice::None
        };
        self
    }

    pub(super) fn resumed_by(self, command: String) -> Self {
        Self { resume: Some(command), ..self }
    }

    /// Whether the service has looked at what an earlier attempt with the same request id has done.
    fn is_final(&self) -> bool {
        matches!(
            self.reason,
            Some(
                Reason::RequestIdReused
                    | Reason::VerificationFailed
                    | Reason::OutcomeAmbiguous
                    | Reason::UpstreamRejected
                    | Reason::SchemaTitleTaken
                    | Reason::DataflowState
            )
        )
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// What happened, without what this client advises to do.
    pub(super) fn message(&self) -> String {
        output::printable(&self.message)
    }

    fn text(&self) -> String {
        sentences(&self.message, self.advice.sentence())
    }

    pub(super) fn code(&self) -> Code {
        self.code
    }

    /// The name of the reason, or of the code.
    pub(super) fn reason(&self) -> &'static str {
        self.reason.map_or_else(|| output::name_of_code(self.code), |reason| reason.as_str_name())
    }

    /// Prints the error: as a paragraph, or as the status with its details in place of a response.
    pub(super) fn print(&self, format: Format) -> io::Result<()> {
        match format {
            Format::Json => output::print_status(self.code, &self.text(), &self.details)?,
            Format::Table => writeln!(io::stderr(), "{self}")?,
        }
        match &self.resume {
            Some(command) => writeln!(io::stderr(), "To continue with the same request id:\n{command}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {} [{}", output::printable(&self.text()), self.reason())?;
        for (key, value) in &self.metadata {
            write!(f, "; {key}: {}", output::printable(value))?;
        }
        f.write_str("]")
    }
}

/// Either may be empty.
fn sentences(first: &str, second: &str) -> String {
    match (first, second) {
        ("", only) | (only, "") => only.to_owned(),
        _ => format!("{}. {second}", first.trim_end_matches('.')),
    }
}

/// Of an error without a reason of this service, such as that of a proxy. A call that can change something may have
/// been executed, unless the code says that it was refused.
fn outcome_of_code(code: Code, writes: bool) -> Outcome {
    match code {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => Outcome::Change,
        Code::ResourceExhausted => Outcome::Later,
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Cancelled
        | Code::Unknown
        | Code::Internal
        | Code::DataLoss
            if writes =>
        {
            Outcome::Unknown
        }
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => Outcome::Later,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss | Code::Ok => Outcome::Other,
    }
}

#[cfg(test)]
mod tests;
