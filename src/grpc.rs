//! The gRPC layer: the services, and the one place that orders what stands before them.

mod audit;
mod connections;
mod convert;
mod layer;
pub(crate) mod page_token;
mod render;
mod status;

use std::time::Duration;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use self::{
    connections::Connections,
    layer::{admission, admission::Admission, call_log, caller, codec_status, content_type, deadline, drain},
};
use crate::{
    domain::Sandboxes,
    flow_service::FlowService,
    metrics::CallMetrics,
    proto::{self, hub_spot_connection_service_server::HubSpotConnectionServiceServer},
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
pub fn router<F: FlowService>(
    service: Service<F>,
    health: HealthServer<impl Health>,
    options: Options,
    stopping: CancellationToken,
) -> Router {
    let Options { sandboxes, request_timeout, reflection, callers, metrics } = options;
    let calls = service.calls();

    let connections = HubSpotConnectionServiceServer::new(Connections { service, sandboxes })
        .max_decoding_message_size(MAX_MESSAGE_SIZE);
    let connections =
        Router::new().route_service(&format!("/{SERVICE_NAME}/{{*method}}"), connections).layer(
            // Before anything is read of a call that has no room. Health checks always have.
            from_fn_with_state(Admission::new(calls, metrics.clone()), admission::admission),
        );

    let mut routes = Routes::new(health.max_decoding_message_size(MAX_MESSAGE_SIZE));
    if reflection {
        routes = with_reflection(routes);
    }
    // A watch of the health and a reflection stream last as long as the caller likes, who would hold
    // up the drain.
    let endless = routes.into_axum_router().layer(from_fn_with_state(stopping, drain::drain));
    layered(endless.merge(connections), request_timeout, callers, metrics)
}

/// Puts what concerns every call before the services.
fn layered(
    services: Router,
    request_timeout: Duration,
    callers: CallerCheck,
    metrics: CallMetrics,
) -> Router {
    services.layer(
        ServiceBuilder::new()
            // Outermost, so that every call has its line, with the code that the caller sees.
            .layer(from_fn_with_state(Arc::new(metrics), call_log::call_log))
            // A bug must not cost the connection, and with it the calls of others.
            .layer(CatchPanicLayer::custom(|_| status::internal().into_http::<axum::body::Body>()))
            // Nothing else is worth the time of what follows.
            .layer(from_fn(content_type::content_type))
            // From here on time counts: waiting, receiving and working.
            .layer(from_fn_with_state(request_timeout, deadline::deadline))
            // Before anything else is looked at, and before a stranger can take anybody's room.
            .layer(from_fn_with_state(callers, caller::caller))
            // Closest to the codec, whose failures it translates.
            .layer(from_fn_with_state(MAX_MESSAGE_SIZE, codec_status::codec_status)),
    )
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
    use axum::body::Body;
    use http::{Request, header::CONTENT_TYPE};
    use tonic::{Code, Status};
    use tonic_types::StatusExt;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_internal_error_that_says_nothing_of_its_cause() {
        async fn panics() {
            panic!("canary");
        }
        let (callers, metrics) = (CallerCheck::default(), CallMetrics::default());
        let service = layered(Router::new().fallback(panics), Duration::from_secs(1), callers, metrics);
        let request = Request::post("/a.Service/Method").header(CONTENT_TYPE, "application/grpc");
        let response = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();

        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
        assert!(!format!("{status:?}").contains("canary"));
    }
}
