//! What Adobe's side did not do, in the errors of every call.

use std::time::Duration;

use tonic::Code;

use super::{Answer, DEFAULT_RETRY, Reason};
use crate::{
    adobe::{CallError, Problem, Refusal, TokenError, TokenErrorKind},
    domain::{SandboxName, Stage},
};

/// What a failure leaves behind: a caller of something that writes has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// It was only to be read.
    None,
    NothingCreated,
    /// This call created nothing, and an earlier one may have.
    MayExist,
    NothingChanged,
    NothingDeleted,
}

impl Consequence {
    /// The sentence between what went wrong and what to do.
    pub(super) fn between(self, what: &str, cure: &str) -> String {
        match self.sentence() {
            "" => format!("{what}: {cure}"),
            so => format!("{what}; {so}: {cure}"),
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::None => "",
            Self::MayExist => "an earlier attempt may have created the connection",
            Self::NothingCreated => "nothing was created",
            Self::NothingChanged => "nothing was changed",
            Self::NothingDeleted => "nothing was deleted",
        }
    }
}

/// A request other than a creation that did not get its answer.
pub(super) fn call_failed(error: &CallError, sandbox: &SandboxName, so: Consequence) -> Answer {
    match error {
        CallError::Token(error) => token(error, so),
        CallError::BreakerOpen { retry_after } => breaker_open(*retry_after, so),
        CallError::NoTokenInTime => no_token_in_time(so),
        CallError::TooLate => unavailable("the request could not be sent in time", so),
        CallError::Stopping => unavailable("this replica is stopping", so),
        CallError::Unreachable(_) => unavailable("the Flow Service cannot be reached", so),
        CallError::TokenRefused { problem } => token_refused(problem, so),
        CallError::Refused { refusal, problem } => refused(*refusal, problem, sandbox, so),
        CallError::Throttled { retry_after, problem } => throttled(*retry_after, problem.as_ref(), so),
        CallError::Unavailable { retry_after, problem, cause: _ } => {
            let answer = match problem {
                Some(problem) if problem.is_of_source() => source_unavailable(problem, so),
                None => unavailable("the Flow Service cannot be reached or did not answer in time", so),
                Some(problem) => {
                    unavailable(&format!("the Flow Service fails {}", problem.said()), so).problem(problem)
                }
            };
            match retry_after {
                Some(delay) => answer.retry_after(*delay),
                None => answer,
            }
        }
        CallError::Unrecognized { retry_after, problem } => {
            unrecognized(Problem::UNRECOGNIZED.what, problem, *retry_after, so.sentence())
        }
        // A call that is about one connection says so itself.
        CallError::OtherSource => refused(Refusal::NotFound, &Problem::default(), sandbox, so),
        CallError::Undecodable(_) => Answer::new(
            Code::Internal,
            Reason::UpstreamUndecodable,
            so.between(
                "the Flow Service gave an answer that this service cannot read",
                "the log of this service has the details, for its operator",
            ),
        ),
    }
}

pub(super) fn token(error: &TokenError, so: Consequence) -> Answer {
    let delay = error.retry_after.unwrap_or(DEFAULT_RETRY);
    let advice = error.kind.advice();
    let mut answer = match error.kind {
        // Only IMS knows that the credential is wrong. Anything else may pass by itself.
        TokenErrorKind::BadCredentials | TokenErrorKind::BadScope => Answer::new(
            Code::FailedPrecondition,
            Reason::PlatformCredentialsRejected,
            so.between(advice.what, advice.cure),
        ),
        TokenErrorKind::Throttled => throttled(Some(delay), None, so),
        TokenErrorKind::TokenRefused | TokenErrorKind::SecretUnreadable | TokenErrorKind::Unavailable => {
            let message = so.between(&format!("{}{}", advice.what, error.said()), advice.cure);
            Answer::new(Code::Unavailable, Reason::UpstreamUnavailable, message).retry_after(delay)
        }
        TokenErrorKind::Unrecognized => {
            let message = so.between(&format!("{}{}", advice.what, error.said()), advice.cure);
            Answer::new(Code::FailedPrecondition, Reason::UpstreamUnrecognized, message)
                .passing(error.may_pass().then_some(delay))
        }
    };
    if let Some(status) = error.status {
        answer = answer.metadata("upstream_status", status);
    }
    if let Some(code) = &error.code {
        answer = answer.metadata("upstream_code", code);
    }
    answer.metadata("stage", Stage::AdobeToken.name())
}

