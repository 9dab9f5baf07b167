//! What a failed request to Adobe means for a dry run, which reports it as a check.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    adobe::{AskedService, CallError, Problem, Refusal, TokenErrorKind},
    error::error_chain,
};

/// How much earlier than its deadline the last request of a call that reports checks ends: what was found is worth more
/// to the caller than an exceeded deadline.
const RESPONDING: Duration = Duration::from_millis(100);

/// When the last request of a call that reports checks has to end.
pub(super) fn respond_by(deadline: Instant) -> Instant {
    deadline.checked_sub(RESPONDING).unwrap_or(deadline)
}

/// Whether a failure is about the access token or the credentials of this service, whatever was asked for.
pub(super) fn is_of_token(error: &CallError) -> bool {
    matches!(error, CallError::Token(_) | CallError::NoTokenInTime | CallError::TokenRefused { .. })
        || error.refusal() == Some(Refusal::Credentials)
}

/// What is wrong, and what to do about it. `about`: what was asked for.
pub(super) fn finding(error: &CallError, service: AskedService, about: &str) -> String {
    // The causes have addresses, which are for the log.
    let said = error.problem().map_or_else(|| error.to_string(), ToString::to_string);
    match error.refusal() {
        Some(Refusal::Permission) => format!(
            "{service} does not permit this service to read the {about} ({said}): an operator has to give its credential \
             the {} in the sandbox",
            service.permissions()
        ),
        Some(
            refusal @ (Refusal::Credentials
            | Refusal::SandboxNotFound
            | Refusal::Source
            | Refusal::OwnRequest),
        ) => {
            let advice = refusal.advice(service);
            format!("{} ({said}): {}", advice.what, advice.cure)
        }
        Some(_) => format!("{service} refuses a request about the {about} ({said}): check the request"),
        None => {
            let (advice, said) = match error {
                CallError::Token(cause) => (cause.kind.advice(), cause.said()),
                CallError::TokenRefused { problem } => {
                    (TokenErrorKind::TokenRefused.advice(), format!(" {}", problem.said()))
                }
                CallError::Unrecognized { problem, .. } => {
                    (Problem::unrecognized(service), format!(" {}", problem.said()))
                }
                CallError::BreakerOpen { .. }
                | CallError::NoTokenInTime
                | CallError::TooLate
                | CallError::Stopping
                | CallError::Unreachable(_)
                | CallError::Refused { .. }
                | CallError::Throttled { .. }
                | CallError::OtherSource
                | CallError::Unavailable { .. }
                | CallError::Undecodable(_) => {
                    let cause = error_chain(error);
                    tracing::warn!(cause, "a dry run cannot ask {service} about the {about}");
                    return format!("{service} cannot be asked about the {about} ({said}): try again");
                }
            };
            format!("{}{said}: {}", advice.what, advice.cure)
        }
    }
}
