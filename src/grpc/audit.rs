//! The audit trail: one event for each call that writes, on a tracing target of its own:
//! `HCS_LOG=audit=info` shows nothing else.

use std::{borrow::Cow, sync::Arc};

use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use super::{
    layer::{caller::Caller, deadline::Deadline},
    status::{Reason, names},
};
use crate::{
    domain::{CallProgress, ConnectionId, Identity, Progress, RequestId, SandboxName},
    telemetry::AUDIT,
};

/// Tells of a write that was refused for its caller, before its request was looked at.
pub(super) fn refused_caller(action: &'static str, identities: &[Identity]) {
    let (caller, outcome) = (names(identities), Reason::CallerNotAllowed.as_str_name());
    tracing::info!(target: AUDIT, action, caller, outcome, "audit");
}

/// One event, written when this is dropped: a caller that leaves takes its call with it, and what it
/// had asked for is told all the same.
pub(super) struct Audit {
    action: &'static str,
    caller: Option<Identity>,
    progress: Arc<CallProgress>,
    sandbox: Option<SandboxName>,
    connection: Option<ConnectionId>,
    outcome: Option<Cow<'static, str>>,
    is_write: bool,
    replayed: bool,
}

impl Audit {
    /// Begins with what is known before the request is looked at.
    pub(super) fn begin<T>(action: &'static str, request: &Request<T>) -> Self {
        let caller = request.extensions().get::<Caller>().and_then(|Caller(identity)| identity.clone());
        let deadline = request.extensions().get::<Deadline>();
        Self {
            action,
            caller,
            progress: deadline.map(|deadline| Arc::clone(&deadline.progress)).unwrap_or_default(),
            sandbox: None,
            connection: None,
            outcome: None,
            is_write: true,
            replayed: false,
        }
    }

    /// Notes that the call changes nothing after all.
    pub(super) fn is_no_write(&mut self) {
        self.is_write = false;
    }

    /// Notes what the call is about.
    pub(super) fn about(&mut self, sandbox: &SandboxName, connection: Option<&ConnectionId>) {
        self.sandbox = Some(sandbox.clone());
        self.connection = connection.cloned();
    }

    /// Notes that the answer is that of another call.
    pub(super) fn is_replay(&mut self, replayed: bool) {
        self.replayed = replayed;
    }

    /// Notes how the call ended, and hands it on.
    pub(super) fn end<T>(&mut self, result: Result<T, Status>) -> Result<T, Status> {
        self.outcome = Some(match &result {
            Ok(_) => "OK".into(),
            Err(status) => match status.get_details_error_info() {
                Some(info) => {
                    // One that was created and is left behind.
                    let connection = info.metadata.get("connection_id");
                    self.connection = connection
                        .and_then(|id| ConnectionId::parse(id).ok())
                        .or_else(|| self.connection.take());
                    info.reason.into()
                }
                None => status.code().to_string().into(),
            },
        });
        result
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if !self.is_write {
            return;
        }
        let creation = self.progress.creation();
        let mut request_id = [0; RequestId::LENGTH];
        let caller = self.caller.as_ref().map_or(Cow::Borrowed("anyone"), |caller| caller.to_string().into());
        // Without an outcome its deadline was spent, the caller has left, or there is a bug here.
        let unanswered = if std::thread::panicking() { "INTERNAL" } else { "UNANSWERED" };
        let outcome = self.outcome.as_deref().unwrap_or(unanswered);
        tracing::info!(
            target: AUDIT,
            action = self.action,
            caller = &*caller,
            sandbox = self.sandbox.as_ref().map(SandboxName::as_str),
            connection_id = self.connection.as_ref().map(ConnectionId::as_str),
            request_id = creation.map(|creation| creation.request_id().encode(&mut request_id)),
            outcome,
            replayed = self.replayed.then_some(true),
            may_exist = creation.filter(|_| outcome != "OK").map(Progress::may_exist),
            "audit"
        );
    }
}
