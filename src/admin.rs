//! The admin port: plaintext, for the kubelet, Prometheus and people.

mod server;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

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

use crate::{
    adobe::{AskedService, TokenSource, UpstreamState},
    exactly_once::store::{Outage, Store, Weakness},
    grpc::{MAX_MESSAGE_SIZE, StreamLimits, admin_streams},
    health::Health,
    hubspot::HubSpot,
    metrics::{Format, Metrics},
    readiness::Readiness,
    tls::ServerTls,
};

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, observed: Observed) {
    let metrics = observed.metrics.clone();
    server::serve(listener, router(observed), metrics).await;
}

/// The state of the process that requests read.
#[derive(Clone)]
pub(crate) struct Observed {
    pub(crate) health: Health,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) store: Arc<dyn Store>,
    /// As the last dry run found Adobe's connection specification.
    pub(crate) spec_has_drifted: Arc<AtomicBool>,
    pub(crate) upstream: [UpstreamState; 4],
    /// `None` if it is never called.
    pub(crate) hubspot: Option<Arc<HubSpot>>,
    pub(crate) tokens: TokenSource,
    pub(crate) tls: Option<ServerTls>,
}

const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Serves `/livez`, `/readyz`, `/metrics` and `grpc.health.v1`.
///
/// `/livez` reports only that the process responds. `/readyz` reports the state of the health service, and what a process
/// that is not ready waits for. It stays OK while the store is down, because reads work without it and other replicas
/// miss it, too. A line reports that, and each weakness of the store. `/metrics` is in the text format that the
/// client prefers.
fn router(observed: Observed) -> Router {
    let limits = Arc::new(StreamLimits::of_admin(observed.metrics.calls.clone()));
    let routes = Router::new()
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape).layer(CompressionLayer::new()));
    Routes::new(observed.health.grpc_service().max_decoding_message_size(MAX_MESSAGE_SIZE))
        .into_axum_router()
        .layer(from_fn_with_state(limits, limited))
        .route("/livez", get(|| async { "ok\n" }))
        .merge(routes.with_state(observed))
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

async fn readyz(State(observed): State<Observed>) -> (StatusCode, String) {
    if !observed.health.is_serving() {
        let missing = observed.readiness.missing().into_iter().map(|need| format!("waiting for {need}\n"));
        let lines = std::iter::once("not serving: starting or stopping\n".to_owned()).chain(missing);
        return (StatusCode::SERVICE_UNAVAILABLE, lines.collect());
    }
    let store = &observed.store;
    let outage = store.outage().map(|outage| format!("unavailable: {}: {outage}", outage.name()));
    let weaknesses = store.weaknesses();
    let weaknesses = weaknesses.iter().map(|weakness| format!("{}: {weakness}", weakness.name()));
    let store = outage.into_iter().chain(weaknesses).map(|line| format!("idempotency store: {line}\n"));
    (StatusCode::OK, std::iter::once("ok\n".to_owned()).chain(store).collect())
}

async fn scrape(
    State(observed): State<Observed>,
    headers: HeaderMap,
) -> ([(HeaderName, &'static str); 2], String) {
    observed.record();
    let format = Format::accepted(&headers);
    ([(CONTENT_TYPE, format.content_type()), (VARY, "accept")], observed.metrics.text(format))
}

impl Observed {
    /// Sets the gauges that are read at each scrape.
    fn record(&self) {
        let Self { metrics, store, upstream, hubspot, tokens, .. } = self;
        let outage = store.outage();
        metrics.idempotency_store_up.set(outage.is_none().into());
        for cause in Outage::ALL {
            let gauge = metrics.idempotency_store_outage.get_or_create(&cause.name().into());
            gauge.set((outage == Some(*cause)).into());
        }
        let weaknesses = store.weaknesses();
        for name in Weakness::NAMES {
            let is_there = weaknesses.iter().any(|weakness| weakness.name() == name);
            metrics.idempotency_store_weakness.get_or_create(&name.into()).set(is_there.into());
        }
        let spec_has_drifted = self.spec_has_drifted.load(Ordering::Relaxed);
        let refuses_own_requests = |service: &UpstreamState| {
            service.service() == AskedService::FlowService && service.are_own_requests_refused()
        };
        let has_drifted = spec_has_drifted || upstream.iter().any(refuses_own_requests);
        metrics.spec_drift.set(has_drifted.into());
        let adobe = upstream
            .iter()
            .map(|state| (state.service().label(), state.is_gate_closed(), state.is_breaker_open()));
        let hubspot = hubspot
            .iter()
            .map(|hubspot| (HubSpot::LABEL, hubspot.is_gate_closed(), hubspot.is_breaker_open()));
        for (service, is_gate_closed, is_breaker_open) in adobe.chain(hubspot) {
            let service = service.into();
            metrics.upstream.throttle_gate_closed.get_or_create(&service).set(is_gate_closed.into());
            metrics.upstream.breaker_open.get_or_create(&service).set(is_breaker_open.into());
        }
        metrics.token.age.set(tokens.age().unwrap_or_default().as_secs_f64());
        metrics.token.valid.set(tokens.has_token().into());
        for (certificate, expiry) in self.tls.iter().flat_map(ServerTls::expiries) {
            if let Some(expiry) = expiry {
                metrics.tls_certificate_expiry.get_or_create(&certificate.into()).set(expiry);
            }
        }
    }
}
