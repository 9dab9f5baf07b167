//! Creations that did not succeed.

use tonic::{Code, Status};

use super::{
    Answer, DEFAULT_RETRY, Reason, too_many,
    upstream::{
        Consequence, breaker_open, call_failed, no_token_in_time, refused, throttled, token, token_refused,
        unavailable,
    },
};
use crate::{
    adobe::CreateError,
    domain::{CheckState, ConnectionId, SandboxName, Stage, TestReport},
    error::error_chain,
    exactly_once::{RecordProblem, store::StoreError},
    service::{self, Failure, VerificationError},
};

/// The most connections that an error lists.
const MAX_CANDIDATES: usize = 20;
/// What the message of an error repeats of a check that it also lists.
const MOST_FOUND: usize = 200;

/// A creation that did not succeed.
pub(crate) fn creation_failed(error: &service::Error) -> Status {
    tracing::Span::current().record("cause", error_chain(error));
    let service::Error { request_id, generated, sandbox, failure } = error;
    match &**failure {
        Failure::NotCreated { error, may_exist } => {
            not_created(error, sandbox, consequence(*may_exist)).metadata("may_exist", may_exist)
        }
        Failure::OutcomeUnknown { problem, cause: _ } => {
            let answer = outcome_unknown(*generated);
            match problem {
                Some(problem) if problem.is_unrecognized() => answer.in_place_of(problem),
                Some(problem) => answer.problem(problem),
                None => answer,
            }
        }
        Failure::Crashed => outcome_unknown(*generated),
        Failure::NotSearched(error) => call_failed(error, sandbox, Consequence::MayExist)
            .metadata("stage", Stage::Reconcile.name())
            .metadata("may_exist", true),
        Failure::Ambiguous(candidates) => ambiguous(candidates),
        Failure::RequestIdReused { differs, created } => reused(differs, created.as_ref()),
        Failure::RecordUnreadable { problem, created } => unreadable(problem, created.as_ref()),
        Failure::RequestInProgress { retry_after } => Answer::new(
            Code::Aborted,
            Reason::RequestInProgress,
            "the creation with this request_id is in progress elsewhere: repeat the call to get its outcome",
        )
        .metadata("stage", Stage::Claim.name())
        .metadata("may_exist", true)
        .retry_after(*retry_after),
        Failure::TooMany { may_exist } => {
            too_many("too many calls are under way: try again later, with the same request_id")
                .metadata("may_exist", may_exist)
        }
        Failure::Store { error: StoreError::Full, may_exist } => too_many(
            &consequence(*may_exist)
                .between("too many request ids are remembered", "try again later, with the same request_id"),
        )
        .metadata("may_exist", may_exist),
        Failure::Store { error: _, may_exist } => {
            let what = "the store that prevents duplicate creations cannot be used";
            let message = consequence(*may_exist).between(what, "try again, with the same request_id");
            Answer::new(Code::Unavailable, Reason::StoreUnavailable, message)
                .metadata("stage", Stage::Claim.name())
                .metadata("may_exist", may_exist)
                .retry_after(DEFAULT_RETRY)
        }
        Failure::Operation(VerificationError::Failed { report, left_behind }) => {
            verification_failed(report, left_behind.as_ref())
        }
        Failure::Operation(VerificationError::Pending { connection, report }) => {
            verification_pending(connection, report, *generated)
        }
        Failure::Abandoned { may_exist } => {
            let so = consequence(*may_exist);
            unavailable("no caller waited for the creation any more", so).metadata("may_exist", may_exist)
        }
    }
    .metadata("request_id", request_id)
    .build()
}

fn consequence(may_exist: bool) -> Consequence {
    if may_exist { Consequence::MayExist } else { Consequence::NothingCreated }
}

fn not_created(error: &CreateError, sandbox: &SandboxName, so: Consequence) -> Answer {
    let create = Stage::Create.name();
    match error {
        CreateError::Token(error) => token(error, so),
        CreateError::BreakerOpen { retry_after } => breaker_open(*retry_after, so).metadata("stage", create),
        CreateError::Unreachable(_) => {
            unavailable("the Flow Service cannot be reached", so).metadata("stage", create)
        }
        CreateError::TooLate => {
            unavailable("the creation could not be sent in time", so).metadata("stage", create)
        }
        CreateError::NoTokenInTime => no_token_in_time(so),
        CreateError::Stopping => {
            let what = "this replica is stopping, and the creation still waited to be sent";
            unavailable(what, so).metadata("stage", Stage::AdobeToken.name())
        }
        CreateError::TokenRefused { problem } => token_refused(problem, so).metadata("stage", create),
        CreateError::Refused { refusal, problem } => {
            refused(*refusal, problem, sandbox, so).metadata("stage", create)
        }
        CreateError::Throttled { retry_after, problem } => {
            let answer = throttled(*retry_after, problem.as_ref(), so);
            if problem.is_some() { answer.metadata("stage", create) } else { answer }
        }
        // The use case looks for it and says so itself.
        CreateError::OutcomeUnknown { .. } => outcome_unknown(false),
    }
}

