//! The audit trail: one event for each call that writes, on the tracing target `audit`: `HCS_LOG=audit=info` shows
//! nothing else.
//!
//! A layer writes the event, so that the trail contains calls that are rejected before they reach their method.

use tonic::Code;

use super::{
    call::Call,
    connections::creation_failed,
    layer::{Request, Response, caller::CallerCheck},
    status::{Reason, RpcError, code_name},
};
use crate::{
    domain::{ConnectionId, Identity, Progress, RequestId, SandboxName},
    exactly_once::Unheard,
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
    let unidentified = if callers.asks() { UNKNOWN_CALLER } else { ANYONE };
    let mut end = End { action, call, unidentified, outcome: None, connection: None, request_id: None };
    let response = next(request).await;
    end.responded(&response);
    response
}

/// What the audit trail reports of a call, beside its progress.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// The name of a rejected caller.
    pub(super) rejected: Option<String>,
    pub(super) sandbox: Option<SandboxName>,
    pub(super) connection: Option<ConnectionId>,
    pub(super) is_dry_run: bool,
    pub(super) replayed: bool,
}

#[derive(Default)]
struct Event<'a> {
    action: &'a str,
    caller: &'a str,
    sandbox: Option<&'a SandboxName>,
    connection: Option<&'a str>,
    request_id: Option<&'a str>,
    outcome: &'a str,
    replayed: bool,
    may_exist: Option<bool>,
}

macro_rules! event {
    ($level:ident, $event:expr, $message:literal) => {{
        let Event { action, caller, sandbox, connection, request_id, outcome, replayed, may_exist } = $event;
        tracing::$level!(
            target: AUDIT,
            action,
            caller,
            sandbox = sandbox.map(SandboxName::as_str),
            connection_id = connection,
            request_id,
            outcome,
            replayed = replayed.then_some(true),
            may_exist,
            $message
        );
    }};
}

/// The end of a call. Writes the event when it is dropped: also if the caller leaves, which drops the call.
struct End<'a> {
    action: &'a str,
    call: &'a Call,
    /// The caller's name if it is not identified.
    unidentified: &'a str,
    /// `None` for a call without a response.
    outcome: Option<&'static str>,
    /// A connection that was created and is left behind.
    connection: Option<String>,
    /// Of a call that failed before its creation began.
    request_id: Option<String>,
}

impl End<'_> {
    fn responded(&mut self, response: &Response) {
        let Some(error) = RpcError::of(response) else {
            let status = response.headers().get("grpc-status");
            self.outcome = Some(code_name(status.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))));
            return;
        };
        // The caller may not have waited for DEADLINE_EXCEEDED.
        self.outcome = Some(error.reason.as_str_name()).filter(|_| error.reason != Reason::DeadlineExceeded);
        self.connection = error.get("connection_id").map(str::to_owned);
        self.request_id = error.get("request_id").map(str::to_owned);
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let audited = self.call.audited();
        if audited.is_dry_run {
            return;
        }
        let progress = &self.call.progress;
        let identified = progress.caller().map(Identity::to_string);
        let creation = progress.creation();
        let mut buffer = [0; RequestId::LENGTH];
        let request_id = creation.map(|creation| creation.request_id().encode(&mut buffer));
        // Without an outcome the deadline was exceeded, the caller has left, or there is a bug here.
        let no_response = if std::thread::panicking() { "INTERNAL" } else { "UNANSWERED" };
        let outcome = self.outcome.unwrap_or(no_response);
        let event = Event {
            action: self.action,
            caller: audited.rejected.as_deref().or(identified.as_deref()).unwrap_or(self.unidentified),
            sandbox: audited.sandbox.as_ref(),
            connection: self.connection.as_deref().or(audited.connection.as_ref().map(ConnectionId::as_str)),
            request_id: request_id.or(self.request_id.as_deref()),
            outcome,
            replayed: audited.replayed,
            may_exist: creation.filter(|_| outcome != "OK").map(Progress::may_exist),
        };
        event!(info, event, "audit");
    }
}

/// Writes an event about something that happened after its call had ended.
pub(super) fn unheard(unheard: &Unheard<'_>) {
    let caller = unheard.caller().map(Identity::to_string);
    let caller = caller.as_deref().unwrap_or(ANYONE);
    let mut buffer = [0; RequestId::LENGTH];
    let create = Event { action: "create", caller, outcome: "OK", ..Event::default() };
    match unheard {
        Unheard::Created { sandbox, created, .. } => {
            let event = Event {
                sandbox: Some(sandbox),
                connection: Some(created.connection.id.as_str()),
                request_id: Some(created.request_id.encode(&mut buffer)),
                replayed: created.replayed,
                ..create
            };
            event!(info, event, "created a connection whose caller has left");
        }
        Unheard::Failed { error, may_exist, .. } => {
            let failed = creation_failed(error);
            let event = Event {
                sandbox: Some(&error.sandbox),
                connection: failed.get("connection_id"),
                request_id: Some(error.request_id.encode(&mut buffer)),
                outcome: failed.reason.as_str_name(),
                may_exist: Some(*may_exist),
                ..create
            };
            event!(warn, event, "a creation failed whose caller has left");
        }
        Unheard::Deleted { at, request_id, .. } => {
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
