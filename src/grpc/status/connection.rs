//! Calls about connections that exist, and dry runs, that did not succeed.

use tonic::{Code, Status};

use super::{
    Answer, DEFAULT_RETRY, Reason, too_many,
    upstream::{Consequence, call_failed, unrecognized},
};
use crate::{
    adobe::{CallError, Problem, Refusal},
    domain::{CallProgress, ConnectionRef, SandboxName, TablePath},
    error::error_chain,
    service::{ConnectionError, DryRunError},
};

/// The most that an error repeats of the path of a table.
const MAX_TABLE_CHARS: usize = 200;

/// What a call was about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    /// The connections of a sandbox.
    Sandbox(&'a SandboxName),
    /// Reading a connection.
    Connection(&'a ConnectionRef),
    /// Changing it.
    Update(&'a ConnectionRef),
    /// Deleting it.
    Delete(&'a ConnectionRef),
    /// Its tables.
    Tables(&'a ConnectionRef),
    /// One of its tables.
    Table(&'a ConnectionRef, &'a TablePath),
}

impl Subject<'_> {
    fn sandbox(&self) -> &SandboxName {
        match self {
            Self::Sandbox(sandbox) => sandbox,
            Self::Connection(at)
            | Self::Update(at)
            | Self::Delete(at)
            | Self::Tables(at)
            | Self::Table(at, _) => &at.sandbox,
        }
    }

    /// The connection, empty where it is about none.
    fn id(&self) -> &str {
        match self {
            Self::Sandbox(_) => "",
            Self::Connection(at)
            | Self::Update(at)
            | Self::Delete(at)
            | Self::Tables(at)
            | Self::Table(at, _) => at.id.as_str(),
        }
    }

    fn consequence(&self) -> Consequence {
        match self {
            Self::Sandbox(_) | Self::Connection(_) | Self::Tables(_) | Self::Table(..) => Consequence::None,
            Self::Update(_) => Consequence::NothingChanged,
            Self::Delete(_) => Consequence::NothingDeleted,
        }
    }
}

/// A call about connections that exist.
pub(crate) fn connection_failed(
    error: &ConnectionError,
    subject: Subject<'_>,
    progress: &CallProgress,
) -> Status {
    tracing::Span::current().record("cause", error_chain(error));
    let answer = match error {
        ConnectionError::NotFound | ConnectionError::OtherSource => not_found(subject),
        ConnectionError::TableNotFound => table_not_found(subject),
        ConnectionError::EtagMismatch => Answer::new(
            Code::Aborted,
            Reason::EtagMismatch,
            "the connection was changed since the etag was read; nothing was changed: read it again, and \
             repeat the call with its current etag or without one",
        ),
        ConnectionError::KeepsChanging => Answer::new(
            Code::Aborted,
            Reason::EtagMismatch,
            "others change the connection all the time; nothing was changed: try again",
        )
        .retry_after(DEFAULT_RETRY),
        ConnectionError::Call(CallError::Refused { refusal: Refusal::InUse, problem }) => {
            in_use(problem, subject)
        }
        ConnectionError::Call(CallError::Refused { refusal: Refusal::State, problem }) => {
            wrong_state(problem, subject)
        }
        ConnectionError::Call(CallError::Refused { refusal: Refusal::Request, problem })
            if matches!(subject, Subject::Tables(_) | Subject::Table(..)) && problem.code.is_some() =>
        {
            not_explored(problem)
        }
        ConnectionError::Call(error) => call_failed(error, subject.sandbox(), subject.consequence()),
        ConnectionError::OutcomeUnknown { is_safe_to_repeat, cause } => {
            outcome_unknown(*is_safe_to_repeat, cause, subject)
        }
    };
    answer.at_stage(progress.stage()).build()
}

/// A creation that was only to be checked.
pub(crate) fn dry_run_failed(error: &DryRunError, sandbox: &SandboxName, progress: &CallProgress) -> Status {
    tracing::Span::current().record("cause", error_chain(error));
    let answer = match error {
        DryRunError::Call(error) => call_failed(error, sandbox, Consequence::None),
        DryRunError::TooMany => too_many("too many calls are under way: try again later"),
        DryRunError::SpecDrift(drift) => Answer::new(
            Code::FailedPrecondition,
            Reason::UpstreamRejected,
            format!(
                "Adobe's connection specification for HubSpot is not what this service sends, so that \
                 creations may be refused: {}; an operator has to look for a newer version of this service",
                drift.join("; ")
            ),
        ),
    };
    answer.at_stage(progress.stage()).build()
}

fn not_found(subject: Subject<'_>) -> Answer {
    let (id, sandbox) = (subject.id(), subject.sandbox());
    Answer::new(
        Code::NotFound,
        Reason::ConnectionNotFound,
        format!(
            "there is no HubSpot connection {id} in the sandbox {sandbox}: take the ID from \
             ListHubSpotConnections, and name the sandbox that holds it"
        ),
    )
    .resource("connection", id, "is no HubSpot connection of the sandbox")
}

fn table_not_found(subject: Subject<'_>) -> Answer {
    let table = match subject {
        Subject::Table(_, table) => table.as_str(),
        Subject::Sandbox(_)
        | Subject::Connection(_)
        | Subject::Update(_)
        | Subject::Delete(_)
        | Subject::Tables(_) => "",
    };
    // Errors travel in headers, which clients limit to 8 KiB.
    let table = table.char_indices().nth(MAX_TABLE_CHARS).map_or(table, |(end, _)| &table[..end]);
    Answer::new(
        Code::NotFound,
        Reason::TableNotFound,
        format!(
            "the connection has no table {table:?}: take its path from ListHubSpotTables, where upper and \
             lower case count"
        ),
    )
    .resource("table", table, "is no table of the connection")
}

fn in_use(problem: &Problem, subject: Subject<'_>) -> Answer {
    let advice = Refusal::InUse.advice();
    let kind = Reason::ConnectionInUse.as_str_name();
    let violation = |subject: String| (kind.to_owned(), subject, advice.cure.to_owned());
    let flows = problem.flows.iter().filter(|flow| *flow != subject.id());
    let mut violations: Vec<_> = flows.map(|flow| violation(format!("flows/{flow}"))).collect();
    if violations.is_empty() {
        violations.push(violation(format!("connections/{}", subject.id())));
    }
    Answer::new(
        Code::FailedPrecondition,
        Reason::ConnectionInUse,
        subject.consequence().between(&format!("{} {}", advice.what, problem.said()), advice.cure),
    )
    .preconditions(violations)
    .problem(problem)
}

fn wrong_state(problem: &Problem, subject: Subject<'_>) -> Answer {
    let advice = Refusal::State.advice();
    Answer::new(
        Code::FailedPrecondition,
        Reason::ConnectionState,
        subject.consequence().between(&format!("{} {}", advice.what, problem.said()), advice.cure),
    )
    .preconditions([(
        Reason::ConnectionState.as_str_name().to_owned(),
        format!("connections/{}", subject.id()),
        advice.cure.to_owned(),
    )])
    .problem(problem)
}

/// Most likely HubSpot has refused it.
fn not_explored(problem: &Problem) -> Answer {
    let message = format!(
        "the Flow Service cannot read the tables {}: TestHubSpotConnection tells what is wrong with the \
         connection",
        problem.said()
    );
    Answer::new(Code::InvalidArgument, Reason::UpstreamRejected, message).problem(problem)
}

fn outcome_unknown(is_safe_to_repeat: bool, cause: &CallError, subject: Subject<'_>) -> Answer {
    let (what, cure) = match subject {
        Subject::Delete(_) => ("deletion", "repeat the call with allow_missing"),
        Subject::Update(_)
        | Subject::Sandbox(_)
        | Subject::Connection(_)
        | Subject::Tables(_)
        | Subject::Table(..) => {
            let cure = if is_safe_to_repeat {
                "repeat the call, which brings it about in either case"
            } else {
                "read the connection, and repeat the call with its current etag or without one"
            };
            ("change", cure)
        }
    };
    if let CallError::Unrecognized { retry_after, problem } = cause
        && !problem.replaces_lost_reply()
    {
        let what = format!("the {what} was sent, and the reply is not Adobe's");
        return unrecognized(&what, problem, *retry_after, &format!("it may have been executed, so {cure}"));
    }
    let message = format!(
        "the {what} was sent to the Flow Service and its answer was lost: it may have been carried out, so {cure}"
    );
    let answer = if is_safe_to_repeat {
        Answer::new(Code::Unavailable, Reason::OutcomeUnknown, message).retry_after(DEFAULT_RETRY)
    } else {
        Answer::new(Code::Unknown, Reason::OutcomeUnknown, message)
    };
    match cause.problem() {
        Some(problem) if problem.is_unrecognized() => answer.in_place_of(problem),
        Some(problem) => answer.problem(problem),
        None => answer,
    }
}
