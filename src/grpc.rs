//! The gRPC layer: the services, and the one place that orders what stands before them.

mod audit;
mod connections;
mod convert;
mod layer;
pub(crate) mod page_token;
mod render;
mod status;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::middleware::from_fn_with_state;
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::Service as _;

use self::{
    connections::Connections,
    layer::{
        Request, Response,
        admission::{Admission, admission},
        call_log::call_log,
        caller::caller,
        codec_status::codec_status,
        content_type::content_type,
        deadline::deadline,
        drain::drain,
    },
};
use crate::{
    domain::Sandboxes,
    flow_service::FlowService,
    metrics::CallMetrics,
    proto::{self, hub_spot_connection_service_server::HubSpotConnectionServiceServer},
    server::Handler,
    service::Service,
};

pub use self::layer::caller::CallerCheck;

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
    /// Where calls are counted.
    pub metrics: CallMetrics,
}

/// Everything that the gRPC port serves. Whatever happens in it is an answer. Streams without an end
/// of their own end with `stopping`.
pub fn handler<F: FlowService>(
    service: Service<F>,
    health: HealthServer<impl Health>,
    options: Options,
    stopping: CancellationToken,
) -> Handler {
    let Options { sandboxes, request_timeout, reflection, callers, metrics } = options;
    let mut routes = Routes::new(health.max_decoding_message_size(MAX_MESSAGE_SIZE));
    if reflection {
        routes = with_reflection(routes);
    }
    let services = Services {
        admission: Admission::new(service.calls()),
        connections: HubSpotConnectionServiceServer::new(Connections { service, sandboxes })
            .max_decoding_message_size(MAX_MESSAGE_SIZE),
        // A watch of the health and a reflection stream last as long as the caller likes, who would hold
        // up the drain.
        endless: routes.into_axum_router().layer(from_fn_with_state(stopping, drain)).into(),
    };
    let common = Common { request_timeout, callers, metrics: Arc::new(metrics) };
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
    metrics: Arc<CallMetrics>,
}

/// Puts what concerns every call before the services: from those outwards.
async fn layered(
    common: &Common,
    request: Request,
    services: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Common { request_timeout, callers, metrics } = common;
    // Closest to the codec, whose failures it translates.
    let services = async |request| codec_status(MAX_MESSAGE_SIZE, request, services).await;
    // Before anything else is looked at, and before a stranger can take anybody's room.
    let services = async |request| caller(callers, request, services).await;
    // From here on time counts: waiting, receiving and working.
    let services = async |request| deadline(*request_timeout, request, services).await;
    // Nothing else is worth the time of what follows.
    let services = async |request| content_type(request, services).await;
    // A bug must not cost the connection, and with it the calls of others.
    let services = async |request| {
        let answered = AssertUnwindSafe(services(request)).catch_unwind().await;
        answered.unwrap_or_else(|_panic| status::internal().into_http())
    };
    // Outermost, so that every call has its line, with the code that the caller sees.
    call_log(metrics, request, services).await
}

/// The services.
struct Services<F: FlowService> {
    admission: Admission,
    connections: HubSpotConnectionServiceServer<Connections<F>>,
    endless: Routes,
}

impl<F: FlowService> Services<F> {
    async fn answer(&self, metrics: &CallMetrics, request: Request) -> Response {
        if !is_of_service(request.uri().path()) {
            let Ok(response) = self.endless.clone().call(*request).await;
            return response;
        }
        // Before anything is read of a call that has no room. Health checks always have.
        admission((&self.admission, metrics), request, async |request| {
            let Ok(response) = self.connections.clone().call(*request).await;
            response
        })
        .await
    }
}

/// Whether a path is that of a method of the service.
fn is_of_service(path: &str) -> bool {
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE_NAME));
    method.is_some_and(|method| method.starts_with('/'))
}

/// Adds both versions of the reflection service: older clients know only the first.
fn with_reflection(routes: Routes) -> Routes {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Lets grpcurl print the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let valid = "the descriptors are compiled in";
    routes
        .add_service(builder().build_v1().expect(valid).max_decoding_message_size(MAX_MESSAGE_SIZE))
        .add_service(builder().build_v1alpha().expect(valid).max_decoding_message_size(MAX_MESSAGE_SIZE))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::CONTENT_TYPE};
    use tonic::{Code, Status};
    use tonic_types::StatusExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_internal_error_that_says_nothing_of_its_cause() {
        let (callers, metrics) = (CallerCheck::default(), Arc::default());
        let common = Common { request_timeout: Duration::from_secs(1), callers, metrics };
        let mut request = Request::default();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let response = layered(&common, request, async |_| panic!("canary")).await;

        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert!(!format!("{status:?}").contains("canary"));
    }
}
