//! Errors of creations, of every kind.

use std::fmt;

use tonic::Code;

use super::{DEFAULT_RETRY, Effect, Reason, RpcError, Upstream, call_failed, too_many, unavailable};
use crate::{
    adobe::CallError,
    domain::{SandboxName, Stage},
    error::error_chain,
    exactly_once::{Error, Failure, Kind, Made, RecordProblem, store::StoreError},
    service::dataflows::error::Part,
};

/// The most candidates that an error lists.
const MAX_CANDIDATES: usize = 20;

/// What can fail in one kind of creation alone.
pub(crate) trait FailureOfKind {
    const KIND: Kind;
    /// The part whose request creates the resource.
    const PART: Part;

    /// `generated`: the caller sent no request_id. `may_exist`: an earlier attempt may have created the resource.
    fn failed(&self, sandbox: &SandboxName, generated: bool, may_exist: bool) -> RpcError;
}

pub(crate) fn creation_failed<I, E>(error: &Error<I, E>) -> RpcError
where
    I: fmt::Display + fmt::Debug + 'static,
    E: FailureOfKind + std::error::Error + 'static,
{
    let Error { request_id, failure, .. } = error;
    failed(failure, error).metadata("request_id", request_id).cause(error_chain(error))
}

fn failed<I: fmt::Display, E: FailureOfKind>(failure: &Failure<I, E>, of: &Error<I, E>) -> RpcError {
    let (kind, sandbox, generated) = (E::KIND, &of.sandbox, of.generated);
    let effect = |may_exist| if may_exist { Effect::MayExist(kind) } else { Effect::NothingCreated(kind) };
    let upstream = |effect| Upstream { part: E::PART, sandbox, effect };
    match failure {
        Failure::NotCreated { error, may_exist } => {
            not_created(error, kind, upstream(effect(*may_exist))).metadata("may_exist", may_exist)
        }
        Failure::OutcomeUnknown { problem, cause: _ } => {
            outcome_unknown(kind, generated).lost_reply(problem.as_ref())
        }
        Failure::Crashed => outcome_unknown(kind, generated),
        Failure::NotSearched(error) => call_failed(error, upstream(Effect::MayExist(kind)))
            .metadata("stage", Stage::Reconcile.name())
            .metadata("may_exist", true),
        Failure::Ambiguous(candidates) => ambiguous(kind, candidates),
        Failure::RequestIdReused { differs, created } => reused(kind, differs, created.as_ref()),
        Failure::RecordUnreadable { problem, created } => unreadable(kind, problem, created.as_ref()),
        Failure::Withdrawn => withdrawn(),
        Failure::Undoing { leftovers } => {
            let what = "what an earlier attempt with this request_id had prepared is not deleted yet";
            unavailable(what, Effect::MayExist(kind))
                .at_stage(Stage::Undo)
                .metadata("may_exist", true)
                .metadata("leftovers", leftovers.join(","))
        }
        Failure::LeftBehind { failure, leftovers } => failed(failure, of)
            .also(
                "what it had prepared and could not delete again is in this error's metadata (leftovers): a retry \
                 with the same request_id uses it, and DeleteHubSpotDataflow with create_request_id deletes it",
            )
            .metadata("leftovers", leftovers.join(",")),
        Failure::RequestInProgress { retry_after } => {
            let message = "the creation with this request_id is in progress elsewhere: repeat the call to get its outcome";
            RpcError::new(Code::Aborted, Reason::RequestInProgress, message)
                .at_stage(Stage::Claim)
                .metadata("may_exist", true)
                .retry_after(*retry_after)
        }
        Failure::TooMany { may_exist } => {
            let message = "too many calls are in progress: try again later, with the same request_id";
            too_many(message).metadata("may_exist", may_exist)
        }
        Failure::Store { error, may_exist } => store_failed(error, effect(*may_exist), SAME_ID)
            .at_stage(Stage::Claim)
            .metadata("may_exist", may_exist),
        Failure::Operation(error) => error.failed(sandbox, generated, of.may_be_forgotten),
        Failure::Abandoned { may_exist } => {
            let what = "no caller was waiting for the creation";
            unavailable(what, effect(*may_exist)).metadata("may_exist", may_exist)
        }
    }
}

const SAME_ID: &str = ", with the same request_id";

