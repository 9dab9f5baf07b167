//! Sheds calls beyond the concurrency limits of the service, and streams of health and reflection beyond their own.
//!
//! A watch needs no token and lasts as long as its connection: without a limit one address could use up the
//! memory. Checks have a separate limit, so that watches cannot starve them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http_body_util::BodyExt as _;
use tokio::{sync::Semaphore, time::timeout};
use tonic::body::Body;

use super::{Request, Response};
use crate::{
    domain::CallProgress,
    exactly_once::Kind,
    grpc::{
        methods::{Limit, Method},
        status,
    },
    metrics::CallMetrics,
    server::{Peer, PerKey, network},
    service::Limits,
};

/// No address has more than a quarter, as with connections.
const ADDRESSES: usize = 4;
/// Their messages are short and are sent with the call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most streams of a connection to the admin port: more than probes, a scraper and people need.
pub const ADMIN_STREAMS: u32 = 8;

/// The limits of a port.
#[derive(Debug)]
pub struct StreamLimits {
    checks: PeerLimit,
    watches: PeerLimit,
    reflection: PeerLimit,
    metrics: CallMetrics,
}

impl StreamLimits {
    /// Clients need one watch for each connection, at about 9 KiB each, and a proxy may carry those of several
    /// clients over one connection. Only people use reflection, and each stream may hold an unread response of
    /// about 100 KiB.
    pub fn of_grpc(metrics: CallMetrics) -> Self {
        Self {
            checks: PeerLimit::new(1024, 32),
            watches: PeerLimit::new(4096, 32),
            reflection: PeerLimit::new(64, 8),
            metrics,
        }
    }

    /// Only people watch at the admin port, and it has no reflection. Watches may use half of the
    /// [`ADMIN_STREAMS`] of a connection, so that checks have the rest.
    pub fn of_admin(metrics: CallMetrics) -> Self {
        const MOST: usize = ADMIN_STREAMS as usize / 2;
        let [checks, watches, reflection] = [256, 256, 0].map(|most| PeerLimit::new(most, MOST));
        Self { checks, watches, reflection, metrics }
    }

    fn of(&self, limit: Limit) -> &PeerLimit {
        match limit {
            Limit::HealthChecks => &self.checks,
            Limit::Reflection => &self.reflection,
            Limit::HealthWatches | Limit::Calls | Limit::Creations => &self.watches,
        }
    }
}

#[derive(Debug)]
struct PeerLimit {
    all: Arc<Semaphore>,
    per_address: Arc<PerKey<IpAddr>>,
    per_connection: Arc<PerKey<SocketAddr>>,
}

impl PeerLimit {
    fn new(most: usize, most_per_connection: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            per_address: PerKey::new(most / ADDRESSES),
            per_connection: PerKey::new(most_per_connection),
        }
    }

    fn take(&self, peer: Option<&Peer>) -> Option<impl Send + 'static> {
        let of_peer = match peer.map(Peer::address) {
            Some(address) => {
                let of_connection = self.per_connection.take(address)?;
                Some((self.per_address.take(network(address.ip()))?, of_connection))
            }
            None => None,
        };
        Some((Arc::clone(&self.all).try_acquire_owned().ok()?, of_peer))
    }
}

/// Sheds calls before their messages are read: see `service::limits`.
pub(crate) async fn admission(
    (limits, metrics): (&Limits, &CallMetrics),
    limit: Limit,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let permit = if limit == Limit::Creations { limits.creation() } else { limits.call() };
    let Some(_permit) = permit else {
        metrics.shed.get_or_create(&"max_in_flight".into()).inc();
        return status::overloaded().into_response();
    };
    next(request).await
}

/// Sheds the streams of the admin port beyond its limits.
pub(crate) async fn admin_streams(
    limits: &StreamLimits,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let limit = Method::find(request.uri().path()).map_or(Limit::HealthWatches, |method| method.limit);
    streams(limits, limit, request, next).await
}

/// Sheds streams beyond the limits, and ends a stream that does not begin in time.
pub(crate) async fn streams(
    limits: &StreamLimits,
    limit: Limit,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Some(permit) = limits.of(limit).take(request.extensions().get()) else {
        limits.metrics.shed.get_or_create(&"max_streams".into()).inc();
        return status::too_many_streams().into_response();
    };
    let Ok(response) = timeout(TIMEOUT, next(request)).await else {
        return status::deadline_exceeded(Kind::Connection, &CallProgress::default()).into_response();
    };
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            // Drops the permit with the body.
            let _ = &permit;
            frame
        }))
    })
}
