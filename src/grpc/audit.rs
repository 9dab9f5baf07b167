//! The audit trail: one event for each call that writes, whatever becomes of it, on a tracing target of its
//! own: `HCS_LOG=audit=info` shows nothing else.
//!
//! A layer writes the event, so that calls that are rejected before their method is reached are in it, too.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::HeaderMap;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{
    layer::{
        Request, Response,
        caller::{CallerCheck, write},
        deadline::Deadline,
    },
    status::{Reason, code_name, creation_failed},
};
use crate::{
    domain::{CallProgress, ConnectionId, Identity, Progress, RequestId, SandboxName},
    service::UnreportedOutcome,
    telemetry::AUDIT,
};

/// What a caller is called whose name is not known. Where callers are not checked it is `anyone`.
pub(super) const UNKNOWN_CALLER: &str = "unknown";

pub(super) async fn audit(
    callers: &CallerCheck,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Some(action) = write(request.uri().path()) else { return next(request).await };
    let audit = Audit::default();
    request.extensions_mut().insert(audit.clone());
    // Also when the call is dropped.
    let unidentified = if callers.asks() { UNKNOWN_CALLER } else { ANYONE };
    let mut event = Event { action, audit, unidentified, outcome: None };
    let response = next(request).await;
    event.end(response.headers());
    response
}

/// What is known of a call that writes, in the extensions of its request. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Audit(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    caller: Option<String>,
    progress: Arc<CallProgress>,
    sandbox: Option<SandboxName>,
    connection: Option<ConnectionId>,
    /// Of a call that failed before it had a creation.
    request_id: Option<String>,
    is_no_write: bool,
    is_replay: bool,
}

impl Audit {
    /// That of a call.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Self {
        let audit = request.extensions().get::<Self>().cloned().unwrap_or_default();
        if let Some(deadline) = request.extensions().get::<Deadline>() {
            audit.known().progress = Arc::clone(&deadline.progress);
        }
        audit
    }

    /// Notes who calls.
    pub(super) fn called_by(&self, caller: impl Into<String>) {
        self.known().caller = Some(caller.into());
    }

    /// Notes that the call changes nothing after all.
    pub(super) fn is_no_write(&self) {
        self.known().is_no_write = true;
    }

    /// Notes what the call is about.
    pub(super) fn about(&self, sandbox: &SandboxName, connection: Option<&ConnectionId>) {
        let mut known = self.known();
        known.sandbox = Some(sandbox.clone());
        known.connection = connection.cloned();
    }

    /// Notes that the answer is that of another call.
    pub(super) fn is_replay(&self, is_replay: bool) {
        self.known().is_replay = is_replay;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Written when it is dropped: a caller that leaves takes its call with it.
struct Event {
    action: &'static str,
    audit: Audit,
    /// What the caller is called unless it becomes known who calls.
    unidentified: &'static str,
    outcome: Option<Cow<'static, str>>,
}

impl Event {
    /// Notes how the call ended.
    fn end(&mut self, headers: &HeaderMap) {
        let (outcome, connection, request_id) = match Status::from_header_map(headers) {
            None => (Outcome::Ok, None, None),
            Some(status) => failure(&status),
        };
        self.outcome = match outcome {
            Outcome::Ok => Some("OK".into()),
            // The caller may not have waited for this error.
            Outcome::Failed(reason) if reason == Reason::DeadlineExceeded.as_str_name() => None,
            Outcome::Failed(reason) => Some(reason.into()),
        };
        let mut known = self.audit.known();
        known.connection = connection.or_else(|| known.connection.take());
        known.request_id = request_id;
    }
}

enum Outcome {
    Ok,
    Failed(String),
}

/// The reason of a failure, and the ids that it names: the connection is one that was created and is left
/// behind.
fn failure(status: &Status) -> (Outcome, Option<ConnectionId>, Option<String>) {
    let Some(mut info) = status.get_details_error_info() else {
        let code = code_name(status.code());
        let outcome =
            if status.code() == tonic::Code::Ok { Outcome::Ok } else { Outcome::Failed(code.to_owned()) };
        return (outcome, None, None);
    };
    let connection = info.metadata.get("connection_id").and_then(|id| ConnectionId::parse(id).ok());
    (Outcome::Failed(info.reason), connection, info.metadata.remove("request_id"))
}

/// The fields of every event.
struct Fields<'a> {
    action: &'a str,
    caller: &'a str,
    sandbox: Option<&'a SandboxName>,
    connection: Option<&'a ConnectionId>,
    request_id: Option<&'a str>,
    outcome: &'a str,
    is_replay: bool,
    may_exist: Option<bool>,
}

