//! The export of traces to a collector, by OTLP over gRPC.
//!
//! Spans are exported by a thread of their own. A collector that is down costs nothing but spans: those
//! that its queue has no room for are dropped.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{
    ExporterBuildError, WithExportConfig as _, WithTonicConfig as _, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::time::Instant;

use super::spans;
use crate::config::TracesConfig;

/// How often the log says that spans cannot be exported.
const INTERVAL: Duration = Duration::from_secs(60);
/// The longest that the last spans are waited for.
const LONGEST_FLUSH: Duration = Duration::from_secs(5);

/// The export of traces, until [`Export::finish`].
#[derive(Debug)]
pub struct Export(SdkTracerProvider);

impl Export {
    /// Starts it, once per process. What the standard `OTEL_` variables say beyond the endpoint is read
    /// from the environment by the SDK. To be called in the runtime that serves.
    ///
    /// # Errors
    /// What the configuration has not found wrong with those variables.
    pub fn start(config: &TracesConfig) -> Result<Self, ExporterBuildError> {
        let mut exporter =
            opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(config.endpoint.as_str());
        if config.endpoint.scheme() == "https" {
            // By itself the exporter trusts nobody.
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let exporter = exporter.build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let mut resource = Resource::builder().with_attribute(version);
        if !config.names_service {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(Reporting { inner: exporter, last: Mutex::default() })
            .build();
        spans::make_with(provider.tracer(env!("CARGO_PKG_NAME")));
        Ok(Self(provider))
    }

    /// Exports what is left, until the deadline at most.
    pub async fn finish(self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now()).min(LONGEST_FLUSH);
        // It blocks until the exporting thread is done, which needs this runtime for its connection.
        let finished = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(left)).await;
        if !matches!(finished, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported in time");
        }
    }
}

/// Says in the log that spans cannot be exported, but not each time.
struct Reporting<E> {
    inner: E,
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
        let result = self.inner.export(batch).await;
        if let Err(error) = &result
            && self.is_due()
        {
            // The exporter leaves out what the collector has said: it can repeat the headers.
            tracing::warn!(%error, spans, "spans cannot be exported and are lost");
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
