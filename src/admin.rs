//! The admin port: plaintext, for the kubelet and for people inside the pod.

mod observed;
mod server;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{CONTENT_TYPE, VARY},
    },
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use tokio::net::TcpListener;
use tonic::{body::Body, service::Routes};
use tower_http::compression::CompressionLayer;

pub use self::observed::Observed;
use crate::{
    exactly_once::store::Store,
    grpc::{MAX_MESSAGE_SIZE, StreamLimits, admin_streams},
    health::Health,
    metrics::{Format, Metrics},
    readiness::Readiness,
};

/// Serves the admin port, until it is dropped.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    readiness: Readiness,
    observed: Observed,
    metrics: Metrics,
) {
    let router = router(&health, readiness, observed, metrics.clone());
    server::serve(listener, router, metrics).await;
}

const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Serves `/livez`, `/readyz`, `/metrics` and `grpc.health.v1`.
///
/// `/livez` reports that the process responds and nothing more. `/readyz` reports the state of the health
/// service, and until that is ready what it waits for. It stays OK while the store is down, since reads work
/// without it and other replicas miss it too, and then has a line about it. It has another line for each
/// weakness of the store. `/metrics` is in the text format that the client asks for, compressed where the
/// client accepts that.
fn router(health: &Health, readiness: Readiness, observed: Observed, metrics: Metrics) -> Router {
    let limits = Arc::new(StreamLimits::of_admin(metrics.calls.clone()));
    Routes::new(health.admin_service().max_decoding_message_size(MAX_MESSAGE_SIZE))
        .into_axum_router()
        .layer(from_fn_with_state(limits, limited))
        .route("/livez", get(|| async { "ok\n" }))
        .merge(
            Router::new()
                .route("/readyz", get(readyz))
                .with_state((health.clone(), readiness, Arc::clone(&observed.store)))
                .merge(
                    Router::new()
                        .route("/metrics", get(scrape).layer(CompressionLayer::new()))
                        .with_state((observed, metrics)),
                ),
        )
        // gRPC clients take a 404 for UNIMPLEMENTED, and people take it for what it is.
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n") })
}

/// Limits the checks and watches of the health.
async fn limited(State(limits): State<Arc<StreamLimits>>, request: Request, next: Next) -> Response {
    let request = Box::new(request.map(Body::new));
    let next = async |request: Box<http::Request<Body>>| {
        next.run(request.map(axum::body::Body::new)).await.map(Body::new)
    };
    admin_streams(&limits, request, next).await.map(axum::body::Body::new)
}

async fn readyz(
    State((health, readiness, store)): State<(Health, Readiness, Arc<dyn Store>)>,
) -> (StatusCode, String) {
    if !health.is_serving() {
        let missing = readiness.missing().into_iter().map(|need| format!("waiting for {need}\n"));
        let lines = std::iter::once("not serving: starting or stopping\n".to_owned()).chain(missing);
        return (StatusCode::SERVICE_UNAVAILABLE, lines.collect());
    }
    let mut lines = vec!["ok\n".to_owned()];
    if let Some(outage) = store.outage() {
        lines.push(format!("idempotency store: unavailable: {}: {outage}\n", outage.name()));
    }
    let weaknesses = store.weaknesses();
    lines.extend(
        weaknesses.iter().map(|weakness| format!("idempotency store: {}: {weakness}\n", weakness.name())),
    );
    (StatusCode::OK, lines.concat())
}

async fn scrape(
    State((observed, metrics)): State<(Observed, Metrics)>,
    headers: HeaderMap,
) -> ([(HeaderName, &'static str); 2], String) {
    observed.note(&metrics);
    let format = Format::accepted(&headers);
    ([(CONTENT_TYPE, format.content_type()), (VARY, "accept")], metrics.text(format))
}
