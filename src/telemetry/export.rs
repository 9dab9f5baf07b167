//! The export of traces to a collector, by OTLP over gRPC or HTTP.
//!
//! A thread of its own exports. A collector that is down costs nothing but spans: those that do not fit into the
//! queue are dropped.

mod grpc;
mod http;

use std::{
    error::Error,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError},
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

#[derive(Clone, Debug)]
pub struct TracesConfig {
    pub protocol: TracesProtocol,
    /// With OTLP over HTTP including the path.
    pub endpoint: Url,
    /// Marked as sensitive.
    pub headers: HeaderMap,
    /// For one export.
    pub timeout: Duration,
    /// Replaces the authorities of the system.
    pub authority: Option<PathBuf>,
    /// The client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub sampler: Sampler,
    pub batch: BatchConfig,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracesProtocol {
    Grpc,
    /// With protobuf.
    Http,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// The most spans that wait for an export.
    pub queue_size: usize,
    /// The most spans of one export.
    pub export_size: usize,
    /// Between two exports.
    pub delay: Duration,
}

/// Between two warnings about failed exports.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// The time for the last export. The lower bound holds also where the drain has used up its time.
const SHORTEST_FLUSH: Duration = Duration::from_secs(2);
const LONGEST_FLUSH: Duration = Duration::from_secs(5);

/// Counts the spans whose export failed. Static, because the one exporter of a process starts before its metrics exist.
pub(crate) static SPANS_LOST: LazyLock<Counter> = LazyLock::new(Counter::default);

/// The export of traces, until [`Export::finish`].
#[derive(Debug)]
pub struct Export(SdkTracerProvider);

impl Export {
    /// Starts it, once per process, in the runtime that serves.
    ///
    /// # Errors
    /// When a TLS file is unusable, or the system has no certificate authorities.
    pub fn start(config: &TracesConfig) -> Result<Self, Box<dyn Error>> {
        let failure = LastFailure::default();
        let exporter = match config.protocol {
            TracesProtocol::Grpc => grpc::exporter(config)?,
            TracesProtocol::Http => http::exporter(config, failure.clone())?,
        };
        let exporter = Reporting {
            inner: exporter,
            collector: config.endpoint.to_string(),
            timeout: config.timeout,
            runtime: Handle::current(),
            failure,
            last_warning: Mutex::default(),
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
        spans::create_with(provider.tracer(env!("CARGO_PKG_NAME")));
        Ok(Self(provider))
    }

    /// Exports what is left, until the deadline, but for at least two seconds.
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

/// The cause of the last failure over HTTP, which the exporter omits from its error.
type LastFailure = Arc<Mutex<Option<String>>>;

/// Bounds each export, counts the spans of failed ones, and warns, but not each time.
#[derive(Debug)]
struct Reporting<E> {
    inner: E,
    collector: String,
    /// For the whole export: the exporter's own timeout starts once there is a connection.
    timeout: Duration,
    /// The exporting thread has no runtime.
    runtime: Handle,
    failure: LastFailure,
    last_warning: Mutex<Option<Instant>>,
}

impl<E> Reporting<E> {
    fn may_warn(&self) -> bool {
        let mut last = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner);
        let may_warn = last.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL);
        if may_warn {
            *last = Some(Instant::now());
        }
        may_warn
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let export = {
            let _in_runtime = self.runtime.enter();
            timeout(self.timeout, self.inner.export(batch))
        };
        let result = export.await.unwrap_or(Err(OTelSdkError::Timeout(self.timeout)));
        let cause = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Err(error) = &result {
            SPANS_LOST.inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
            if self.may_warn() {
                // The exporter omits what the collector said, which can repeat the headers.
                let collector = &*self.collector;
                let error = without_repetitions(&error.to_string());
                tracing::warn!(collector, error, cause, spans, "spans cannot be exported and are lost");
            }
        }
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The exporter joins the causes, and repeats some.
fn without_repetitions(chain: &str) -> String {
    let mut parts: Vec<_> = chain.split(": ").collect();
    parts.dedup();
    parts.join(": ")
}
