//! A proxy in front of the emulator that forwards requests, and replaces some replies.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    response::Response,
};
use bytes::Bytes;
use http::{Request, StatusCode, uri::PathAndQuery};
use hubspot_connection_service::emulator::{BASE_PATH, Emulator};
use serde_json::Value;

use super::{altering_proxy::end_to_end, service::listen};

/// What becomes of a request.
pub(crate) enum Fate {
    Forwarded,
    /// It is forwarded, and its reply altered.
    Altered(Box<dyn Fn(&mut Value) + Send>),
    /// It is not forwarded, and gets this reply.
    Answered(Response),
}

/// The proxy, which runs until the test ends.
pub(crate) struct ReplacingProxy {
    pub(crate) address: SocketAddr,
}

type Decide = dyn Fn(&Request<Bytes>) -> Fate + Send + Sync;

struct Shared {
    client: reqwest::Client,
    upstream: String,
    decide: Box<Decide>,
}

impl ReplacingProxy {
    pub(crate) async fn start(
        emulator: &Emulator,
        decide: impl Fn(&Request<Bytes>) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let upstream = format!("http://{}", emulator.addr());
        let shared = Arc::new(Shared { client, upstream, decide: Box::new(decide) });
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(respond).with_state(shared);
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address }
    }

    /// The base URL of the Flow Service.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}{BASE_PATH}", self.address)
    }
}

async fn respond(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, to_bytes(body, usize::MAX).await.unwrap());
    let alter = match (shared.decide)(&request) {
        Fate::Answered(response) => return response,
        Fate::Altered(alter) => Some(alter),
        Fate::Forwarded => None,
    };
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let forwarded = shared.client.request(parts.method, format!("{}{target}", shared.upstream));
    let forwarded = forwarded.headers(end_to_end(parts.headers)).body(body);
    let mut response = Response::default();
    let Ok(upstream) = forwarded.send().await else {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        return response;
    };
    *response.status_mut() = upstream.status();
    *response.headers_mut() = end_to_end(upstream.headers().clone());
    let mut body = upstream.bytes().await.unwrap();
    if let Some(alter) = alter {
        let mut document = serde_json::from_slice(&body).unwrap();
        alter(&mut document);
        body = document.to_string().into();
    }
    *response.body_mut() = Body::from(body);
    response
}
