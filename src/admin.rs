//! The admin port: plaintext, for the kubelet, Prometheus and people.

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

pub(crate) use self::observed::Observed;
use crate::{
    grpc::{MAX_MESSAGE_SIZE, StreamLimits, admin_streams},
    health::Health,
    metrics::{Format, Metrics},
    readiness::Readiness,
};

/// Serves until it is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    health: Health,
    readiness: Readiness,
    observed: Observed,
    metrics: Metrics,
) {
    let router = router(Admin { health, readiness, observed, metrics: metrics.clone() });
    server::serve(listener, router, metrics).await;
}

/// What requests read.
#[derive(Clone)]
struct Admin {
    health: Health,
    readiness: Readiness,
    observed: Observed,
    metrics: Metrics,
}

const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Serves `/livez`, `/readyz`, `/metrics` and `grpc.health.v1`.
///
/// `/livez` reports only that the process responds. `/readyz` reports the state of the health service, and what a process
/// that is not ready waits for. It stays OK while the store is down, because reads work without it and other replicas
/// miss it, too. A line reports that, and each weakness of the store. `/metrics` is in the text format that the
/// client prefers.
fn router(admin: Admin) -> Router {
    let limits = Arc::new(StreamLimits::of_admin(admin.metrics.calls.clone()));
    let routes = Router::new()
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape).layer(CompressionLayer::new()));
    Routes::new(admin.health.grpc_service().max_decoding_message_size(MAX_MESSAGE_SIZE))
        .into_axum_router()
        .layer(from_fn_with_state(limits, limited))
        .route("/livez", get(|| async { "ok\n" }))
        .merge(routes.with_state(admin))
        // A gRPC client reads 404 as UNIMPLEMENTED.
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n") })
}

/// Limits health checks and watches.
async fn limited(State(limits): State<Arc<StreamLimits>>, request: Request, next: Next) -> Response {
    let request = Box::new(request.map(Body::new));
    let next = async |request: Box<http::Request<Body>>| {
        next.run(request.map(axum::body::Body::new)).await.map(Body::new)
    };
    admin_streams(&limits, request, next).await.map(axum::body::Body::new)
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, String) {
    if !admin.health.is_serving() {
        let missing = admin.readiness.missing().into_iter().map(|need| format!("waiting for {need}\n"));
        let lines = std::iter::once("not serving: starting or stopping\n".to_owned()).chain(missing);
        return (StatusCode::SERVICE_UNAVAILABLE, lines.collect());
    }
    let store = &admin.observed.store;
    let outage = store.outage().map(|outage| format!("unavailable: {}: {outage}", outage.name()));
    let weaknesses = store.weaknesses();
    let weaknesses = weaknesses.iter().map(|weakness| format!("{}: {weakness}", weakness.name()));
    let store = outage.into_iter().chain(weaknesses).map(|line| format!("idempotency store: {line}\n"));
    (StatusCode::OK, std::iter::once("ok\n".to_owned()).chain(store).collect())
}

async fn scrape(
    State(Admin { observed, metrics, .. }): State<Admin>,
    headers: HeaderMap,
) -> ([(HeaderName, &'static str); 2], String) {
    observed.record(&metrics);
    let format = Format::accepted(&headers);
    ([(CONTENT_TYPE, format.content_type()), (VARY, "accept")], metrics.text(format))
}
