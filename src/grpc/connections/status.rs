//! Errors of calls about connections.

mod verification;

use tonic::Code;

use crate::{
    adobe::{AskedService, CallError, Problem, Refusal},
    domain::{ConnectionRef, SandboxName, TablePath},
    error::error_chain,
    grpc::{
        call::Call,
        status::{
            DEFAULT_RETRY, Effect, Reason, RpcError, Upstream, call_failed, start, too_many, unrecognized,
        },
    },
    service::{ConnectionError, TooManyCalls, dataflows::error::Part},
};

/// What a call is about, and what it does with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    sandbox: &'a SandboxName,
    /// Empty for a call about a whole sandbox.
    id: &'a str,
    action: Action<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action<'a> {
    Read,
    Update,
    Delete,
    ListTables,
    ReadTable(&'a TablePath),
}

impl<'a> Subject<'a> {
    pub(super) fn sandbox(sandbox: &'a SandboxName) -> Self {
        Self { sandbox, id: "", action: Action::Read }
    }

    pub(super) fn connection(at: &'a ConnectionRef, action: Action<'a>) -> Self {
        Self { sandbox: &at.sandbox, id: at.id.as_str(), action }
    }

    fn upstream(&self) -> Upstream<'a> {
        Upstream { part: Part::Connection, sandbox: self.sandbox, effect: self.effect() }
    }

    fn effect(&self) -> Effect {
        match self.action {
            Action::Read | Action::ListTables | Action::ReadTable(_) => Effect::None,
            Action::Update => Effect::NothingChanged,
            Action::Delete => Effect::NothingDeleted,
        }
    }
}

/// The error of a call about connections that exist.
pub(super) fn failed<'a>(call: &'a Call, subject: Subject<'a>) -> impl Fn(ConnectionError) -> RpcError + 'a {
    move |error| connection_failed(&error, subject).at_stage(call.progress.stage()).cause(error_chain(&error))
}

fn connection_failed(error: &ConnectionError, subject: Subject<'_>) -> RpcError {
    match error {
        ConnectionError::NotFound | ConnectionError::OtherSource => not_found(subject.id, subject.sandbox),
        ConnectionError::TableNotFound => {
            table_not_found(if let Action::ReadTable(table) = subject.action { table.as_str() } else { "" })
        }
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
        ConnectionError::Call(CallError::Refused {
            refusal: refusal @ (Refusal::InUse | Refusal::State),
            problem,
        }) => precondition_failed(*refusal, problem, subject),
        ConnectionError::Call(CallError::Refused { refusal: Refusal::Request, problem })
            if matches!(subject.action, Action::ListTables | Action::ReadTable(_))
                && problem.code.is_some() =>
        {
            not_explored(problem)
        }
        ConnectionError::Call(error) => call_failed(error, subject.upstream()),
        ConnectionError::OutcomeUnknown { is_safe_to_repeat, cause } => {
            outcome_unknown(*is_safe_to_repeat, cause, subject)
        }
    }
}

pub(super) fn dry_run_shed(call: &Call) -> RpcError {
    let failure = too_many("too many calls are in progress: try again later");
    failure.at_stage(call.progress.stage()).cause(TooManyCalls.to_string())
}

pub(in crate::grpc) fn not_found(id: &str, sandbox: &SandboxName) -> RpcError {
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

pub(in crate::grpc) fn table_not_found(table: &str) -> RpcError {
    let table = start(table);
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

fn precondition_failed(refusal: Refusal, problem: &Problem, subject: Subject<'_>) -> RpcError {
    let reason = if refusal == Refusal::InUse { Reason::ConnectionInUse } else { Reason::ConnectionState };
    let advice = refusal.advice(AskedService::FlowService);
    // The Flow Service may name the dataflows that use the connection.
    let flows = problem.flows.iter().filter(|flow| *flow != subject.id);
    let mut subjects: Vec<_> = flows.map(|flow| format!("flows/{flow}")).collect();
    if subjects.is_empty() {
        subjects.push(format!("connections/{}", subject.id));
    }
    let message = subject.effect().message(&format!("{} {}", advice.what, problem.said()), &advice.cure);
    RpcError::new(Code::FailedPrecondition, reason, message)
        .preconditions(subjects.into_iter().map(|subject| (subject, advice.cure.to_string())))
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
    let (what, cure) = if matches!(subject.action, Action::Delete) {
        ("deletion", "repeat the call with allow_missing")
    } else if is_safe_to_repeat {
        ("change", "repeat the call, which is safe in either case")
    } else {
        ("change", "read the connection, and repeat the call with its current etag or without one")
    };
    if let CallError::Unrecognized { retry_after, problem } = cause
        && !problem.replaces_lost_reply()
    {
        let what = format!("the {what} was sent, and the reply is not Adobe's");
        let effect = format!("it may have been executed, so {cure}");
        return unrecognized(&what, problem, *retry_after, &effect, Part::Connection);
    }
    let message = format!(
        "the {what} was sent to the Flow Service and the response was lost: it may have been executed, so {cure}"
    );
    let failure = if is_safe_to_repeat {
        RpcError::new(Code::Unavailable, Reason::OutcomeUnknown, message).retry_after(DEFAULT_RETRY)
    } else {
        RpcError::new(Code::Unknown, Reason::OutcomeUnknown, message)
    };
    failure.lost_reply(cause.problem())
}
