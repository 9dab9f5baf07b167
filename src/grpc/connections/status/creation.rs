//! Errors of creations.

use tonic::Code;

use crate::{
    adobe::CallError,
    domain::{CheckState, ConnectionId, SandboxName, Stage, TestReport},
    error::error_chain,
    exactly_once::{Kind, Made, RecordProblem, store::StoreError},
    grpc::status::{DEFAULT_RETRY, Effect, Reason, RpcError, call_failed, too_many, unavailable},
    service::{self, Failure, VerificationError},
};

/// The most connections that an error lists.
const MAX_CANDIDATES: usize = 20;
/// How much of a failed check the message repeats, in characters.
const MOST_FOUND: usize = 200;

pub(crate) fn creation_failed(error: &service::Error) -> RpcError {
    let service::Error { request_id, generated, sandbox, failure } = error;
    failed(failure, sandbox, *generated).metadata("request_id", request_id).cause(error_chain(error))
}

fn failed(failure: &Failure, sandbox: &SandboxName, generated: bool) -> RpcError {
    match failure {
        Failure::NotCreated { error, may_exist } => {
            not_created(error, sandbox, effect(*may_exist)).metadata("may_exist", may_exist)
        }
        Failure::OutcomeUnknown { problem, cause: _ } => {
            outcome_unknown(generated).lost_reply(problem.as_ref())
        }
        Failure::Crashed => outcome_unknown(generated),
        Failure::NotSearched(error) => call_failed(error, sandbox, Effect::MayExist)
            .metadata("stage", Stage::Reconcile.name())
            .metadata("may_exist", true),
        Failure::Ambiguous(candidates) => ambiguous(candidates),
        Failure::RequestIdReused { differs, created } => reused(differs, created.as_ref()),
        Failure::RecordUnreadable { problem, created } => unreadable(problem, created.as_ref()),
        Failure::Withdrawn => reused(&["method".to_owned()], None),
        Failure::Undoing { leftovers } => {
            let what = "what an earlier attempt with this request_id had prepared is not deleted yet";
            unavailable(what, Effect::NothingCreated)
                .at_stage(Stage::Undo)
                .metadata("leftovers", leftovers.join(","))
        }
        Failure::LeftBehind { failure, leftovers } => {
            failed(failure, sandbox, generated).metadata("leftovers", leftovers.join(","))
        }
        Failure::RequestInProgress { retry_after } => RpcError::new(
            Code::Aborted,
            Reason::RequestInProgress,
            "the creation with this request_id is in progress elsewhere: repeat the call to get its outcome",
        )
        .at_stage(Stage::Claim)
        .metadata("may_exist", true)
        .retry_after(*retry_after),
        Failure::TooMany { may_exist } => {
            let message = "too many calls are in progress: try again later, with the same request_id";
            too_many(message).metadata("may_exist", may_exist)
        }
        Failure::Store { error: StoreError::Full, may_exist } => too_many(
            &effect(*may_exist)
                .message("the store of request ids is full", "try again later, with the same request_id"),
        )
        .metadata("may_exist", may_exist),
        Failure::Store { error: _, may_exist } => {
            let what = "the store that prevents duplicate creations cannot be used";
            let message = effect(*may_exist).message(what, "try again, with the same request_id");
            RpcError::new(Code::Unavailable, Reason::StoreUnavailable, message)
                .at_stage(Stage::Claim)
                .metadata("may_exist", may_exist)
                .retry_after(DEFAULT_RETRY)
        }
        Failure::Operation(VerificationError::Failed { report, left_behind }) => {
            verification_failed(report, left_behind.as_ref())
        }
        Failure::Operation(VerificationError::Pending { connection, report }) => {
            verification_pending(connection, report, generated)
        }
        Failure::Abandoned { may_exist } => {
            let what = "no caller was waiting for the creation";
            unavailable(what, effect(*may_exist)).metadata("may_exist", may_exist)
        }
    }
}

fn effect(may_exist: bool) -> Effect {
    if may_exist { Effect::MayExist } else { Effect::NothingCreated }
}

fn not_created(error: &CallError, sandbox: &SandboxName, effect: Effect) -> RpcError {
    // The use case searches for the connection and does not return such an error.
    if error.may_have_arrived() || matches!(error, CallError::OtherSource) {
        return outcome_unknown(false);
    }
    let failure = call_failed(error, sandbox, effect);
    if matches!(error, CallError::Throttled { problem: None, .. }) {
        // Another call was asked to wait.
        failure
    } else if matches!(error, CallError::Stopping) {
        failure.at_stage(Stage::AdobeToken)
    } else {
        failure.at_stage(Stage::Create)
    }
}

fn outcome_unknown(generated: bool) -> RpcError {
    let what = "the outcome of the creation is not known, and the connection may exist";
    let [safe, unsafe_without] = ["that is safe", "that is safe, and repeating it without is not"];
    unknown(what, generated, safe, unsafe_without).at_stage(Stage::Reconcile)
}

