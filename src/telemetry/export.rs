//! The export of traces to a collector, by OTLP over gRPC.
//!
//! Spans are exported by a thread of their own. A collector that is down costs nothing but spans: those
//! that its queue has no room for are dropped.

use std::{
    fmt, fs, io,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::spans;
use crate::config::TracesConfig;

/// How often the log says that spans cannot be exported.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long the last spans are waited for: at least as long as an export takes where all is well, also
/// where the drain has used up its time.
const SHORTEST_FLUSH: Duration = Duration::from_secs(2);
const LONGEST_FLUSH: Duration = Duration::from_secs(5);

/// The spans that were not exported. A process has one exporter, which begins before there is anything
/// to count with.
static LOST: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Counts the spans whose export failed.
pub(crate) fn spans_lost() -> Counter {
    LOST.clone()
}

/// The export of traces, until [`Export::finish`].
#[derive(Debug)]
pub struct Export(SdkTracerProvider);

impl Export {
    /// Starts it, once per process. What the standard `OTEL_` variables say beyond the endpoint is read
    /// from the environment by the SDK. To be called in the runtime that serves.
    ///
    /// # Errors
    /// What the configuration has not found wrong with those variables.
    pub fn start(config: &TracesConfig) -> Result<Self, Box<dyn std::error::Error>> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(channel(config)?)
            .with_timeout(config.timeout)
            .build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let mut resource = Resource::builder().with_attribute(version);
        if !config.names_service {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(Reporting {
                inner: exporter,
                longest: config.timeout,
                runtime: Handle::current(),
                last: Mutex::default(),
            })
            .build();
        spans::make_with(provider.tracer(env!("CARGO_PKG_NAME")));
        Ok(Self(provider))
    }

    /// Exports what is left, until the deadline at most; two seconds there always are.
    pub async fn finish(self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.clamp(SHORTEST_FLUSH, LONGEST_FLUSH);
        // It blocks until the exporting thread is done, which needs this runtime for its connection.
        let finished = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(left)).await;
        if !matches!(finished, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported in time");
        }
    }
}

/// The way to the collector, which is taken when there is something to export.
fn channel(config: &TracesConfig) -> Result<Channel, Box<dyn std::error::Error>> {
    // A connection that is not made in half of the time leaves the other half for another one.
    let mut endpoint = Endpoint::from_shared(config.endpoint.to_string())?
        .timeout(config.timeout)
        .connect_timeout(config.timeout / 2);
    if config.endpoint.scheme() == "https" {
        endpoint = endpoint.tls_config(tls(config)?)?;
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // With a connector of its own the time is that of the TLS handshake, too.
    Ok(endpoint.connect_with_connector_lazy(connector))
}

fn tls(config: &TracesConfig) -> io::Result<ClientTlsConfig> {
    // By itself the client trusts nobody.
    let mut tls = match &config.authority {
        Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(file)?)),
        None => ClientTlsConfig::new().with_enabled_roots(),
    };
    if let Some((certificate, key)) = &config.identity {
        tls = tls.identity(Identity::from_pem(fs::read(certificate)?, fs::read(key)?));
    }
    Ok(tls)
}

/// Bounds each export, counts the spans of those that fail, and says so in the log, but not each time.
struct Reporting<E> {
    inner: E,
    /// The time of an export with everything that it waits for: the exporter's own time begins when
    /// there is a connection.
    longest: Duration,
    /// The exporting thread has none.
    runtime: Handle,
    last: Mutex<Option<Instant>>,
}

impl<E> Reporting<E> {
    fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let export = {
            let _in_runtime = self.runtime.enter();
            timeout(self.longest, self.inner.export(batch))
        };
        let result = export.await.unwrap_or(Err(OTelSdkError::Timeout(self.longest)));
        if let Err(error) = &result {
            LOST.inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
            if self.is_due() {
                // The exporter leaves out what the collector has said: it can repeat the headers.
                tracing::warn!(%error, spans, "spans cannot be exported and are lost");
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: fmt::Debug> fmt::Debug for Reporting<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
