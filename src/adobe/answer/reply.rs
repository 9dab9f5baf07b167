//! Answers other than a success, and what they mean.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header::CONTENT_TYPE};
use reqwest::Response;

use crate::{
    adobe::{
        Author, Problem,
        answer::{
            classify::{Asked, Meaning, classify, is_of_source},
            error_body::ErrorBody,
            presentable::presentable,
            retry_after::retry_after,
        },
    },
    error::error_chain,
    http_client::read_body,
    secret::redaction::{repeats, without_tokens},
};

/// The answer to a creation is about 100 bytes, an error about 1 KiB.
pub(crate) const MAX_SHORT: usize = 64 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An answer other than a success.
#[derive(Debug)]
pub(crate) struct ErrorAnswer {
    pub(crate) meaning: Meaning,
    /// How long it asks to wait.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) problem: Problem,
}

/// Reads an answer other than a success. One that is too long or cut off counts as one without a body.
/// `secrets` are those that went out with the request.
pub(crate) async fn read_error(response: Response, asked: Asked, secrets: &[&str]) -> ErrorAnswer {
    let head = Head::of(&response);
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let body = read_body(response, MAX_SHORT).await.unwrap_or_else(|error| {
        let (status, error) = (head.status, error_chain(&*error));
        tracing::warn!(status, error, "the body of an error response cannot be read");
        Bytes::new()
    });
    let mut body = ErrorBody::parse(head.status, &body);
    if is_of_source(asked, head.status, &body) {
        body.author = Author::Source;
    }
    let meaning = classify(asked, head.status, &body);
    if matches!(asked, Asked::ReadSource) {
        // HubSpot's words, about credentials that nobody here knows.
        body.message = body.message.as_deref().map(without_tokens);
    }
    ErrorAnswer { meaning, retry_after, problem: head.problem(body, secrets) }
}

/// What the head of a reply tells.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    status: u16,
    content_type: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
}

impl Head {
    pub(crate) fn of(response: &Response) -> Self {
        let header = |name| response.headers().get(name).cloned();
        Self {
            status: response.status().as_u16(),
            content_type: header(CONTENT_TYPE),
            request_id: header(REQUEST_ID),
        }
    }

    /// What it tells of a success whose body cannot be read. It is not Adobe's at all where it has none of the
    /// `fields` that such a reply has, and is no error of theirs either.
    pub(crate) fn unreadable(&self, body: &[u8], fields: &[&str], secrets: &[&str]) -> Problem {
        let text = String::from_utf8_lossy(body);
        let is_json = text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
        let has = |field: &&str| text.contains(&format!("{field:?}"));
        let mut read = ErrorBody::parse(self.status, body);
        if is_json && fields.iter().any(has) {
            read.author = Author::FlowService;
        }
        self.problem(read, secrets)
    }

    /// What it tells by itself of a success.
    pub(crate) fn without_body(&self, secrets: &[&str]) -> Problem {
        self.problem(ErrorBody { author: Author::FlowService, ..ErrorBody::default() }, secrets)
    }

    fn problem(&self, body: ErrorBody, secrets: &[&str]) -> Problem {
        let request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok());
        if body.author == Author::Unrecognized {
            // Nothing of a body that anybody may have written is shown.
            let message = self.content_type.as_ref().and_then(|value| media_type(value, secrets));
            let body = ErrorBody { message, ..ErrorBody::default() };
            return presentable(self.status, body, request_id, secrets);
        }
        presentable(self.status, body, request_id, secrets)
    }
}

/// The longest media type that is shown.
const MOST_TYPE: usize = 60;

/// A media type without its parameters.
pub(crate) fn media_type(value: &HeaderValue, secrets: &[&str]) -> Option<String> {
    let value = value.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '+' | '-' | '.');
    let is_shown = (1..=MOST_TYPE).contains(&media_type.len())
        && media_type.chars().all(is_part)
        && !secrets.iter().any(|secret| repeats(value, secret));
    is_shown.then_some(media_type)
}
