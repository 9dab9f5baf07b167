//! Answers other than a success, and what they mean.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderName;
use reqwest::Response;

use crate::{
    error_chain::error_chain,
    flow_service::{
        Problem,
        classify::{Asked, Meaning, classify},
        error_body::ErrorBody,
        redaction::presentable,
        retry_after::retry_after,
        upstream_client::read_body,
    },
};

/// The answer to a creation is about 100 bytes, an error about 1 KiB.
pub(super) const MAX_SHORT: usize = 64 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An answer other than a success.
#[derive(Debug)]
pub(super) struct ErrorAnswer {
    pub(super) meaning: Meaning,
    /// How long it asks to wait.
    pub(super) retry_after: Option<Duration>,
    pub(super) problem: Problem,
}

/// Reads an answer other than a success. One that is too long or cut off counts as one without a body.
/// `secrets` are those that went out with the request.
pub(super) async fn read_error(response: Response, asked: Asked, secrets: &[&str]) -> ErrorAnswer {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let request_id = request_id(&response).map(str::to_owned);
    let body = read_body(response, MAX_SHORT).await.unwrap_or_else(|error| {
        tracing::warn!(status, error = error_chain(&*error), "the body of an error response cannot be read");
        Bytes::new()
    });
    let body = ErrorBody::parse(&body);
    let meaning = classify(asked, status, &body);
    ErrorAnswer { meaning, retry_after, problem: presentable(status, body, request_id.as_deref(), secrets) }
}

/// What the head of an answer tells by itself.
pub(super) fn without_body(response: &Response, secrets: &[&str]) -> Problem {
    presentable(response.status().as_u16(), ErrorBody::default(), request_id(response), secrets)
}

fn request_id(response: &Response) -> Option<&str> {
    response.headers().get(REQUEST_ID)?.to_str().ok()
}
