//! Errors of Adobe's services.

use std::time::Duration;

use tonic::Code;

use super::{DEFAULT_RETRY, Reason, RpcError};
use crate::{
    adobe::{Advice, AskedService, CallError, Problem, Refusal, TokenError, TokenErrorKind},
    domain::{SandboxName, Stage},
    exactly_once::Kind,
    service::dataflows::error::Part,
};

/// The effect of a failed call, which the caller of a write has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The call only reads.
    None,
    NothingCreated(Kind),
    /// This call created nothing, but an earlier one may have.
    MayExist(Kind),
    NothingChanged,
    NothingDeleted,
}

impl Effect {
    /// A message: what went wrong, the effect, and what to do.
    pub(crate) fn message(self, what: &str, cure: &str) -> String {
        match self.sentence() {
            "" => format!("{what}: {cure}"),
            effect => format!("{what}; {effect}: {cure}"),
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::None => "",
            Self::MayExist(Kind::Connection) => "an earlier attempt may have created the connection",
            Self::MayExist(Kind::Dataflow) => "an earlier attempt may have created the dataflow",
            Self::NothingCreated(Kind::Connection) => "nothing was created",
            // What was prepared for it may exist.
            Self::NothingCreated(Kind::Dataflow) => "no dataflow was created",
            Self::NothingChanged => "nothing was changed",
            Self::NothingDeleted => "nothing was deleted",
        }
    }
}

/// What a request to Adobe was about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upstream<'a> {
    pub(crate) part: Part,
    pub(crate) sandbox: &'a SandboxName,
    pub(crate) effect: Effect,
}

/// A failed request to Adobe.
pub(crate) fn call_failed(error: &CallError, upstream: Upstream<'_>) -> RpcError {
    let Upstream { part, effect, .. } = upstream;
    let service = part.service();
    match error {
        CallError::Token(error) => token(error, effect),
        CallError::BreakerOpen { retry_after } => {
            let message = effect.message(&format!("{service} fails"), "try again later");
            RpcError::new(Code::Unavailable, Reason::BreakerOpen, message).retry_after(*retry_after)
        }
        CallError::NoTokenInTime => {
            unavailable("there was no Adobe access token in time", effect).at_stage(Stage::AdobeToken)
        }
        CallError::TooLate => unavailable("the request could not be sent in time", effect),
        CallError::Stopping => unavailable("this replica is stopping", effect),
        CallError::Unreachable(_) => unavailable(&format!("{service} cannot be reached"), effect),
        CallError::TokenRefused { problem } => token_refused(problem, effect),
        CallError::Refused { refusal, problem } => refused(*refusal, problem, upstream),
        CallError::Throttled { retry_after, problem } => throttled(*retry_after, problem.as_ref(), effect),
        CallError::Unavailable { retry_after, problem, cause: _ } => match problem {
            Some(problem) if problem.is_of_source() => source_unavailable(problem, effect),
            None => unavailable(&format!("{service} cannot be reached or did not respond in time"), effect),
            Some(problem) => {
                unavailable(&format!("{service} fails {}", problem.said()), effect).problem(&**problem)
            }
        }
        .retry_after(*retry_after),
        CallError::Unrecognized { retry_after, problem } => {
            unrecognized(&Problem::unrecognized(service).what, problem, *retry_after, effect.sentence(), part)
        }
        // Where the call names the connection, the caller of this function handles it.
        CallError::OtherSource => refused(Refusal::NotFound, &Problem::default(), upstream),
        CallError::Undecodable(_) => RpcError::new(
            Code::Internal,
            Reason::UpstreamUndecodable,
            effect.message(
                &format!("{service} sent a response that this service cannot read"),
                "the log of this service has the details, for its operator",
            ),
        ),
    }
}

fn token(error: &TokenError, effect: Effect) -> RpcError {
    let delay = Some(error.retry_after.unwrap_or(DEFAULT_RETRY));
    let (code, reason, said, delay) = match error.kind {
        // Only IMS can tell that the credential is wrong. Any other failure may be temporary.
        TokenErrorKind::BadCredentials | TokenErrorKind::BadScope => {
            (Code::FailedPrecondition, Reason::PlatformCredentialsRejected, String::new(), None)
        }
        TokenErrorKind::Throttled => {
            (Code::ResourceExhausted, Reason::UpstreamThrottled, String::new(), delay)
        }
        TokenErrorKind::TokenRefused | TokenErrorKind::SecretUnreadable | TokenErrorKind::Unavailable => {
            (Code::Unavailable, Reason::UpstreamUnavailable, error.said(), delay)
        }
        TokenErrorKind::Unrecognized if error.may_pass() => {
            (Code::Unavailable, Reason::UpstreamUnrecognized, error.said(), delay)
        }
        TokenErrorKind::Unrecognized => {
            (Code::FailedPrecondition, Reason::UpstreamUnrecognized, error.said(), None)
        }
    };
    let advice = error.kind.advice();
    RpcError::new(code, reason, effect.message(&format!("{}{said}", advice.what), &advice.cure))
        .retry_after(delay)
        .metadata_if("upstream_status", error.status)
        .metadata_if("upstream_code", error.code.as_ref())
        .at_stage(Stage::AdobeToken)
}

