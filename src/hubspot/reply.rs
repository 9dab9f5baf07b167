//! Reads the reply to an introspection.
//!
//! HubSpot documents two forms of errors, OAuth's and its own, and its codes have come in several members. A no needs a
//! code that is known: any other reply of HubSpot's is unclear, and any other reply is not HubSpot's.

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
const OF_TOKEN: [&str; 6] = [
    "invalid_grant",
    "invalid_token",
    "bad_refresh_token",
    "bad_access_token",
    "expired_authentication",
    "expired_token",
];
/// The members that have had a code.
const CODES: [&str; 5] = ["error", "status", "category", "subCategory", "errorType"];

/// The head of a reply.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
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
    if status == 429 {
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
    let codes: Vec<_> = CODES.iter().filter_map(|name| reply.text(name)).collect();
    if !is_error_of_hubspot(&reply, &codes) {
        return Err(head.unrecognized());
    }
    let said = said(&reply, &secrets);
    if status == 408 || status >= 500 {
        return Err(NoAnswer::Fails { status, said });
    }
    let has = |known: &[&str]| {
        status >= 400 && codes.iter().any(|code| known.contains(&&*code.to_ascii_lowercase()))
    };
    match (has(&OF_CLIENT) || status >= 400 && names_client(&reply), has(&OF_TOKEN)) {
        (true, false) => Ok(Answer::ClientRefused { said }),
        (false, true) => Ok(Answer::Inactive { client: ClientAnswer::Unknown, said }),
        (true, true) | (false, false) => Err(NoAnswer::Unclear { status, said }),
    }
}

/// Whether an error has one of HubSpot's forms. A proxy has none of them.
fn is_error_of_hubspot(reply: &Object<'_>, codes: &[String]) -> bool {
    let has_text = |name: &str| reply.text(name).is_some_and(|text| !text.trim().is_empty());
    let is_known = |code: &String| {
        let code = code.to_ascii_lowercase();
        OF_CLIENT.contains(&&*code) || OF_TOKEN.contains(&&*code)
    };
    (has_text("message") && (has_text("correlationId") || has_text("category")))
        || (has_text("error") && has_text("error_description"))
        || codes.iter().any(is_known)
}

/// Whether the text of an error without a known code names the application: HubSpot's older sentences are
/// "missing or unknown client id" and "missing or invalid client secret".
fn names_client(reply: &Object<'_>) -> bool {
    let text = ["message", "error_description"].into_iter().find_map(|name| reply.text(name));
    let text = text.unwrap_or_default().to_ascii_lowercase().replace('_', " ");
    ["client id", "client secret"].iter().any(|part| text.contains(part))
        && ["invalid", "unknown", "incorrect", "mismatch", "not match"].iter().any(|word| text.contains(word))
}

/// The text of an error, fit to be shown: in brackets, with a space before it.
fn said(reply: &Object<'_>, secrets: &SecretSearch) -> String {
    let text = ["message", "error_description", "error"].into_iter().find_map(|name| reply.text(name));
    let text = text.and_then(|text| shown(&without_tokens(&text), MOST_SAID, secrets));
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
        app_id: reply.integer("app_id"),
        hub_id: reply.integer("hub_id"),
        kind,
        scopes: scopes(reply, secrets),
    }
}

/// The scopes: a list, or words as OAuth has them. One that cannot be read makes all of them unknown.
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
    (scopes.len() <= MOST_SCOPES && scopes.iter().all(is_scope)).then_some(scopes)
}

#[cfg(test)]
mod tests;