/// The Flow Service refuses a token that IMS has just issued.
pub(super) fn token_refused(problem: &Problem, so: Consequence) -> Answer {
    let advice = TokenErrorKind::TokenRefused.advice();
    let message = so.between(&format!("{} {}", advice.what, problem.said()), advice.cure);
    Answer::new(Code::Unavailable, Reason::UpstreamUnavailable, message)
        .problem(problem)
        .retry_after(DEFAULT_RETRY)
}

/// Adobe's IMS takes its time.
pub(super) fn no_token_in_time(so: Consequence) -> Answer {
    unavailable("there was no Adobe access token in time", so).metadata("stage", Stage::AdobeToken.name())
}

pub(super) fn refused(refusal: Refusal, problem: &Problem, sandbox: &SandboxName, so: Consequence) -> Answer {
    let advice = refusal.advice();
    let what = match refusal {
        Refusal::SandboxNotFound => format!("the sandbox {sandbox} does not exist"),
        Refusal::Source
        | Refusal::OwnRequest
        | Refusal::Request
        | Refusal::NotFound
        | Refusal::Credentials
        | Refusal::Permission
        | Refusal::EtagMismatch
        | Refusal::InUse
        | Refusal::State => advice.what.to_owned(),
    };
    let cure = match (refusal, so) {
        // There is nothing to test yet.
        (Refusal::Source, Consequence::NothingCreated) => "correct the credentials, and repeat the call",
        (Refusal::Source, Consequence::MayExist) => {
            "repeat the call unchanged, which finds what that attempt has created; correct the credentials afterwards"
        }
        _ => advice.cure,
    };
    let message = so.between(&format!("{what} {}", problem.said()), cure);
    match refusal {
        Refusal::Request
        | Refusal::Source
        | Refusal::NotFound
        | Refusal::EtagMismatch
        | Refusal::InUse
        | Refusal::State => Answer::new(Code::InvalidArgument, Reason::UpstreamRejected, message),
        Refusal::OwnRequest => Answer::new(Code::FailedPrecondition, Reason::UpstreamRejected, message),
        Refusal::SandboxNotFound => Answer::new(Code::NotFound, Reason::SandboxNotFound, message).resource(
            "sandbox",
            sandbox.as_str(),
            "does not exist in the organization",
        ),
        Refusal::Credentials => {
            Answer::new(Code::FailedPrecondition, Reason::PlatformCredentialsRejected, message)
        }
        Refusal::Permission => {
            Answer::new(Code::FailedPrecondition, Reason::PlatformPermissionMissing, message)
        }
    }
    .problem(problem)
}

/// A reply that is not Adobe's: for an operator, unless it may pass by itself. `so` is its consequence.
pub(super) fn unrecognized(what: &str, problem: &Problem, retry_after: Option<Duration>, so: &str) -> Answer {
    let so = if so.is_empty() { String::new() } else { format!("; {so}") };
    let message = format!("{what} {}{so}: {}", problem.said(), Problem::UNRECOGNIZED.cure);
    Answer::new(Code::FailedPrecondition, Reason::UpstreamUnrecognized, message)
        .problem(problem)
        .passing(problem.may_pass().then(|| retry_after.unwrap_or(DEFAULT_RETRY)))
}

/// A source that fails: of no other connection's is anything known by that.
fn source_unavailable(problem: &Problem, so: Consequence) -> Answer {
    let what = format!("the source of the connection fails {}", problem.said());
    let cure = format!("try again; where that does not help, {}", Refusal::Source.advice().cure);
    Answer::new(Code::Unavailable, Reason::UpstreamUnavailable, so.between(&what, &cure))
        .retry_after(DEFAULT_RETRY)
        .problem(problem)
}

pub(super) fn throttled(retry_after: Option<Duration>, problem: Option<&Problem>, so: Consequence) -> Answer {
    let message = match problem.filter(|problem| problem.is_of_source()) {
        None => so.between("Adobe throttles this service", "try again later"),
        Some(problem) => {
            let what = format!("the source of the connection throttles {}", problem.said());
            so.between(&what, "try again later")
        }
    };
    let answer = Answer::new(Code::ResourceExhausted, Reason::UpstreamThrottled, message)
        .retry_after(retry_after.unwrap_or(DEFAULT_RETRY));
    match problem {
        Some(problem) => answer.problem(problem),
        None => answer,
    }
}

pub(super) fn breaker_open(retry_after: Duration, so: Consequence) -> Answer {
    let message = so.between("the Flow Service fails", "try again later");
    Answer::new(Code::Unavailable, Reason::BreakerOpen, message).retry_after(retry_after)
}

pub(super) fn unavailable(what: &str, so: Consequence) -> Answer {
    Answer::new(Code::Unavailable, Reason::UpstreamUnavailable, so.between(what, "try again"))
        .retry_after(DEFAULT_RETRY)
}
