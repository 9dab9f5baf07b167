//! Error replies without credentials, fit to be shown to a caller and logged.

use std::sync::Arc;

use secrecy::ExposeSecret;

use crate::adobe::{CallError, Problem, answer::error_body::ErrorBody};
use crate::{
    domain::HubSpotCredentials,
    error::{Cause, error_chain},
    secret::{
        redaction::{MAX_CHARS, hide, shown, without},
        search::SecretSearch,
    },
};

const MAX_ID_CHARS: usize = 100;

/// Makes an error answer fit to be shown to a caller and logged. `secrets` are those that went out
/// with the request: a peer that repeats one does not get it any further.
pub(crate) fn presentable(
    status: u16,
    body: ErrorBody,
    request_id: Option<&str>,
    secrets: &[&str],
) -> Problem {
    let secrets = SecretSearch::new(secrets);
    let clean = |text: &str, max_chars| shown(text, max_chars, &secrets);
    let is_clean = |text: &String| hide(text, &secrets) == *text;
    Problem {
        status,
        author: body.author,
        code: body.code.map(|code| code.to_string()).filter(is_clean),
        message: body.message.and_then(|message| clean(&message, MAX_CHARS)),
        request_id: [request_id, body.request_id.as_deref()]
            .into_iter()
            .flatten()
            .filter_map(|id| clean(id, MAX_ID_CHARS))
            .find(|id| is_id(id)),
        flows: body.flows.into_iter().filter(is_clean).collect(),
    }
}

/// Whether a text can be an id. One with other signs repeats something else.
fn is_id(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '|' | '/'))
}

/// Takes credentials out of a text.
pub fn redacted(text: &str, credentials: &HubSpotCredentials) -> String {
    without(text, &credentials.all().map(|credential| credential.expose_secret()))
}

impl CallError {
    /// The same without these credentials: an answer may repeat what an earlier request sent.
    pub fn redacted(&self, credentials: &HubSpotCredentials) -> Self {
        let text = |text: &String| redacted(text, credentials);
        let is_clean = |id: &&String| redacted(id, credentials) == **id;
        let problem = |problem: &Problem| Problem {
            status: problem.status,
            author: problem.author,
            code: problem.code.as_ref().map(text),
            message: problem.message.as_ref().map(text),
            request_id: problem.request_id.as_ref().filter(is_clean).cloned(),
            flows: problem.flows.iter().filter(is_clean).cloned().collect(),
        };
        let cause = |cause: &Cause| Cause::from(redacted(&error_chain(&**cause), credentials));
        match self {
            Self::Token(error) => Self::Token(Arc::clone(error)),
            Self::NoTokenInTime => Self::NoTokenInTime,
            Self::BreakerOpen { retry_after } => Self::BreakerOpen { retry_after: *retry_after },
            Self::Unreachable(error) => Self::Unreachable(cause(error)),
            Self::TokenRefused { problem: said } => Self::TokenRefused { problem: problem(said) },
            Self::Refused { refusal, problem: said } => {
                Self::Refused { refusal: *refusal, problem: problem(said) }
            }
            Self::Throttled { retry_after, problem: said } => {
                Self::Throttled { retry_after: *retry_after, problem: said.as_ref().map(problem) }
            }
            Self::OtherSource => Self::OtherSource,
            Self::Unavailable { retry_after, problem: said, cause: error } => Self::Unavailable {
                retry_after: *retry_after,
                problem: said.as_deref().map(problem).map(Box::new),
                cause: cause(error),
            },
            Self::Unrecognized { retry_after, problem: said } => {
                Self::Unrecognized { retry_after: *retry_after, problem: Box::new(problem(said)) }
            }
            Self::Undecodable(error) => Self::Undecodable(cause(error)),
        }
    }
}