/// The Flow Service rejects a token that IMS has just issued.
fn token_refused(problem: &Problem, effect: Effect) -> RpcError {
    let advice = TokenErrorKind::TokenRefused.advice();
    let message = effect.message(&format!("{} {}", advice.what, problem.said()), &advice.cure);
    RpcError::new(Code::Unavailable, Reason::UpstreamUnavailable, message)
        .problem(problem)
        .retry_after(DEFAULT_RETRY)
}

fn refused(refusal: Refusal, problem: &Problem, upstream: Upstream<'_>) -> RpcError {
    let Upstream { part, sandbox, effect } = upstream;
    let advice = refusal.advice(part.service());
    let is_sandbox = refusal == Refusal::SandboxNotFound;
    let what = if is_sandbox { format!("the sandbox {sandbox} does not exist").into() } else { advice.what };
    let cure = match (refusal, effect) {
        // There is nothing to test yet.
        (Refusal::Source, Effect::NothingCreated(Kind::Connection)) => {
            "correct the credentials, and repeat the call".into()
        }
        (Refusal::Source, Effect::MayExist(Kind::Connection)) => {
            "repeat the call unchanged, which finds what that attempt has created; correct the credentials afterwards"
                .into()
        }
        _ => advice.cure,
    };
    let message = effect.message(&format!("{what} {}", problem.said()), &cure);
    let (code, reason) = match refusal {
        Refusal::Request
        | Refusal::Source
        | Refusal::NotFound
        | Refusal::EtagMismatch
        | Refusal::InUse
        | Refusal::State => (Code::InvalidArgument, Reason::UpstreamRejected),
        Refusal::OwnRequest => (Code::FailedPrecondition, Reason::UpstreamRejected),
        Refusal::SandboxNotFound => (Code::NotFound, Reason::SandboxNotFound),
        Refusal::Credentials => (Code::FailedPrecondition, Reason::PlatformCredentialsRejected),
        Refusal::Permission => (Code::FailedPrecondition, Reason::PlatformPermissionMissing),
    };
    let failure = RpcError::new(code, reason, message).problem(problem);
    if is_sandbox {
        failure.resource("sandbox", sandbox.as_str(), "does not exist in the organization")
    } else {
        failure
    }
}

/// A reply that is not Adobe's: for an operator, unless it may be temporary.
pub(crate) fn unrecognized(
    what: &str,
    problem: &Problem,
    retry_after: Option<Duration>,
    effect: &str,
    part: Part,
) -> RpcError {
    let effect = if effect.is_empty() { String::new() } else { format!("; {effect}") };
    let Advice { cure, .. } = Problem::unrecognized(part.service());
    let message = format!("{what} {}{effect}: {cure}", problem.said());
    let failure = |code| RpcError::new(code, Reason::UpstreamUnrecognized, message).problem(problem);
    if problem.may_pass() {
        failure(Code::Unavailable).retry_after(retry_after.unwrap_or(DEFAULT_RETRY))
    } else {
        failure(Code::FailedPrecondition)
    }
}

/// HubSpot fails, for this connection: other connections may work.
fn source_unavailable(problem: &Problem, effect: Effect) -> RpcError {
    let what = format!("the source of the connection fails {}", problem.said());
    let cure = format!(
        "try again; if that does not help, {}",
        Refusal::Source.advice(AskedService::FlowService).cure
    );
    RpcError::new(Code::Unavailable, Reason::UpstreamUnavailable, effect.message(&what, &cure))
        .retry_after(DEFAULT_RETRY)
        .problem(problem)
}

fn throttled(retry_after: Option<Duration>, problem: Option<&Problem>, effect: Effect) -> RpcError {
    let what = match problem.filter(|problem| problem.is_of_source()) {
        None => "Adobe throttles this service".to_owned(),
        Some(problem) => format!("the source of the connection throttles {}", problem.said()),
    };
    let message = effect.message(&what, "try again later");
    RpcError::new(Code::ResourceExhausted, Reason::UpstreamThrottled, message)
        .retry_after(retry_after.unwrap_or(DEFAULT_RETRY))
        .problem(problem)
}

pub(crate) fn unavailable(what: &str, effect: Effect) -> RpcError {
    RpcError::new(Code::Unavailable, Reason::UpstreamUnavailable, effect.message(what, "try again"))
        .retry_after(DEFAULT_RETRY)
}
