//! Reads the reply to an introspection.
//!
//! HubSpot documents two forms of errors, OAuth's and its own, and its codes have come in several members. A no needs a
//! code that is known, in a reply that is certainly HubSpot's: a proxy may refuse a request with OAuth's codes as well.
//! Any other reply of HubSpot's is unclear, and any other reply is not HubSpot's.

use secrecy::ExposeSecret as _;

use super::{Answer, ClientAnswer, NoAnswer, TokenInfo, TokenKind};
use crate::{
    domain::HubSpotCredentials,
    json::Object,
    secret::{
        redaction::{hide, shown, without_tokens},
        search::SecretSearch,
    },
};

/// How much of HubSpot's text is shown, in characters.
const MOST_SAID: usize = 300;
const MOST_SCOPES: usize = 1000;
const MOST_SCOPE_CHARS: usize = 100;

/// The codes of a refused application.
const OF_CLIENT: [&str; 3] = ["invalid_client", "bad_client_id", "bad_client_secret"];
/// The codes of a token that is unknown, expired or revoked.
const OF_TOKEN: [&str; 3] = ["invalid_grant", "bad_refresh_token", "bad_access_token"];
/// The members that have had a code.
const CODES: [&str; 5] = ["error", "status", "category", "subCategory", "errorType"];

/// The head of a reply.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    /// Whether it has a header that only HubSpot sends.
    pub(crate) is_hubspots: bool,
}

impl Head {
    /// The reply is not HubSpot's.
    pub(super) fn unrecognized(&self) -> NoAnswer {
        let content_type = self.content_type.clone().unwrap_or_else(|| "no content type".to_owned());
        NoAnswer::Unrecognized { status: self.status, content_type }
    }
}

/// Reads a reply.
///
/// # Errors
/// It is neither a yes nor a no.
pub(crate) fn read(head: &Head, body: &[u8], credentials: &HubSpotCredentials) -> Result<Answer, NoAnswer> {
    let status = head.status;
    if status == 429 && head.is_hubspots {
        return Err(NoAnswer::Throttled);
    }
    let reply = Object::parse(body).map_err(|_| head.unrecognized())?;
    let secrets = SecretSearch::new(&credentials.all().map(|credential| credential.expose_secret()));
    if (200..300).contains(&status) {
        return match boolean(&reply, "active") {
            Some(true) => Ok(Answer::Active(token(&reply, credentials, &secrets))),
            Some(false) => Ok(Answer::Inactive { client: ClientAnswer::Accepted, said: String::new() }),
            None if reply.names("active") => Err(NoAnswer::Unclear { status, said: String::new() }),
            None => Err(head.unrecognized()),
        };
    }
    if !is_error_of_hubspot(&reply) {
        return Err(head.unrecognized());
    }
    if status == 429 {
        return Err(if is_throttle(&reply) { NoAnswer::Throttled } else { head.unrecognized() });
    }
    let said = said(&reply, &secrets);
    if status == 408 || status >= 500 {
        return Err(NoAnswer::Fails { status, said });
    }
    let codes: Vec<_> = CODES.iter().filter_map(|name| reply.text(name)).collect();
    let may_refuse = status >= 400 && is_certainly_hubspots(&reply);
    let has =
        |known: &[&str]| may_refuse && codes.iter().any(|code| known.contains(&&*code.to_ascii_lowercase()));
    match (has(&OF_CLIENT), has(&OF_TOKEN)) {
        (true, false) => Ok(Answer::ClientRefused { said }),
        (false, true) => Ok(Answer::Inactive { client: ClientAnswer::Unknown, said }),
        (true, true) | (false, false) => Err(NoAnswer::Unclear { status, said }),
    }
}

fn has_text(reply: &Object<'_>, name: &str) -> bool {
    reply.text(name).is_some_and(|text| !text.trim().is_empty())
}

/// Whether an error has a form that HubSpot uses. OAuth's may also be that of another server.
fn is_error_of_hubspot(reply: &Object<'_>) -> bool {
    is_certainly_hubspots(reply)
        || (has_text(reply, "message") && (has_text(reply, "category") || has_text(reply, "errorType")))
        || (has_text(reply, "error") && has_text(reply, "error_description"))
}

/// Whether an error has a member that only HubSpot uses.
fn is_certainly_hubspots(reply: &Object<'_>) -> bool {
    has_text(reply, "correlationId") || reply.text("status").is_some_and(|status| status.starts_with("BAD_"))
}

/// Whether an error with the status of a throttle has HubSpot's own form.
fn is_throttle(reply: &Object<'_>) -> bool {
    ["correlationId", "category", "errorType"].iter().any(|name| has_text(reply, name))
}

/// The text of an error, fit to be shown: in brackets, with a space before it.
fn said(reply: &Object<'_>, secrets: &SecretSearch) -> String {
    let text = ["message", "error_description", "error"].into_iter().find_map(|name| reply.text(name));
    // The credentials first: a part of one that looks like a word of its own would leave the rest too short to be found.
    let text = text.and_then(|text| shown(&without_tokens(&hide(&text, secrets)), MOST_SAID, secrets));
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

/// A flag, which may also be written as a string.
fn boolean(reply: &Object<'_>, name: &str) -> Option<bool> {
    reply.flag(name).or_else(|| reply.text(name)?.parse().ok())
}

fn token(reply: &Object<'_>, credentials: &HubSpotCredentials, secrets: &SecretSearch) -> TokenInfo {
    let client_id = credentials.client_id.expose_secret();
    let kind = reply.text("token_use").and_then(|kind| match &*kind.to_ascii_lowercase() {
        "access_token" => Some(TokenKind::Access),
        "refresh_token" => Some(TokenKind::Refresh),
        _ => None,
    });
    TokenInfo {
        is_of_client: reply.text("client_id").map(|id| id.eq_ignore_ascii_case(client_id)),
        app_id: id(reply, "app_id", secrets),
        hub_id: id(reply, "hub_id", secrets),
        kind,
        scopes: scopes(reply, secrets),
    }
}

/// An ID, unless it repeats a credential.
fn id(reply: &Object<'_>, name: &str, secrets: &SecretSearch) -> Option<i64> {
    let id = reply.integer(name).filter(|id| *id > 0)?;
    let text = id.to_string();
    (hide(&text, secrets) == text).then_some(id)
}

/// The scopes: a list, or words as OAuth has them. One that cannot be read makes all of them unknown, and so do parts of
/// a credential.
fn scopes(reply: &Object<'_>, secrets: &SecretSearch) -> Option<Vec<String>> {
    let scopes = match reply.array("scopes") {
        Some(items) => {
            let texts = items.into_iter().map(|item| serde_json::from_str::<String>(item.get()).ok());
            texts.collect::<Option<Vec<_>>>()?
        }
        None => {
            let words = reply.text("scopes").or_else(|| reply.text("scope"))?;
            words.split_whitespace().map(str::to_owned).collect()
        }
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/');
    let is_scope = |scope: &String| {
        (1..=MOST_SCOPE_CHARS).contains(&scope.len())
            && scope.chars().all(is_part)
            && hide(scope, secrets) == *scope
            && without_tokens(scope) == *scope
    };
    let is_readable = scopes.len() <= MOST_SCOPES && scopes.iter().all(is_scope);
    let all = scopes.concat();
    (is_readable && hide(&all, secrets) == all).then_some(scopes)
}

#[cfg(test)]
mod tests;
