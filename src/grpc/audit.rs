//! The audit trail: one event for each call that writes, on the tracing target `audit`: `HCS_LOG=audit=info` shows
//! nothing else.
//!
//! A layer writes the event, so that the trail contains calls that are rejected before they reach their method.

use tonic::Code;

use super::{
    call::Call,
    layer::{CallerCheck, Request, Response},
    status::{Reason, RpcError, code_name, creation_failed},
};
use crate::{
    domain::{ConnectionId, Identity, Progress, RequestId, SandboxName, dataflow::DataflowId},
    service::{UnreportedOutcome, dataflows::UnreportedDataflow},
    telemetry::AUDIT,
};

/// The caller's name if it could not be identified.
pub(super) const UNKNOWN_CALLER: &str = "unknown";
/// The caller's name where callers are not checked.
const ANYONE: &str = "anyone";

pub(super) async fn audit(
    callers: &CallerCheck,
    call: &Call,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let action = call.method.and_then(|method| method.audit_action.as_deref());
    let Some(action) = action else { return next(request).await };
    let unidentified = if callers.is_on() { UNKNOWN_CALLER } else { ANYONE };
    let mut end = End { action, call, unidentified, is_written: false };
    let response = next(request).await;
    end.write(Some(&response));
    response
}

/// What the audit trail reports of a call, beside its progress.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// The name of a rejected caller.
    pub(super) rejected: Option<String>,
    pub(super) sandbox: Option<SandboxName>,
    pub(super) connection: Option<ConnectionId>,
    pub(super) dataflow: Option<DataflowId>,
    /// The creation whose remains the call deletes.
    pub(super) request_id: Option<RequestId>,
    pub(super) is_dry_run: bool,
    pub(super) replayed: bool,
}

#[derive(Default)]
struct Event<'a> {
    action: &'a str,
    caller: &'a str,
    sandbox: Option<&'a SandboxName>,
    connection: Option<&'a str>,
    dataflow: Option<&'a str>,
    request_id: Option<&'a str>,
    outcome: &'a str,
    replayed: bool,
    may_exist: Option<bool>,
}

macro_rules! event {
    ($level:ident, $event:expr, $message:literal) => {{
        let Event { action, caller, sandbox, connection, dataflow, request_id, outcome, replayed, may_exist } = $event;
        tracing::$level!(
            target: AUDIT,
            action,
            caller,
            sandbox = sandbox.map(SandboxName::as_str),
            connection_id = connection,
            dataflow_id = dataflow,
            request_id,
            outcome,
            replayed = replayed.then_some(true),
            may_exist,
            $message
        );
    }};
}

/// The end of a call. It is dropped without a response if the caller leaves, and then writes the event.
struct End<'a> {
    action: &'a str,
    call: &'a Call,
    /// The caller's name if it is not identified.
    unidentified: &'a str,
    is_written: bool,
}

impl End<'_> {
    fn write(&mut self, response: Option<&Response>) {
        self.is_written = true;
        let audited = self.call.audited();
        if audited.is_dry_run {
            return;
        }
        let error = response.and_then(RpcError::of);
        let outcome = match (response, error.map(|error| error.reason)) {
            // The caller has left, or may have left at its deadline.
            (None, _) | (_, Some(Reason::DeadlineExceeded)) => "UNANSWERED",
            (_, Some(reason)) => reason.as_str_name(),
            (Some(response), None) => {
                let status = response.headers().get("grpc-status");
                code_name(status.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes())))
            }
        };
        let progress = &self.call.progress;
        let identified = progress.caller().map(Identity::to_string);
        let creation = progress.creation();
        let mut buffer = [0; RequestId::LENGTH];
        let request_id = creation.map(Progress::request_id).or(audited.request_id);
        let request_id = request_id.map(|id| id.encode(&mut buffer));
        // A resource in the error of a creation is one that was created and is left behind.
        let in_error = |key| error.and_then(|error| error.get(key));
        let event = Event {
            action: self.action,
            caller: audited.rejected.as_deref().or(identified.as_deref()).unwrap_or(self.unidentified),
            sandbox: audited.sandbox.as_ref(),
            connection: in_error("connection_id")
                .or_else(|| audited.connection.as_ref().map(ConnectionId::as_str)),
            dataflow: in_error("dataflow_id").or_else(|| audited.dataflow.as_ref().map(DataflowId::as_str)),
            request_id: request_id.or_else(|| error?.get("request_id")),
            outcome,
            replayed: audited.replayed,
            may_exist: creation.filter(|_| outcome != "OK").map(Progress::may_exist),
        };
        event!(info, event, "audit");
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            self.write(None);
        }
    }
}

/// Writes an event about something that happened after its call had ended.
pub(super) fn unreported(caller: Option<&Identity>, outcome: &UnreportedOutcome<'_>) {
    let caller = caller.map(Identity::to_string);
    let caller = caller.as_deref().unwrap_or(ANYONE);
    let mut buffer = [0; RequestId::LENGTH];
    let create = Event { action: "create", caller, outcome: "OK", ..Event::default() };
    match outcome {
        UnreportedOutcome::Created { sandbox, created } => {
            let event = Event {
                sandbox: Some(sandbox),
                connection: Some(created.connection.id.as_str()),
                request_id: Some(created.request_id.encode(&mut buffer)),
                replayed: created.replayed,
                ..create
            };
            event!(info, event, "created a connection after its caller had disconnected");
        }
        UnreportedOutcome::Failed { error, may_exist } => {
            let failed = creation_failed(error);
            failed.note();
            let event = Event {
                sandbox: Some(&error.sandbox),
                connection: failed.get("connection_id"),
                request_id: Some(error.request_id.encode(&mut buffer)),
                outcome: failed.reason.as_str_name(),
                may_exist: Some(*may_exist),
                ..create
            };
            event!(warn, event, "a creation failed after its caller had disconnected");
        }
        UnreportedOutcome::Deleted { at, request_id } => {
            let event = Event {
                action: "delete",
                sandbox: Some(&at.sandbox),
                connection: Some(at.id.as_str()),
                request_id: Some(request_id.encode(&mut buffer)),
                ..create
            };
            event!(info, event, "deleted a new connection that does not work");
        }
    }
}

/// The same about dataflows.
pub(super) fn unreported_dataflow(caller: Option<&Identity>, outcome: &UnreportedDataflow<'_>) {
    let caller = caller.map(Identity::to_string);
    let caller = caller.as_deref().unwrap_or(ANYONE);
    let mut buffer = [0; RequestId::LENGTH];
    let create = Event { action: "create", caller, outcome: "OK", ..Event::default() };
    match outcome {
        UnreportedDataflow::Created { sandbox, created } => {
            let event = Event {
                sandbox: Some(sandbox),
                dataflow: Some(created.dataflow.id.as_str()),
                request_id: Some(created.request_id.encode(&mut buffer)),
                replayed: created.replayed,
                ..create
            };
            event!(info, event, "created a dataflow after its caller had disconnected");
        }
        UnreportedDataflow::Failed { error, may_exist } => {
            let failed = creation_failed(error);
            failed.note();
            let event = Event {
                sandbox: Some(&error.sandbox),
                dataflow: failed.get("dataflow_id"),
                request_id: Some(error.request_id.encode(&mut buffer)),
                outcome: failed.reason.as_str_name(),
                may_exist: Some(*may_exist),
                ..create
            };
            event!(warn, event, "the creation of a dataflow failed after its caller had disconnected");
        }
    }
}
