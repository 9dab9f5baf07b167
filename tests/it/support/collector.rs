//! A fake OpenTelemetry collector: keeps the received spans, over gRPC or HTTP.

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, StatusCode, Uri, header::CONTENT_TYPE};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use tokio::task::JoinHandle;
use tonic::{
    Request, Response, Status,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    service::Routes,
    transport::{Certificate, Identity, ServerTlsConfig, server::TcpIncoming},
};

use super::{certificates::Pair, listen, until};

/// A collector that runs while this exists.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Received>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Received {
    requests: Vec<ExportTraceServiceRequest>,
    metadata: Vec<MetadataMap>,
    /// The exports over HTTP.
    paths: Vec<String>,
}

/// A span in a simplified form.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) is_error: bool,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::with(tonic::transport::Server::builder()).await
    }

    /// A collector with TLS and this certificate.
    pub(crate) async fn start_tls(pair: &Pair) -> Self {
        let identity = Identity::from_pem(&pair.certificate_pem, &pair.key_pem);
        let tls = ServerTlsConfig::new().identity(identity);
        Self::with(tonic::transport::Server::builder().tls_config(tls).unwrap()).await
    }

    /// A collector that also requires a certificate of this authority.
    pub(crate) async fn start_mutual_tls(pair: &Pair, authority_pem: &str) -> Self {
        let identity = Identity::from_pem(&pair.certificate_pem, &pair.key_pem);
        let authority = Certificate::from_pem(authority_pem);
        let tls = ServerTlsConfig::new().identity(identity).client_ca_root(authority);
        Self::with(tonic::transport::Server::builder().tls_config(tls).unwrap()).await
    }

    async fn with(server: tonic::transport::Server) -> Self {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Received::default()));
        let service = TraceServiceServer::new(Keeper(Arc::clone(&received)))
            .accept_compressed(CompressionEncoding::Gzip);
        // Any other request is an export over HTTP.
        let state = Arc::clone(&received);
        let router = Routes::new(service)
            .into_axum_router()
            .fallback(async move |uri, headers, body| keep(&state, &uri, headers, &body));
        let serving = server.accept_http1(true).add_routes(router.into());
        let serving = serving.serve_with_incoming(TcpIncoming::from(listener));
        let serving = tokio::spawn(async { serving.await.unwrap() });
        Self { address, received, serving }
    }

    /// The path of the first export over HTTP.
    pub(crate) fn path(&self) -> String {
        self.received.lock().unwrap().paths[0].clone()
    }

    /// The settings of a service that exports to it, soon after each call.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.address)),
            ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned()),
        ]
    }

    /// The received data, unchanged.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let received = self.received.lock().unwrap();
        received.requests.iter().flat_map(|request| request.encode_to_vec()).collect()
    }

    /// The metadata of the first export.
    pub(crate) fn metadata(&self) -> MetadataMap {
        self.received.lock().unwrap().metadata[0].clone()
    }

    /// The attributes of the process that sent the first spans.
    pub(crate) fn resource(&self) -> BTreeMap<String, String> {
        let received = self.received.lock().unwrap();
        attributes(&received.requests[0].resource_spans[0].resource.as_ref().unwrap().attributes)
    }

    pub(crate) fn spans(&self) -> Vec<Seen> {
        let received = self.received.lock().unwrap();
        let resources = received.requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| &scope.spans).map(seen).collect()
    }

    /// The single span of this name, as soon as it exists.
    pub(crate) async fn span(&self, name: &str) -> Seen {
        until(name, || self.spans().iter().any(|span| span.name == name)).await;
        let spans: Vec<_> = self.spans().into_iter().filter(|span| span.name == name).collect();
        let [span] = &spans[..] else { panic!("{spans:#?}") };
        span.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Keeper(Arc<Mutex<Received>>);

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap();
        received.metadata.push(request.metadata().clone());
        received.requests.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn keep(
    received: &Mutex<Received>,
    uri: &Uri,
    headers: HeaderMap,
    body: &Bytes,
) -> (StatusCode, [(HeaderName, &'static str); 1]) {
    let mut protobuf = body.to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        protobuf.clear();
        GzDecoder::new(&**body).read_to_end(&mut protobuf).unwrap();
    }
    let mut received = received.lock().unwrap();
    received.requests.push(ExportTraceServiceRequest::decode(&*protobuf).unwrap());
    received.metadata.push(MetadataMap::from_headers(headers));
    received.paths.push(uri.path().to_owned());
    // An empty message is an empty body.
    (StatusCode::OK, [(CONTENT_TYPE, "application/x-protobuf")])
}

fn seen(span: &Span) -> Seen {
    const ERROR: i32 = 2;
    Seen {
        name: span.name.clone(),
        kind: span.kind(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: attributes(&span.attributes),
        is_error: span.status.as_ref().is_some_and(|status| status.code == ERROR),
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes
        .iter()
        .map(|attribute| {
            let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Value::StringValue(text)) => text.clone(),
                Some(Value::IntValue(number)) => number.to_string(),
                other => format!("{other:?}"),
            };
            (attribute.key.clone(), value)
        })
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
