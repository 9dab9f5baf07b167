//! What went wrong in a run, in which part of it, and whether the credentials of the connection may be the cause.

use crate::{
    adobe::wire::presentable_text,
    domain::dataflow::{RunError, RunStage},
    json::Object,
};

/// The most errors of one run that are shown.
const MOST_ERRORS: usize = 20;
const MOST_CODE_CHARS: usize = 64;
/// Parts of texts about credentials, of HubSpot, of the connector and of OAuth.
const OF_CREDENTIALS: [&str; 15] = [
    "401",
    "403",
    "unauthorized",
    "unauthenticated",
    "forbidden",
    "credential",
    "bad_refresh_token",
    "expired_authentication",
    "invalid_authentication",
    "invalid_grant",
    "invalid_client",
    "access token",
    "accesstoken",
    "refresh token",
    "authentication",
];
/// Parts of texts about something else.
const OF_OTHER_CAUSES: [&str; 14] = [
    "429",
    "rate limit",
    "too many requests",
    "throttl",
    "timeout",
    "timed out",
    "500",
    "502",
    "503",
    "504",
    "not found",
    "does not exist",
    "unavailable",
    "invalid column",
];

/// The errors of a run and of its activities, each once.
pub(super) fn errors(status: &Object<'_>, records: &Object<'_>, activities: &[Object<'_>]) -> Vec<RunError> {
    let mut errors = Vec::new();
    listed(status, "errors", None, &mut errors);
    for activity in activities {
        let stage = activity.text("id").as_deref().and_then(stage_of_activity);
        let Some(status) = activity.object("statusSummary") else { continue };
        listed(&status, "errors", stage, &mut errors);
        if let Some(extensions) = status.object("extensions") {
            listed(&extensions, "errors", stage, &mut errors);
            if let Some(detail) = extensions.text("errorDetail") {
                add(run_error("", &detail, stage), &mut errors);
            }
        }
    }
    listed(records, "failedInfo", None, &mut errors);
    errors
}

fn listed(parent: &Object<'_>, name: &str, stage: Option<RunStage>, errors: &mut Vec<RunError>) {
    for error in parent.array(name).unwrap_or_default() {
        let Ok(error) = Object::parse(error.get().as_bytes()) else { continue };
        let code = error.text("code").or_else(|| error.integer("code").map(|code| code.to_string()));
        let message = error.text("message").unwrap_or_default();
        add(run_error(&code.unwrap_or_default(), &message, stage), errors);
    }
}

fn add(error: RunError, errors: &mut Vec<RunError>) {
    let is_empty = error.code.is_empty() && error.message.is_empty();
    if !is_empty && errors.len() < MOST_ERRORS && !errors.contains(&error) {
        errors.push(error);
    }
}

fn run_error(code: &str, message: &str, stage: Option<RunStage>) -> RunError {
    let is_of_code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let code = code.trim();
    let code = if code.len() <= MOST_CODE_CHARS && code.chars().all(is_of_code) { code } else { "" };
    let message = presentable_text(message).unwrap_or_default();
    let stage = stage_of_code(code).or(stage);
    RunError {
        are_credentials_suspected: stage == Some(RunStage::Copy) && is_suspicious(&message),
        code: if is_of_catalogue(code) {
            code.to_owned()
        } else {
            presentable_text(code).unwrap_or_default()
        },
        message,
        stage,
    }
}

/// Whether it is a code like `CONNECTOR-1001-500`. One is as long as a credential, but no credential looks like that.
fn is_of_catalogue(code: &str) -> bool {
    let is_number = |part: &str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_prefix =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let mut parts = code.rsplitn(3, '-');
    let numbers = [parts.next(), parts.next()];
    numbers.iter().all(|number| number.is_some_and(is_number)) && parts.next().is_some_and(is_prefix)
}

/// Whether a failure to copy may be due to the credentials. Adobe has no code for that, and the text is that of HubSpot
/// or of the connector: only a text that names another cause clears them.
fn is_suspicious(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    has(&OF_CREDENTIALS) || !has(&OF_OTHER_CAUSES)
}

fn stage_of_code(code: &str) -> Option<RunStage> {
    let code = code.to_ascii_uppercase();
    let mut parts = code.split('-');
    match (parts.next()?, parts.next()) {
        ("CONNECTOR", Some("1001")) => Some(RunStage::Copy),
        ("CONNECTOR", Some("2001")) | ("MAPPER", Some(_)) => Some(RunStage::Process),
        ("CONNECTOR", Some("3001")) | ("INGEST", Some(_)) => Some(RunStage::Ingest),
        _ => None,
    }
}

fn stage_of_activity(id: &str) -> Option<RunStage> {
    let id = id.to_ascii_lowercase();
    if id.contains("copy") {
        Some(RunStage::Copy)
    } else if id.contains("promotion") {
        Some(RunStage::Ingest)
    } else {
        None
    }
}
