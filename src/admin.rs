//! The admin port: plaintext, for the kubelet and for people inside the pod.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use tonic::service::Routes;

use crate::{grpc::MAX_MESSAGE_SIZE, health::Health, idempotency::Store};

/// Serves `/livez`, `/readyz`, `/metrics` and `grpc.health.v1`.
///
/// `/metrics` is in Prometheus' text format. `/livez` says that the process answers and nothing more. `/readyz` says what the health service
/// says, and names the store where that is down: reads go on without it, and another replica would
/// miss it as well.
pub fn router(health: &Health, store: Arc<dyn Store>) -> Router {
    Routes::new(health.admin_service().max_decoding_message_size(MAX_MESSAGE_SIZE))
        .into_axum_router()
        .route("/livez", get(|| async { "ok\n" }))
        .merge(
            Router::new()
                .route("/readyz", get(readyz))
                .route("/metrics", get(metrics))
                .with_state((health.clone(), store)),
        )
        // gRPC clients take a 404 for UNIMPLEMENTED, and people take it for what it is.
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n") })
}

async fn readyz(State((health, store)): State<(Health, Arc<dyn Store>)>) -> (StatusCode, &'static str) {
    if health.is_serving() && store.is_available() {
        (StatusCode::OK, "ok\n")
    } else if health.is_serving() {
        (StatusCode::OK, "ok\nidempotency store: unavailable\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not serving: starting or stopping\n")
    }
}

async fn metrics(
    State((_, store)): State<(Health, Arc<dyn Store>)>,
) -> ([(HeaderName, &'static str); 1], String) {
    let up = u8::from(store.is_available());
    let text = format!(
        "# HELP hubspot_connection_idempotency_store_up Whether the store of request ids answered last.\n\
         # TYPE hubspot_connection_idempotency_store_up gauge\n\
         hubspot_connection_idempotency_store_up {up}\n"
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
