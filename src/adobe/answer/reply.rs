//! Reads replies that are no usable success.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header::CONTENT_TYPE};
use reqwest::Response;

use super::{
    classify::{Asked, Meaning, classify, is_of_source},
    error_body::ErrorBody,
    presentable::presentable,
    problem::{Author, Problem},
};
use crate::{
    adobe::AskedService,
    error::error_chain,
    http_client::read_body,
    secret::redaction::without_tokens,
    upstream::{media_type::media_type, retry_after::retry_after},
};

/// The reply to a creation has about 100 bytes, an error about 1 KiB.
pub(crate) const MAX_SHORT: usize = 64 * 1024;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A reply other than a success.
#[derive(Debug)]
pub(crate) struct ErrorReply {
    pub(crate) meaning: Meaning,
    /// How long it asks to wait.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) problem: Problem,
}

/// Reads a reply other than a success. A body that is too long or cut off counts as none. `secrets` are those that
/// were sent with the request.
pub(crate) async fn read_error(
    response: Response,
    service: AskedService,
    asked: Asked,
    secrets: &[&str],
) -> ErrorReply {
    let head = Head::of(&response);
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let body = read_body(response, MAX_SHORT).await.unwrap_or_else(|error| {
        let (status, error) = (head.status, error_chain(&*error));
        tracing::warn!(status, error, "the body of an error response cannot be read");
        Bytes::new()
    });
    let mut body = ErrorBody::of(service, head.status, &body);
    if is_of_source(asked, head.status, &body) {
        body.author = Author::Source;
    }
    let meaning = classify(asked, head.status, &body);
    // Beside the access token.
    let has_sent_credentials = secrets.len() > 1;
    if asked == Asked::ReadSource || (body.author == Author::Source && !has_sent_credentials) {
        // HubSpot's words, about credentials that this process does not know.
        body.message = body.message.as_deref().map(without_tokens);
    }
    ErrorReply { meaning, retry_after, problem: head.problem(body, secrets) }
}

/// The head of a reply.
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

    /// The problem with a success whose body cannot be read. The reply is not Adobe's if it has none of the `fields` of
    /// such a success, and no known form of an error either.
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

    /// What the head of a success says by itself.
    pub(crate) fn without_body(&self, secrets: &[&str]) -> Problem {
        self.problem(ErrorBody { author: Author::FlowService, ..ErrorBody::default() }, secrets)
    }

    fn problem(&self, mut body: ErrorBody, secrets: &[&str]) -> Problem {
        if body.author == Author::Unrecognized {
            // Nothing is shown of a body that anybody may have written.
            let message = self.content_type.as_ref().and_then(|value| media_type(value, secrets));
            body = ErrorBody { message, ..ErrorBody::default() };
        }
        let request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok());
        presentable(self.status, body, request_id, secrets)
    }
}
