//! The export of traces to a collector, by OTLP over gRPC or HTTP.
//!
//! Spans are exported by a thread of their own. A collector that is down costs nothing but spans: those
//! that its queue has no room for are dropped.

mod grpc;
mod http;

use std::{
    error::Error,
    fmt,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::http::HeaderMap;
use opentelemetry::{Key, KeyValue, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use prometheus_client::metrics::counter::Counter;
use reqwest::Url;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::spans;

/// Where traces are exported to, and how.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// How spans are transported.
    pub protocol: TracesProtocol,
    /// The collector's URL; with OTLP over HTTP that of its traces.
    pub endpoint: Url,
    /// Sent with each export, and marked as sensitive.
    pub headers: HeaderMap,
    /// The longest an export takes.
    pub timeout: Duration,
    /// The authority of the collector's certificate, where it is not one of the system.
    pub authority: Option<PathBuf>,
    /// The certificate that the collector is shown, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// How spans are collected for an export.
    pub batch: BatchConfig,
}

/// How spans are transported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracesProtocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, as protobuf.
    Http,
}

/// How spans are collected for an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// The spans that wait for an export at most.
    pub queue_size: usize,
    /// The spans of one export at most.
    pub export_size: usize,
    /// The time between two exports.
    pub delay: Duration,
}

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
    /// Starts it, once per process. To be called in the runtime that serves.
    ///
    /// # Errors
    /// When the files of TLS cannot be used, or the system has no certificate authorities.
    pub fn start(config: &TracesConfig) -> Result<Self, Box<dyn Error>> {
        let failure = LastFailure::default();
        let exporter = match config.protocol {
            TracesProtocol::Grpc => grpc::exporter(config)?,
            TracesProtocol::Http => http::exporter(config, failure.clone())?,
        };
        let exporter = Reporting {
            inner: exporter,
            collector: config.endpoint.to_string(),
            longest: config.timeout,
            runtime: Handle::current(),
            failure,
            last: Mutex::default(),
        };
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(config.batch.queue_size)
            .with_max_export_batch_size(config.batch.export_size)
            .with_scheduled_delay(config.batch.delay);
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let mut resource = Resource::builder().with_attribute(version);
        // The SDK invents such a name where the environment has none.
        let detected = Resource::builder().build().get(&Key::new("service.name"));
        if detected.is_none_or(|name| name.as_str().starts_with("unknown_service")) {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_sampler(config.sampler.clone())
            .with_span_processor(
                BatchSpanProcessor::builder(exporter).with_batch_config(batch.build()).build(),
            )
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

/// Why the last request failed, where the exporter leaves that out of its error.
#[derive(Clone, Debug, Default)]
struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bounds each export, counts the spans of those that fail, and says so in the log, but not each time.
struct Reporting<E> {
    inner: E,
    collector: String,
    /// The time of an export with everything that it waits for: the exporter's own time begins when
    /// there is a connection.
    longest: Duration,
    /// The exporting thread has none.
    runtime: Handle,
    failure: LastFailure,
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
        let cause = self.failure.lock().take();
        if let Err(error) = &result {
            LOST.inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
            if self.is_due() {
                // The exporter leaves out what the collector has said: it can repeat the headers.
                let collector = &*self.collector;
                let error = without_repetitions(&error.to_string());
                tracing::warn!(collector, error, cause, spans, "spans cannot be exported and are lost");
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

/// The exporter has put the causes together, each as often as it came.
fn without_repetitions(chain: &str) -> String {
    let mut parts: Vec<_> = chain.split(": ").collect();
    parts.dedup();
    parts.join(": ")
}

impl<E: fmt::Debug> fmt::Debug for Reporting<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
