//! The gRPC layer: the services, and the one place that orders what stands before them.

mod audit;
mod connections;
mod convert;
mod layer;
pub(crate) mod page_token;
mod reflection;
mod render;
mod status;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::Service as _;

use self::{
    audit::audit,
    connections::Connections,
    layer::{
        Request, Response,
        admission::admission,
        call_log::{PROBES, call_log},
        caller::caller,
        codec_status::codec_status,
        content_type::refuse_content_type,
        deadline::deadline,
        drain::drain,
        encoding::refuse_encoding,
        metadata::refuse_metadata,
    },
};
use crate::{
    adobe::FlowService,
    domain::Sandboxes,
    metrics::{CallMetrics, Metrics, method},
    proto::{self, hub_spot_connection_service_server::HubSpotConnectionServiceServer},
    server::Handler,
    service::{Limits, Service},
};

pub use self::layer::{
    caller::CallerCheck,
    streams::{ADMIN_STREAMS, StreamLimits, streams},
};

/// The full name of the service, as paths and health checks know it.
pub const SERVICE_NAME: &str = proto::hub_spot_connection_service_server::SERVICE_NAME;

/// A valid request is at most some 30 KiB: four credentials of 4 KiB, a description and a name.
pub(crate) const MAX_MESSAGE_SIZE: usize = 64 * 1024;

/// What the gRPC layer is told by the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sandboxes that callers may name.
    pub sandboxes: Sandboxes,
    /// The longest a caller waits.
    pub request_timeout: Duration,
    /// Whether reflection is served.
    pub reflection: bool,
    /// How callers are checked.
    pub callers: CallerCheck,
    /// Where calls are counted, and what is none.
    pub metrics: Metrics,
}

/// Everything that the gRPC port serves. Whatever happens in it is an answer. Streams without an end
/// of their own end with `stopping`.
pub fn handler<F: FlowService>(
    service: Service<F>,
    health: HealthServer<impl Health>,
    options: Options,
    stopping: CancellationToken,
) -> Handler {
    let service = service.observed_by(audit::unreported);
    let Options { sandboxes, request_timeout, reflection, callers, metrics } = options;
    let mut routes = Routes::new(
        health.max_decoding_message_size(MAX_MESSAGE_SIZE).accept_compressed(CompressionEncoding::Gzip),
    );
    if reflection {
        routes = reflection::add_to(routes);
    }
    let services = Services {
        limits_of_calls: service.limits(),
        connections: HubSpotConnectionServiceServer::new(Connections { service, sandboxes })
            .max_decoding_message_size(MAX_MESSAGE_SIZE)
            .accept_compressed(CompressionEncoding::Gzip),
        limits: StreamLimits::of_grpc(metrics.calls.clone()),
        others: routes.prepare(),
        has_reflection: reflection,
        stopping,
    };
    let calls = Arc::new(metrics.calls.clone());
    let common = Common { request_timeout, callers, calls, metrics };
    let shared = Arc::new((common, services));
    Handler::new(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            let (common, services) = &*shared;
            let answer = async |request| services.answer(&common.metrics, request).await;
            layered(common, Box::new(request), answer).await
        }
    })
}

/// What the layers before all services need.
struct Common {
    request_timeout: Duration,
    callers: CallerCheck,
    calls: Arc<CallMetrics>,
    metrics: Metrics,
}

/// Puts what concerns every call before the services: from those outwards.
async fn layered(
    common: &Common,
    request: Request,
    services: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Common { request_timeout, callers, calls, metrics } = common;
    // Closest to the codec, whose failures it translates.
    let services = async |request| codec_status(MAX_MESSAGE_SIZE, request, services).await;
    // Before anything else is looked at, and before a stranger can take anybody's room.
    let services = async |request| caller(callers, request, services).await;
    // From here on time counts: waiting, receiving and working. Before that, what nobody need wait for.
    let services = async |request: Request| {
        let refused = refuse_metadata(metrics, &request).or_else(|| refuse_encoding(metrics, &request));
        match refused {
            Some(response) => response,
            None => deadline(*request_timeout, request, services).await,
        }
    };
    // Refuses what cannot be a call. Whatever becomes of a call that writes, it is in the trail.
    let services = async |request: Request| match refuse_content_type(metrics, &request) {
        Some(response) => response,
        None => audit(callers, request, services).await,
    };
    // A bug must not cost the connection, and with it the calls of others.
    let services = async |request| {
        let answered = AssertUnwindSafe(services(request)).catch_unwind().await;
        answered.unwrap_or_else(|_panic| status::internal().into_http())
    };
    // Outermost, so that every call has its line, with the code that the caller sees.
    call_log(calls, request, services).await
}

/// The services.
struct Services<F: FlowService> {
    limits_of_calls: Arc<Limits>,
    connections: HubSpotConnectionServiceServer<Connections<F>>,
    /// What stands before all others.
    limits: StreamLimits,
    others: Routes,
    has_reflection: bool,
    stopping: CancellationToken,
}

impl<F: FlowService> Services<F> {
    async fn answer(&self, metrics: &Metrics, request: Request) -> Response {
        let path = request.uri().path();
        if !self.has_method(path) {
            metrics.requests_refused.get_or_create(&"unknown_method".into()).inc();
            return status::unknown_method(path).into_http();
        }
        if !is_of_service(path) {
            // A watch of the health and a reflection stream last as long as the caller likes.
            return streams(&self.limits, request, async |request| {
                drain(&self.stopping, request, async |request| {
                    let Ok(response) = self.others.clone().call(*request).await;
                    response
                })
                .await
            })
            .await;
        }
        // Before anything is read of a call that has no room. Health checks always have.
        admission((&self.limits_of_calls, &metrics.calls), request, async |request| {
            let Ok(response) = self.connections.clone().call(*request).await;
            response
        })
        .await
    }

    fn has_method(&self, path: &str) -> bool {
        if path.starts_with("/grpc.reflection.") && !self.has_reflection {
            return false;
        }
        PROBES.contains(&path) || method(path).is_some()
    }
}

/// Whether a path is that of a method of the service.
fn is_of_service(path: &str) -> bool {
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE_NAME));
    method.is_some_and(|method| method.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::CONTENT_TYPE};
    use tonic::{Code, Status};
    use tonic_types::StatusExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_internal_error_that_says_nothing_of_its_cause() {
        let (callers, metrics) = (CallerCheck::default(), Metrics::default());
        let calls = Arc::new(metrics.calls.clone());
        let common = Common { request_timeout: Duration::from_secs(1), callers, calls, metrics };
        let mut request = Request::default();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let response = layered(&common, request, async |_| panic!("canary")).await;

        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert!(!format!("{status:?}").contains("canary"));
    }
}
