//! Errors of calls about connections.

mod creation;

use tonic::Code;

pub(in crate::grpc) use self::creation::creation_failed;
use crate::{
    adobe::{CallError, Problem, Refusal},
    domain::{CallProgress, ConnectionRef, SandboxName, TablePath},
    error::error_chain,
    grpc::status::{DEFAULT_RETRY, Effect, Reason, RpcError, call_failed, start, too_many, unrecognized},
    service::{ConnectionError, DryRunError},
};

/// The subject of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// All connections of a sandbox.
    Sandbox(&'a SandboxName),
    /// A connection that is only read.
    Connection(&'a ConnectionRef),
    Update(&'a ConnectionRef),
    Delete(&'a ConnectionRef),
    Tables(&'a ConnectionRef),
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

    /// The id of the connection; empty for a whole sandbox.
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

    fn effect(&self) -> Effect {
        match self {
            Self::Sandbox(_) | Self::Connection(_) | Self::Tables(_) | Self::Table(..) => Effect::None,
            Self::Update(_) => Effect::NothingChanged,
            Self::Delete(_) => Effect::NothingDeleted,
        }
    }
}

pub(super) fn connection_failed(
    error: &ConnectionError,
    subject: Subject<'_>,
    progress: &CallProgress,
) -> RpcError {
    let failure = match error {
        ConnectionError::NotFound | ConnectionError::OtherSource => not_found(subject),
        ConnectionError::TableNotFound => table_not_found(subject),
        ConnectionError::EtagMismatch => RpcError::new(
            Code::Aborted,
            Reason::EtagMismatch,
            "the connection was changed since the etag was read; nothing was changed: read it again, and \
             repeat the call with its current etag or without one",
        ),
        ConnectionError::KeepsChanging => RpcError::new(
            Code::Aborted,
            Reason::EtagMismatch,
            "other clients keep changing the connection; nothing was changed: try again",
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
        ConnectionError::Call(error) => call_failed(error, subject.sandbox(), subject.effect()),
        ConnectionError::OutcomeUnknown { is_safe_to_repeat, cause } => {
            outcome_unknown(*is_safe_to_repeat, cause, subject)
        }
    };
    failure.at_stage(progress.stage()).cause(error_chain(error))
}

pub(super) fn dry_run_failed(
    error: &DryRunError,
    sandbox: &SandboxName,
    progress: &CallProgress,
) -> RpcError {
    let failure = match error {
        DryRunError::Call(error) => call_failed(error, sandbox, Effect::None),
        DryRunError::TooMany => too_many("too many calls are under way: try again later"),
        DryRunError::SpecDrift(drift) => RpcError::new(
            Code::FailedPrecondition,
            Reason::UpstreamRejected,
            format!(
                "Adobe's connection specification for HubSpot is not what this service sends, so that \
                 creations may be refused: {}; an operator has to look for a newer version of this service",
                drift.join("; ")
            ),
        ),
    };
    failure.at_stage(progress.stage()).cause(error_chain(error))
}

fn not_found(subject: Subject<'_>) -> RpcError {
    let (id, sandbox) = (subject.id(), subject.sandbox());
    RpcError::new(
        Code::NotFound,
        Reason::ConnectionNotFound,
        format!(
            "there is no HubSpot connection {id} in the sandbox {sandbox}: take the ID from \
             ListHubSpotConnections, and name the sandbox that holds it"
        ),
    )
    .resource("connection", id, "is not a HubSpot connection of the sandbox")
}

fn table_not_found(subject: Subject<'_>) -> RpcError {
    let table = if let Subject::Table(_, table) = subject { start(table.as_str()) } else { String::new() };
    RpcError::new(
        Code::NotFound,
        Reason::TableNotFound,
        format!(
            "the connection has no table {table:?}: take its path from ListHubSpotTables, in which upper and \
             lower case matter"
        ),
    )
    .resource("table", &table, "is not a table of the connection")
}

fn in_use(problem: &Problem, subject: Subject<'_>) -> RpcError {
    let advice = Refusal::InUse.advice();
    let violation = |subject: String| (subject, advice.cure.to_owned());
    let flows = problem.flows.iter().filter(|flow| *flow != subject.id());
    let mut violations: Vec<_> = flows.map(|flow| violation(format!("flows/{flow}"))).collect();
    if violations.is_empty() {
        violations.push(violation(format!("connections/{}", subject.id())));
    }
    RpcError::new(
        Code::FailedPrecondition,
        Reason::ConnectionInUse,
        subject.effect().message(&format!("{} {}", advice.what, problem.said()), advice.cure),
    )
    .preconditions(violations)
    .problem(problem)
}

fn wrong_state(problem: &Problem, subject: Subject<'_>) -> RpcError {
    let advice = Refusal::State.advice();
    RpcError::new(
        Code::FailedPrecondition,
        Reason::ConnectionState,
        subject.effect().message(&format!("{} {}", advice.what, problem.said()), advice.cure),
    )
    .preconditions([(format!("connections/{}", subject.id()), advice.cure.to_owned())])
    .problem(problem)
}

/// The Flow Service does not say why; most likely HubSpot refused.
fn not_explored(problem: &Problem) -> RpcError {
    let message = format!(
        "the Flow Service cannot read the tables {}: TestHubSpotConnection reports what is wrong with the \
         connection",
        problem.said()
    );
    RpcError::new(Code::InvalidArgument, Reason::UpstreamRejected, message).problem(problem)
}

fn outcome_unknown(is_safe_to_repeat: bool, cause: &CallError, subject: Subject<'_>) -> RpcError {
    let (what, cure) = match subject {
        Subject::Delete(_) => ("deletion", "repeat the call with allow_missing"),
        Subject::Update(_)
        | Subject::Sandbox(_)
        | Subject::Connection(_)
        | Subject::Tables(_)
        | Subject::Table(..) => {
            let cure = if is_safe_to_repeat {
                "repeat the call, which is safe in either case"
            } else {
                "read the connection, and repeat the call with its current etag or without one"
            };
            ("change", cure)
        }
    };
    if let CallError::Unrecognized { retry_after, problem } = cause
        && !problem.is_in_place_of_lost()
    {
        let what = format!("the {what} was sent, and the reply is not Adobe's");
        return unrecognized(&what, problem, *retry_after, &format!("it may have been executed, so {cure}"));
    }
    let message = format!(
        "the {what} was sent to the Flow Service and the response was lost: it may have been executed, so {cure}"
    );
    let failure = if is_safe_to_repeat {
        RpcError::new(Code::Unavailable, Reason::OutcomeUnknown, message).retry_after(DEFAULT_RETRY)
    } else {
        RpcError::new(Code::Unknown, Reason::OutcomeUnknown, message)
    };
    match cause.problem() {
        Some(problem) if problem.is_unrecognized() => failure.in_place_of(problem),
        problem => failure.problem(problem),
    }
}
