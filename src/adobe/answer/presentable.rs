//! Error replies without credentials, fit to be shown to a caller and logged.

use secrecy::ExposeSecret as _;

use super::{error_body::ErrorBody, problem::Problem};
use crate::{
    domain::HubSpotCredentials,
    secret::{
        redaction::{MAX_CHARS, hide, shown, without},
        search::SecretSearch,
    },
};

const MAX_ID_CHARS: usize = 100;

/// Makes an error reply fit to be shown to a caller and logged. `secrets` are those that were sent with the
/// request, which the reply may repeat.
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

/// Whether a text can be an id. One with other characters repeats something else.
fn is_id(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '|' | '/'))
}

/// Removes credentials from a text.
pub fn redacted(text: &str, credentials: &HubSpotCredentials) -> String {
    without(text, &credentials.all().map(|credential| credential.expose_secret()))
}