/// `how` follows the advice to try again.
pub(crate) fn store_failed(error: &StoreError, effect: Effect, how: &str) -> RpcError {
    if matches!(error, StoreError::Full) {
        return too_many(
            &effect.message("the store of request ids is full", &format!("try again later{how}")),
        );
    }
    let what = "the store that prevents duplicate creations cannot be used";
    let message = effect.message(what, &format!("try again{how}"));
    RpcError::new(Code::Unavailable, Reason::StoreUnavailable, message).retry_after(DEFAULT_RETRY)
}

fn not_created(error: &CallError, kind: Kind, upstream: Upstream<'_>) -> RpcError {
    // The use case searches for the resource and does not return such an error.
    if error.may_have_arrived() || matches!(error, CallError::OtherSource) {
        return outcome_unknown(kind, false);
    }
    let failure = call_failed(error, upstream);
    if matches!(error, CallError::Throttled { problem: None, .. }) {
        // Another call was asked to wait.
        failure
    } else if matches!(error, CallError::Stopping) {
        failure.at_stage(Stage::AdobeToken)
    } else {
        failure.at_stage(Stage::Create)
    }
}

fn outcome_unknown(kind: Kind, generated: bool) -> RpcError {
    let what = format!("the outcome of the creation is not known, and the {kind} may exist");
    let [safe, unsafe_without] = ["that is safe", "that is safe, and repeating it without is not"];
    unknown(&what, generated, safe, unsafe_without).at_stage(Stage::Reconcile)
}

/// The code depends on whether the caller sent a request_id: without one, repeating the call unchanged could create
/// a second resource.
pub(crate) fn unknown(what: &str, generated: bool, with_own: &str, with_generated: &str) -> RpcError {
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

fn ambiguous(kind: Kind, candidates: &[impl fmt::Display]) -> RpcError {
    let shown: Vec<_> = candidates.iter().take(MAX_CANDIDATES).map(ToString::to_string).collect();
    let message = if shown.is_empty() {
        format!(
            "the reply to a creation with this request_id was lost, and no {kind} that could be the one created was \
             found: look for it in Adobe Experience Platform; if it is missing, use a new request_id"
        )
    } else {
        format!(
            "it is not known whether this request_id has created a {kind}, and each of the candidates in this error's \
             metadata could be the {kind}: if one is yours, use it, and delete surplus ones of yours; if none is \
             yours, use a new request_id"
        )
    };
    RpcError::new(Code::FailedPrecondition, Reason::OutcomeAmbiguous, message)
        .metadata("candidates", shown.join(","))
        .metadata("may_exist", true)
}

fn reused(kind: Kind, differs: &[String], created: Option<&Made>) -> RpcError {
    let fields = differs.join(", ");
    let message = match created {
        None => format!(
            "the request_id is that of an earlier creation with another {fields}: to retry that one, repeat \
             its request unchanged; for another creation, use a new request_id"
        ),
        Some(Made { kind: made, id }) => {
            let change = match made {
                Kind::Connection => "to change that or its credentials, call UpdateHubSpotConnection; ",
                Kind::Dataflow => "",
            };
            format!(
                "the request_id is that of an earlier creation with another {fields}, which created the \
                 {made} {id}: {change}for another {kind}, use a new request_id"
            )
        }
    };
    RpcError::new(Code::InvalidArgument, Reason::RequestIdReused, message)
        .metadata("differs", differs.join(","))
        .made(created)
}

/// A record that proves neither that something was created nor that nothing was.
fn unreadable(kind: Kind, problem: &RecordProblem, created: Option<&Made>) -> RpcError {
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
    let message = Effect::MayExist(kind).message(what, cure);
    RpcError::new(Code::Internal, Reason::RecordUnreadable, message)
        .at_stage(Stage::Claim)
        .metadata("may_exist", true)
        .made(created)
}

/// Only dataflows can be withdrawn.
fn withdrawn() -> RpcError {
    let cure = "use a new request_id";
    let message = format!(
        "the creation with this request_id was given up with DeleteHubSpotDataflow, and creates nothing any more: {cure}"
    );
    RpcError::new(Code::FailedPrecondition, Reason::DataflowState, message)
        .at_stage(Stage::Claim)
        .preconditions([("request_id".to_owned(), cure.to_owned())])
        .metadata("may_exist", false)
}

impl RpcError {
    /// The resource that an earlier creation has made.
    fn made(self, made: Option<&Made>) -> Self {
        let key = match made.map(|made| made.kind) {
            Some(Kind::Dataflow) => "dataflow_id",
            Some(Kind::Connection) | None => "connection_id",
        };
        self.metadata_if(key, made.map(|made| &made.id))
    }
}