/// The caller who has named the creation may repeat it; the one who has not gets the name to do so.
fn outcome_unknown(generated: bool) -> Answer {
    let message = "the outcome of the creation is not known: the connection may exist. Repeat the call with";
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
    .metadata("may_exist", true)
}

fn ambiguous(candidates: &[ConnectionId]) -> Answer {
    // Details travel in a header, which clients limit to 8 KiB.
    let shown: Vec<_> = candidates.iter().take(MAX_CANDIDATES).map(ConnectionId::as_str).collect();
    let message = if shown.is_empty() {
        "the reply to a creation with this request_id was lost, and no connection that could be the one created was found: look \
         for it in Adobe Experience Platform; if it is missing, use a new request_id"
    } else {
        "it is not known whether this request_id has created a connection, and each of the candidates in this error's metadata could be the \
         connection: if one is yours, use it, and delete surplus ones of yours; if none is yours, use a new \
         request_id"
    };
    Answer::new(Code::FailedPrecondition, Reason::OutcomeAmbiguous, message)
        .metadata("candidates", shown.join(","))
        .metadata("may_exist", true)
}

fn reused(differs: &[String], connection: Option<&ConnectionId>) -> Answer {
    let fields = differs.join(", ");
    let message = match connection {
        None => format!(
            "the request_id is that of an earlier creation with another {fields}: to retry that one, repeat \
             its request unchanged; for another creation, use a new request_id"
        ),
        Some(id) => format!(
            "the request_id is that of an earlier creation with another {fields}, which created the \
             connection {id}: UpdateHubSpotConnection changes that, its credentials, too; for another \
             connection, use a new request_id"
        ),
    };
    let answer = Answer::new(Code::InvalidArgument, Reason::RequestIdReused, message)
        .metadata("differs", differs.join(","));
    about(answer, connection)
}

/// A record that proves neither that something was created nor that nothing was.
fn unreadable(problem: &RecordProblem, connection: Option<&ConnectionId>) -> Answer {
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
    let message = Consequence::MayExist.between(what, cure);
    let answer = Answer::new(Code::Internal, Reason::RecordUnreadable, message)
        .metadata("stage", Stage::Claim.name())
        .metadata("may_exist", true);
    about(answer, connection)
}

fn about(answer: Answer, connection: Option<&ConnectionId>) -> Answer {
    match connection {
        None => answer,
        Some(id) => answer.metadata("connection_id", id),
    }
}

fn verification_failed(report: &TestReport, left_behind: Option<&ConnectionId>) -> Answer {
    let failed = report.checks.iter().filter(|check| check.state == CheckState::Failed);
    let kind = Reason::VerificationFailed.as_str_name();
    let violations =
        failed.map(|check| (kind.to_owned(), check.name.as_str().to_owned(), check.message.clone()));
    // The violations have all of it: an error has little room in headers.
    let all = found(report);
    let mut found: String = all.chars().take(MOST_FOUND).collect();
    if found.len() < all.len() {
        found.push('…');
    }
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
    about(answer.metadata("may_exist", left_behind.is_some()), left_behind)
}

/// Without an id of its own the caller must not repeat the call as it was: that would create another
/// connection.
fn verification_pending(connection: &ConnectionId, report: &TestReport, generated: bool) -> Answer {
    let found = found(report);
    let message = format!(
        "the connection was created, and its verification is not finished ({found}): repeat the call with"
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
    .metadata("may_exist", true)
    .metadata("stage", Stage::Verify.name())
}

/// The first thing in a report that is not as it should be.
fn found(report: &TestReport) -> String {
    let check = report.checks.iter().find(|check| check.state != CheckState::Passed);
    check.map_or_else(String::new, |check| format!("{}: {}", check.name.as_str(), check.message))
}