macro_rules! event {
    ($level:ident, $fields:expr, $message:literal) => {{
        let Fields { action, caller, sandbox, connection, request_id, outcome, is_replay, may_exist } = $fields;
        tracing::$level!(
            target: AUDIT,
            action,
            caller,
            sandbox = sandbox.map(SandboxName::as_str),
            connection_id = connection.map(ConnectionId::as_str),
            request_id,
            outcome,
            replayed = is_replay.then_some(true),
            may_exist,
            $message
        );
    }};
}

impl Drop for Event {
    fn drop(&mut self) {
        let known = self.audit.known();
        if known.is_no_write {
            return;
        }
        let creation = known.progress.creation();
        let mut id = [0; RequestId::LENGTH];
        let request_id = creation.map(|creation| creation.request_id().encode(&mut id));
        // Without an outcome its deadline was spent, the caller has left, or there is a bug here.
        let unanswered = if std::thread::panicking() { "INTERNAL" } else { "UNANSWERED" };
        let outcome = self.outcome.as_deref().unwrap_or(unanswered);
        let fields = Fields {
            action: self.action,
            caller: known.caller.as_deref().unwrap_or(self.unidentified),
            sandbox: known.sandbox.as_ref(),
            connection: known.connection.as_ref(),
            request_id: request_id.or(known.request_id.as_deref()),
            outcome,
            is_replay: known.is_replay,
            may_exist: creation.filter(|_| outcome != "OK").map(Progress::may_exist),
        };
        event!(info, fields, "audit");
    }
}

/// What a caller is called where callers are not checked.
const ANYONE: &str = "anyone";

/// Logs something that was done after its call had ended, with the fields and words of the other events.
pub(super) fn unreported(outcome: &UnreportedOutcome<'_>) {
    let caller = outcome.caller().map(Identity::to_string);
    let caller = caller.as_deref().unwrap_or(ANYONE);
    let mut id = [0; RequestId::LENGTH];
    match outcome {
        UnreportedOutcome::Created { sandbox, created, .. } => {
            let fields = Fields {
                action: "create",
                caller,
                sandbox: Some(sandbox),
                connection: Some(&created.connection.id),
                request_id: Some(created.request_id.encode(&mut id)),
                outcome: "OK",
                is_replay: created.replayed,
                may_exist: None,
            };
            event!(info, fields, "created a connection whose caller has left");
        }
        UnreportedOutcome::Failed { error, may_exist, .. } => {
            let (outcome, connection, _) = failure(&creation_failed(error));
            let Outcome::Failed(outcome) = outcome else { return };
            let fields = Fields {
                action: "create",
                caller,
                sandbox: Some(&error.sandbox),
                connection: connection.as_ref(),
                request_id: Some(error.request_id.encode(&mut id)),
                outcome: &outcome,
                is_replay: false,
                may_exist: Some(*may_exist),
            };
            event!(warn, fields, "a creation failed whose caller has left");
        }
        UnreportedOutcome::Deleted { at, request_id, .. } => {
            let fields = Fields {
                action: "delete",
                caller,
                sandbox: Some(&at.sandbox),
                connection: Some(&at.id),
                request_id: Some(request_id.encode(&mut id)),
                outcome: "OK",
                is_replay: false,
                may_exist: None,
            };
            event!(info, fields, "deleted a new connection that does not work");
        }
    }
}