/// The code depends on whether the caller sent a request_id: without one, repeating the call unchanged could create
/// another connection.
fn unknown(what: &str, generated: bool, with_own: &str, with_generated: &str) -> RpcError {
    let message = format!("{what}: repeat the call with");
    if generated {
        let message = format!("{message} the request_id in this error's metadata: {with_generated}");
        RpcError::new(Code::Unknown, Reason::OutcomeUnknown, message)
    } else {
        let message = format!("{message} the same request_id: {with_own}");
        RpcError::new(Code::Unavailable, Reason::OutcomeUnknown, message).retry_after(DEFAULT_RETRY)
    }
    .metadata("may_exist", true)
}

fn ambiguous(candidates: &[ConnectionId]) -> RpcError {
    let shown: Vec<_> = candidates.iter().take(MAX_CANDIDATES).map(ConnectionId::as_str).collect();
    let message = if shown.is_empty() {
        "the reply to a creation with this request_id was lost, and no connection that could be the one created was found: look \
         for it in Adobe Experience Platform; if it is missing, use a new request_id"
    } else {
        "it is not known whether this request_id has created a connection, and each of the candidates in this error's metadata could be the \
         connection: if one is yours, use it, and delete surplus ones of yours; if none is yours, use a new \
         request_id"
    };
    RpcError::new(Code::FailedPrecondition, Reason::OutcomeAmbiguous, message)
        .metadata("candidates", shown.join(","))
        .metadata("may_exist", true)
}

fn reused(differs: &[String], created: Option<&Made>) -> RpcError {
    let fields = differs.join(", ");
    let message = match created {
        None => format!(
            "the request_id is that of an earlier creation with another {fields}: to retry that one, repeat \
             its request unchanged; for another creation, use a new request_id"
        ),
        Some(Made { kind: kind @ Kind::Dataflow, id }) => format!(
            "the request_id is that of an earlier creation, which created the {kind} {id}: use a new request_id"
        ),
        Some(Made { kind: Kind::Connection, id }) => format!(
            "the request_id is that of an earlier creation with another {fields}, which created the \
             connection {id}: to change that or its credentials, call UpdateHubSpotConnection; for another \
             connection, use a new request_id"
        ),
    };
    RpcError::new(Code::InvalidArgument, Reason::RequestIdReused, message)
        .metadata("differs", differs.join(","))
        .metadata_if(id_key(created), created.map(|made| &made.id))
}

/// The key of the metadata that has the ID of a resource.
fn id_key(made: Option<&Made>) -> &'static str {
    match made.map(|made| made.kind) {
        Some(Kind::Dataflow) => "dataflow_id",
        Some(Kind::Connection) | None => "connection_id",
    }
}

/// A record that proves neither that something was created nor that nothing was.
fn unreadable(problem: &RecordProblem, created: Option<&Made>) -> RpcError {
    let (what, cure) = match problem {
        RecordProblem::Damaged(_) => (
            "the store's record of this request_id cannot be read: it is damaged, or a newer version of this \
             service wrote it",
            "an operator has to finish the update or repair the record; until then use no other request_id \
             for it",
        ),
        RecordProblem::KeyRemoved => (
            "the content of this request_id cannot be compared: the fingerprint key of its record was removed",
            "an operator has to add the key again as the second one of HCS_FINGERPRINT_KEY; until then use no \
             other request_id for it",
        ),
    };
    let message = Effect::MayExist.message(what, cure);
    RpcError::new(Code::Internal, Reason::RecordUnreadable, message)
        .at_stage(Stage::Claim)
        .metadata("may_exist", true)
        .metadata_if(id_key(created), created.map(|made| &made.id))
}

fn verification_failed(report: &TestReport, left_behind: Option<&ConnectionId>) -> RpcError {
    let failed = report.checks.iter().filter(|check| check.state == CheckState::Failed);
    let violations = failed.map(|check| (check.name.name().to_owned(), check.message.clone()));
    // The violations contain the whole message.
    let all = found(report);
    let mut found: String = all.chars().take(MOST_FOUND).collect();
    if found.len() < all.len() {
        found.push('…');
    }
    let cleanup = match left_behind {
        None => "and is deleted again".to_owned(),
        Some(id) => format!(
            "and was not deleted: delete {id} with DeleteHubSpotConnection, unless it is another creation's or \
             works by now"
        ),
    };
    let message = format!(
        "the connection was created, does not work {cleanup} ({found}): correct what the checks report, and create it \
         with a new request_id"
    );
    RpcError::new(Code::FailedPrecondition, Reason::VerificationFailed, message)
        .preconditions(violations)
        .metadata("may_exist", left_behind.is_some())
        .metadata_if("connection_id", left_behind)
}

fn verification_pending(connection: &ConnectionId, report: &TestReport, generated: bool) -> RpcError {
    let what =
        format!("the connection was created, and its verification is not finished ({})", found(report));
    unknown(&what, generated, "it continues the verification", "without it another connection is created")
        .metadata("connection_id", connection)
        .at_stage(Stage::Verify)
}

/// The first check of a report that has not passed.
fn found(report: &TestReport) -> String {
    let check = report.checks.iter().find(|check| check.state != CheckState::Passed);
    check.map_or_else(String::new, |check| format!("{}: {}", check.name.name(), check.message))
}
