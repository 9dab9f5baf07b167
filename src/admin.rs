//! The admin port: plaintext, for the kubelet and for people inside the pod.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use tonic::service::Routes;

use crate::{grpc::MAX_MESSAGE_SIZE, health::Health, idempotency::Store, metrics::Metrics};

/// Serves `/livez`, `/readyz`, `/metrics` and `grpc.health.v1`.
///
/// `/livez` says that the process answers and nothing more. `/readyz` says what the health service
/// says, and names the store where that is down: reads go on without it, and another replica would
/// miss it as well. `/metrics` is in the OpenMetrics text format; `spec_has_drifted` is what the last
/// dry run found.
pub fn router(
    health: &Health,
    store: Arc<dyn Store>,
    spec_has_drifted: Arc<AtomicBool>,
    metrics: Metrics,
) -> Router {
    Routes::new(health.admin_service().max_decoding_message_size(MAX_MESSAGE_SIZE))
        .into_axum_router()
        .route("/livez", get(|| async { "ok\n" }))
        .merge(
            Router::new()
                .route("/readyz", get(readyz))
                .with_state((health.clone(), Arc::clone(&store)))
                .merge(Router::new().route("/metrics", get(scrape)).with_state(Scraped {
                    metrics,
                    store,
                    spec_has_drifted,
                })),
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

/// What `/metrics` is about.
#[derive(Clone)]
struct Scraped {
    metrics: Metrics,
    store: Arc<dyn Store>,
    spec_has_drifted: Arc<AtomicBool>,
}

async fn scrape(State(scraped): State<Scraped>) -> ([(HeaderName, &'static str); 1], String) {
    let Scraped { metrics, store, spec_has_drifted } = scraped;
    metrics.idempotency_store_up.set(store.is_available().into());
    metrics.spec_drift.set(spec_has_drifted.load(Ordering::Relaxed).into());
    ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], metrics.text())
}
