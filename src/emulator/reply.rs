//! A response before it is sent.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

/// The id of a request, in the request and in the response.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The connection breaks in the middle of the body.
    pub(super) broken_off: bool,
}

impl Reply {
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), broken_off: false }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(super) fn text(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let mut reply = Self::empty(status);
        reply.body = Bytes::from(body);
        reply.with_header(header::CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let Self { status, mut headers, body, broken_off } = self;
        let body = if broken_off {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            break_off(&body)
        } else {
            Body::from(body)
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// Sends the first half of `body`, then breaks the connection.
fn break_off(body: &Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    let rest = async {
        // The pause lets the server flush the first half, which an immediate error would discard.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    Body::from_stream(stream::iter([Ok(half)]).chain(stream::once(rest)))
}
