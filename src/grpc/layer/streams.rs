//! Limits for the calls that admission does not bound: checks and watches of the health, and reflection.
//!
//! A watch needs no token and lasts as long as its connection, so that without a limit one address could
//! take all memory with them. Checks have a limit of their own: what watches do must not fail them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http_body_util::BodyExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tonic::body::Body;

use super::{Request, Response};
use crate::{
    domain::CallProgress,
    grpc::status,
    metrics::CallMetrics,
    server::{Held, Peer, PerKey, network},
};

pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.";
/// No address has more than a quarter, as with connections.
const ADDRESSES: usize = 4;
/// All of their messages are short and come with the call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many streams a connection to the admin port may have: more than probes, a scraper and people need.
pub const ADMIN_STREAMS: u32 = 8;

/// How many there may be at a port.
#[derive(Debug)]
pub struct StreamLimits {
    checks: Limit,
    watches: Limit,
    reflection: Limit,
    metrics: CallMetrics,
}

impl StreamLimits {
    /// A watch for each connection, at some 9 KiB each, where a proxy carries those of several clients over
    /// one. Only people use reflection, and each stream may hold a response of some 100 KiB that nobody reads.
    pub fn of_grpc(metrics: CallMetrics) -> Self {
        Self {
            checks: Limit::new(1024, 32),
            watches: Limit::new(4096, 32),
            reflection: Limit::new(64, 8),
            metrics,
        }
    }

    /// Nobody watches at the admin port but people, and it has no reflection. A connection there has
    /// `ADMIN_STREAMS`: its watches leave some of them for checks.
    pub fn of_admin(metrics: CallMetrics) -> Self {
        const MOST: usize = ADMIN_STREAMS as usize / 2;
        let [checks, watches, reflection] = [256, 256, 0].map(|most| Limit::new(most, MOST));
        Self { checks, watches, reflection, metrics }
    }

    fn of(&self, path: &str) -> &Limit {
        match path {
            CHECK => &self.checks,
            path if path.starts_with(REFLECTION) => &self.reflection,
            _ => &self.watches,
        }
    }
}

#[derive(Debug)]
struct Limit {
    all: Arc<Semaphore>,
    per_address: Arc<PerKey<IpAddr>>,
    per_connection: Arc<PerKey<SocketAddr>>,
}

/// Held until the whole answer is on its way.
struct Permit {
    _of_all: OwnedSemaphorePermit,
    _of_peer: Option<(Held<IpAddr>, Held<SocketAddr>)>,
}

impl Limit {
    fn new(most: usize, most_per_connection: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            per_address: PerKey::new(most / ADDRESSES),
            per_connection: PerKey::new(most_per_connection),
        }
    }

    fn take(&self, peer: Option<&Peer>) -> Option<Permit> {
        let of_peer = match peer.map(Peer::address) {
            Some(address) => {
                let of_connection = self.per_connection.take(address)?;
                Some((self.per_address.take(network(address.ip()))?, of_connection))
            }
            None => None,
        };
        Some(Permit { _of_all: Arc::clone(&self.all).try_acquire_owned().ok()?, _of_peer: of_peer })
    }
}

/// Sheds what is beyond the limits, and ends what does not begin in time.
pub async fn streams(
    limits: &StreamLimits,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Some(permit) = limits.of(request.uri().path()).take(request.extensions().get()) else {
        limits.metrics.shed_stream();
        return status::too_many_streams().into_http();
    };
    let Ok(response) = timeout(TIMEOUT, next(request)).await else {
        return status::deadline_exceeded(&CallProgress::default()).into_http();
    };
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_its_end = &permit;
            frame
        }))
    })
}
