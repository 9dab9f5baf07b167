//! The gRPC port: its services, and the order of the layers in front of them.

mod audit;
mod call;
mod connections;
mod dataflows;
mod layer;
mod methods;
pub(crate) mod page_token;
mod reflection;
mod status;
mod timestamp;
mod violations;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::Service as _;

use self::{
    audit::audit,
    call::Call,
    connections::Connections,
    dataflows::Dataflows,
    layer::{
        Request, Response, admission, call_log, caller, codec_status, deadline, drain, reject_content_type,
        reject_metadata, reject_method, streams,
    },
    methods::{Limit, Method},
    status::RpcError,
};
use crate::{
    adobe::Platform,
    domain::Sandboxes,
    exactly_once::Kind,
    metrics::Metrics,
    proto::{
        self, hub_spot_connection_service_server::HubSpotConnectionServiceServer,
        hub_spot_dataflow_service_server::HubSpotDataflowServiceServer,
    },
    server::Handler,
    service::{self, Limits, Service},
};

pub(crate) use self::layer::admin_streams;
pub use self::layer::{ADMIN_STREAMS, CallerCheck, StreamLimits};

/// The full name of the service of connections, in paths and health checks.
pub const SERVICE_NAME: &str = proto::hub_spot_connection_service_server::SERVICE_NAME;
/// The full name of the service of dataflows.
pub const DATAFLOW_SERVICE_NAME: &str = proto::hub_spot_dataflow_service_server::SERVICE_NAME;

/// A valid request about connections has at most about 30 KiB: four credentials of 4 KiB, a description and a name.
/// A dataflow has room for hundreds of mappings.
pub(crate) const MAX_MESSAGE_SIZE: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub struct Options {
    pub sandboxes: Sandboxes,
    /// The longest that a caller waits.
    pub request_timeout: Duration,
    /// Whether reflection is served.
    pub reflection: bool,
    pub callers: CallerCheck,
    pub metrics: Metrics,
}

/// Serves the gRPC port. Every request gets a response. Streams that only the client would end are ended when
/// `stopping` is cancelled.
pub fn handler<P: Platform>(
    service: Service<P>,
    dataflows: service::dataflows::Dataflows<P>,
    health: HealthServer<impl Health>,
    options: Options,
    stopping: CancellationToken,
) -> Handler {
    let service = service.observed_by(audit::unreported);
    let dataflows = dataflows.observed_by(audit::unreported_dataflow);
    let mut routes = Routes::new(
        health.max_decoding_message_size(MAX_MESSAGE_SIZE).accept_compressed(CompressionEncoding::Gzip),
    );
    if options.reflection {
        routes = reflection::add_to(routes);
    }
    let services = Services {
        concurrency: service.limits(),
        connections: HubSpotConnectionServiceServer::new(Connections {
            service,
            sandboxes: options.sandboxes.clone(),
        })
        .max_decoding_message_size(MAX_MESSAGE_SIZE)
        .accept_compressed(CompressionEncoding::Gzip),
        dataflows: HubSpotDataflowServiceServer::new(Dataflows {
            service: dataflows,
            sandboxes: options.sandboxes.clone(),
        })
        .max_decoding_message_size(MAX_MESSAGE_SIZE)
        .accept_compressed(CompressionEncoding::Gzip),
        limits: StreamLimits::of_grpc(options.metrics.calls.clone()),
        others: routes.prepare(),
        stopping,
    };
    options.metrics.calls.create_series(Method::measured());
    let shared = Arc::new((options, services));
    Handler::new(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            let (options, services) = &*shared;
            let serve = async |call: &Call, request| services.serve(options, call, request).await;
            layered(options, Box::new(request), serve).await
        }
    })
}

/// The layers of every call, from the innermost to the outermost.
async fn layered(
    options: &Options,
    mut request: Request,
    services: impl AsyncFnOnce(&Call, Request) -> Response,
) -> Response {
    let Options { request_timeout, callers, metrics, .. } = options;
    let call = &*Call::begin(&mut request, *request_timeout);
    // Next to the codec, whose errors it translates.
    let services = async |request| {
        codec_status(MAX_MESSAGE_SIZE, request, async |request| services(call, request).await).await
    };
    // Before an unauthenticated caller can take a permit.
    let services = async |request| caller(callers, call, request, services).await;
    let services = async |request: Request| match reject_metadata(metrics, &request) {
        Some(response) => response,
        None => deadline(call, request, services).await,
    };
    // A panic must not end the connection, and with it other calls.
    let services = async |request| {
        let response = AssertUnwindSafe(services(request)).catch_unwind().await;
        let response = response.unwrap_or_else(|_panic| status::internal().into_response());
        if let Some(error) = RpcError::of(&response) {
            error.note();
        }
        response
    };
    // Around everything that can reject a write.
    let services = async |request: Request| match reject_content_type(metrics, &request) {
        Some(response) => response,
        None => audit(callers, call, request, services).await,
    };
    // Outermost, so that every call has a log line, with the code that the caller receives.
    call_log(&metrics.calls, call, request, services).await
}

struct Services<P: Platform> {
    concurrency: Arc<Limits>,
    connections: HubSpotConnectionServiceServer<Connections<P>>,
    dataflows: HubSpotDataflowServiceServer<Dataflows<P>>,
    /// The limits of `others`.
    limits: StreamLimits,
    /// Health and reflection.
    others: Routes,
    stopping: CancellationToken,
}

impl<P: Platform> Services<P> {
    async fn serve(&self, options: &Options, call: &Call, mut request: Request) -> Response {
        let is_served = |method: &&Method| options.reflection || method.limit != Limit::Reflection;
        let Some(Method { limit, kind, .. }) = call.method.filter(is_served) else {
            return reject_method(&options.metrics, &request);
        };
        match *limit {
            Limit::Creations | Limit::Calls => {
                admission((&self.concurrency, &options.metrics.calls), *limit, request, async |request| {
                    let Ok(response) = match kind {
                        Kind::Connection => self.connections.clone().call(*request).await,
                        Kind::Dataflow => self.dataflows.clone().call(*request).await,
                    };
                    response
                })
                .await
            }
            Limit::HealthChecks | Limit::HealthWatches | Limit::Reflection => {
                if *limit == Limit::Reflection {
                    reflection::route_to_v1(&mut request);
                }
                streams(&self.limits, *limit, request, async |request| {
                    drain(&self.stopping, *limit, request, async |request| {
                        let Ok(response) = self.others.clone().call(*request).await;
                        response
                    })
                    .await
                })
                .await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::CONTENT_TYPE};
    use tonic::{Code, Status};
    use tonic_types::StatusExt;

    use super::*;
    use crate::domain::{AllowedSandboxes, SandboxName};

    #[tokio::test]
    async fn a_panic_is_an_internal_error_without_its_cause() {
        let (callers, metrics) = (CallerCheck::default(), Metrics::default());
        let sandbox = SandboxName::parse("prod").unwrap();
        let sandboxes = Sandboxes::new(sandbox, AllowedSandboxes::Any).unwrap();
        let request_timeout = Duration::from_secs(1);
        let options = Options { sandboxes, request_timeout, reflection: false, callers, metrics };
        let mut request = Request::default();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let response = layered(&options, request, async |_, _| panic!("canary")).await;

        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert!(!format!("{status:?}").contains("canary"));
    }
}
