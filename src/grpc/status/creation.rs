//! Creations that did not succeed.

use tonic::{Code, Status};

use super::{
    Answer, DEFAULT_RETRY, Reason, too_many,
    upstream::{Consequence, breaker_open, refused, throttled, token, unavailable},
};
use crate::{
    domain::{CheckState, ConnectionId, SandboxName, Stage, TestReport},
    error_chain::error_chain,
    flow_service::{CreateError, Refusal},
    idempotency::StoreError,
    service::{self, Failure},
};

/// The most connections that an error lists.
const MAX_CANDIDATES: usize = 20;
const NOTHING: Consequence = Consequence::NothingCreated;

/// A creation that did not succeed.
pub(in crate::grpc) fn creation_failed(error: &service::Error) -> Status {
    tracing::Span::current().record("cause", error_chain(error));
    let service::Error { request_id, generated, sandbox, failure } = error;
    match &**failure {
        Failure::NotCreated(error) => not_created(error, sandbox),
        Failure::OutcomeUnknown { problem, cause: _ } => {
            let answer = outcome_unknown(*generated);
            match problem {
                Some(problem) => answer.problem(problem),
                None => answer,
            }
        }
        Failure::Crashed => outcome_unknown(*generated),
        Failure::Ambiguous(candidates) => ambiguous(candidates),
        Failure::RequestIdReused => Answer::new(
            Code::InvalidArgument,
            Reason::RequestIdReused,
            "the request_id is that of an earlier creation with other content: use a new one for each \
             creation, and repeat a request unchanged",
        ),
        Failure::RequestInProgress { retry_after } => Answer::new(
            Code::Aborted,
            Reason::RequestInProgress,
            "the creation with this request_id is under way elsewhere: repeat the call to get its outcome",
        )
        .metadata("stage", Stage::Claim.name())
        .retry_after(*retry_after),
        Failure::NameInProgress { retry_after } => Answer::new(
            Code::Aborted,
            Reason::RequestInProgress,
            "another creation of this name in this sandbox is under way, or its outcome is not known yet; \
             nothing was created: try again later, or use another name",
        )
        .metadata("stage", Stage::Claim.name())
        .retry_after(*retry_after),
        Failure::TooMany => {
            too_many("too many calls are under way: try again later, with the same request_id")
        }
        Failure::Store(StoreError::Full) => {
            too_many("too many request ids are remembered; nothing was created: try again later")
        }
        Failure::Store(StoreError::Unavailable(_) | StoreError::LeaseLost) => Answer::new(
            Code::Unavailable,
            Reason::StoreUnavailable,
            "the store that keeps a creation from being repeated cannot be reached; nothing was created: \
             try again",
        )
        .metadata("stage", Stage::Claim.name())
        .retry_after(DEFAULT_RETRY),
        Failure::VerificationFailed { report, left_behind } => {
            verification_failed(report, left_behind.as_ref())
        }
        Failure::VerificationPending { connection, report } => {
            verification_pending(connection, report, *generated)
        }
        Failure::Abandoned => unavailable("nobody waited for the creation any more", NOTHING),
    }
    .metadata("request_id", request_id)
    .build()
}

fn not_created(error: &CreateError, sandbox: &SandboxName) -> Answer {
    let create = Stage::Create.name();
    match error {
        CreateError::Token(error) => token(error, NOTHING),
        CreateError::BreakerOpen { retry_after } => {
            breaker_open(*retry_after, NOTHING).metadata("stage", create)
        }
        CreateError::Unreachable(_) | CreateError::TooLate => {
            unavailable("the Flow Service cannot be reached", NOTHING).metadata("stage", create)
        }
        CreateError::TokenRefused { problem } => {
            refused(Refusal::Credentials, problem, sandbox, NOTHING).metadata("stage", create)
        }
        CreateError::Refused { refusal, problem } => {
            refused(*refusal, problem, sandbox, NOTHING).metadata("stage", create)
        }
        CreateError::Throttled { retry_after, problem } => {
            let answer = throttled(*retry_after, problem.as_ref(), NOTHING);
            if problem.is_some() { answer.metadata("stage", create) } else { answer }
        }
        // The use case looks for it and says so itself.
        CreateError::OutcomeUnknown { .. } => outcome_unknown(false),
    }
}

/// The caller who has named the creation may repeat it; the one who has not gets the name to do so.
fn outcome_unknown(generated: bool) -> Answer {
    let message = "the creation was sent to the Flow Service and its answer was lost: the connection may exist. \
                   Repeat the call with";
    if generated {
        let message = format!(
            "{message} the request_id in this error's metadata: that is safe, and repeating it without is not"
        );
        Answer::new(Code::Unknown, Reason::OutcomeUnknown, message)
    } else {
        let message = format!("{message} the same request_id: that is safe");
        Answer::new(Code::Unavailable, Reason::OutcomeUnknown, message).retry_after(DEFAULT_RETRY)
    }
    .metadata("stage", Stage::Reconcile.name())
}

fn ambiguous(candidates: &[ConnectionId]) -> Answer {
    // Details travel in a header, which clients limit to 8 KiB.
    let shown: Vec<_> = candidates.iter().take(MAX_CANDIDATES).map(ConnectionId::as_str).collect();
    Answer::new(
        Code::FailedPrecondition,
        Reason::OutcomeAmbiguous,
        "the creation's answer was lost, and several connections could be the one created: delete the extra \
         ones of those in this error's metadata, and repeat the call with the same request_id",
    )
    .metadata("candidates", shown.join(","))
}

fn verification_failed(report: &TestReport, left_behind: Option<&ConnectionId>) -> Answer {
    let failed = report.checks.iter().filter(|check| check.state == CheckState::Failed);
    let kind = Reason::VerificationFailed.as_str_name();
    let violations =
        failed.map(|check| (kind.to_owned(), check.name.as_str().to_owned(), check.message.clone()));
    let found = found(report);
    let so = match left_behind {
        None => "and is deleted again".to_owned(),
        Some(id) => format!(
            "and was not deleted: delete {id} with DeleteHubSpotConnection, unless it is another creation's or \
             works by now"
        ),
    };
    let message = format!(
        "the connection was created, does not work {so} ({found}): correct what the checks say, and create it \
         with a new request_id"
    );
    let answer =
        Answer::new(Code::FailedPrecondition, Reason::VerificationFailed, message).preconditions(violations);
    match left_behind {
        None => answer,
        Some(id) => answer.metadata("connection_id", id),
    }
}

/// Without an id of its own the caller must not repeat the call as it was: that would create another
/// connection.
fn verification_pending(connection: &ConnectionId, report: &TestReport, generated: bool) -> Answer {
    let found = found(report);
    let message = format!(
        "the connection was created, and whether it works is not known yet ({found}): repeat the call with"
    );
    if generated {
        let message = format!(
            "{message} the request_id in this error's metadata: without it another connection is created"
        );
        Answer::new(Code::Unknown, Reason::OutcomeUnknown, message)
    } else {
        let message = format!("{message} the same request_id, which goes on with the verification");
        Answer::new(Code::Unavailable, Reason::OutcomeUnknown, message).retry_after(DEFAULT_RETRY)
    }
    .metadata("connection_id", connection)
    .metadata("stage", Stage::Verify.name())
}

/// The first thing in a report that is not as it should be.
fn found(report: &TestReport) -> String {
    let check = report.checks.iter().find(|check| check.state != CheckState::Passed);
    check.map_or_else(String::new, |check| format!("{}: {}", check.name.as_str(), check.message))
}
