//! The standard variables of OpenTelemetry, as far as traces need them.
//!
//! Clusters inject them into every pod, and not all of them fit every program. OpenTelemetry's specification
//! has a program warn and ignore what it cannot use. No value of theirs may keep the service from starting.

mod value;

use std::{path::PathBuf, time::Duration};

use http::HeaderMap;
use opentelemetry_sdk::trace::Sampler;
use reqwest::Url;

use super::{
    parse::{ca_file, pem_file},
    source::Source,
};
use crate::{
    domain::Invalid,
    telemetry::{BatchConfig, TracesConfig, TracesProtocol},
};

pub(super) const PREFIX: &str = "OTEL_";

/// A variable for traces alone, and the one for everything that it wins over.
type Pair = [&'static str; 2];

const ENDPOINT: Pair = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const INSECURE: Pair = ["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"];
const CERTIFICATE: Pair = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const CLIENT_CERTIFICATE: Pair =
    ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"];
const CLIENT_KEY: Pair = ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"];
const TIMEOUT: Pair = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const PROTOCOL: Pair = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const COMPRESSION: Pair = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const HEADERS: Pair = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const PROPAGATORS: &str = "OTEL_PROPAGATORS";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const BATCH_DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
const BATCH_QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
const BATCH_SIZE: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
/// Limits that the SDK reads itself.
const SPAN_LIMITS: [&str; 3] =
    ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"];

/// Those that are shown where they are read, in this order.
pub(super) fn shown() -> impl Iterator<Item = &'static str> {
    let pairs = [
        ENDPOINT,
        INSECURE,
        CERTIFICATE,
        CLIENT_CERTIFICATE,
        CLIENT_KEY,
        TIMEOUT,
        PROTOCOL,
        COMPRESSION,
        HEADERS,
    ];
    let others =
        [EXPORTER, DISABLED, PROPAGATORS, SAMPLER, SAMPLER_ARG, BATCH_DELAY, BATCH_QUEUE, BATCH_SIZE];
    pairs.into_iter().flatten().chain(others).chain(SPAN_LIMITS)
}

// The defaults of OpenTelemetry's specification.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_DELAY: Duration = Duration::from_secs(5);
const DEFAULT_QUEUE: usize = 2048;
const DEFAULT_SIZE: usize = 512;
/// The port of OTLP over HTTP, as registered with IANA.
const HTTP_PORT: u16 = 4318;

/// Reads where traces are exported to; `None` where they are not. Then nothing else is looked at: it may
/// be there for others.
pub(super) fn traces(source: &mut Source) -> Option<TracesConfig> {
    if source.read_standard(DISABLED, value::boolean).unwrap_or(false) || !exports_otlp(source) {
        return None;
    }
    let (endpoint, is_own) = endpoint(source)?;
    let protocol = protocol(source, &endpoint);
    source.read_standard_or_warn(PROPAGATORS, value::propagators);
    source.read_standard_or_warn(RESOURCE, value::attributes);
    for limit in SPAN_LIMITS {
        source.read_standard(limit, |text| value::number(text, 0..=u32::MAX));
    }
    Some(TracesConfig {
        endpoint: match protocol {
            TracesProtocol::Http if !is_own => with_path_of_traces(endpoint),
            TracesProtocol::Grpc | TracesProtocol::Http => endpoint,
        },
        protocol,
        headers: headers(source),
        is_gzipped: read(source, COMPRESSION, value::is_gzip).unwrap_or(false),
        timeout: read(source, TIMEOUT, value::milliseconds).unwrap_or(DEFAULT_TIMEOUT),
        authority: read(source, CERTIFICATE, ca_file),
        identity: identity(source),
        sampler: sampler(source),
        batch: batch(source),
        names_service: source.has_with(SERVICE_NAME, |_| true)
            || source.has_with(RESOURCE, |text| {
                text.split(',').any(|pair| pair.trim_start().starts_with("service.name="))
            }),
    })
}

/// Reads the variable for traces; where it is not set or cannot be used, the one for everything.
fn read<T>(source: &mut Source, pair: Pair, parse: fn(&str) -> Result<T, Invalid>) -> Option<T> {
    pair.into_iter().find_map(|name| source.read_standard(name, parse))
}

/// Whether the exporter that is asked for is the one that there is.
fn exports_otlp(source: &mut Source) -> bool {
    let exporters = source.read_standard_or_warn(EXPORTER, value::exporters);
    exporters.is_none_or(|exporters| exporters == value::Exporters::Otlp)
}

/// The URL of the collector, and whether it is for traces alone.
fn endpoint(source: &mut Source) -> Option<(Url, bool)> {
    if !ENDPOINT.iter().any(|name| source.has(name)) {
        return None;
    }
    let is_insecure = read(source, INSECURE, value::boolean).unwrap_or(false);
    let [own, general] = ENDPOINT;
    let url = |source: &mut Source, name| source.read_standard(name, |text| value::url(text, is_insecure));
    match url(source, own) {
        Some(url) => Some((url, true)),
        None => url(source, general).map(|url| (url, false)),
    }
}

/// Without a protocol, the port says which one the collector expects there.
fn protocol(source: &mut Source, endpoint: &Url) -> TracesProtocol {
    let named = PROTOCOL.into_iter().find_map(|name| source.read_standard_or_warn(name, value::protocol));
    named.unwrap_or_else(|| match endpoint.port() {
        Some(HTTP_PORT) => TracesProtocol::Http,
        _ => TracesProtocol::Grpc,
    })
}

fn with_path_of_traces(mut endpoint: Url) -> Url {
    let path = format!("{}/v1/traces", endpoint.path().trim_end_matches('/'));
    endpoint.set_path(&path);
    endpoint
}

fn headers(source: &mut Source) -> HeaderMap {
    let headers = HEADERS.into_iter().find_map(|name| source.read_standard_secret(name, value::headers));
    headers.unwrap_or_default()
}

fn identity(source: &mut Source) -> Option<(PathBuf, PathBuf)> {
    let files = (read(source, CLIENT_CERTIFICATE, pem_file), read(source, CLIENT_KEY, pem_file));
    let (alone, why) = match files {
        (Some(certificate), Some(key)) => return Some((certificate, key)),
        (None, None) => return None,
        (Some(_), None) => (CLIENT_CERTIFICATE, "there is no CLIENT_KEY for it that can be used"),
        (None, Some(_)) => (CLIENT_KEY, "there is no CLIENT_CERTIFICATE for it that can be used"),
    };
    if let Some(name) = alone.into_iter().find(|name| source.has(name)) {
        source.ignore(name, why);
    }
    None
}

fn sampler(source: &mut Source) -> Sampler {
    let name = source.read_standard(SAMPLER, value::sampler);
    let name = name.unwrap_or_else(|| "parentbased_always_on".to_owned());
    let (asks_parent, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, &*name),
    };
    let root = match root {
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => {
            Sampler::TraceIdRatioBased(source.read_standard(SAMPLER_ARG, value::ratio).unwrap_or(1.0))
        }
        _ => Sampler::AlwaysOn,
    };
    if asks_parent { Sampler::ParentBased(Box::new(root)) } else { root }
}

/// Within bounds: the SDK reserves the memory of the whole queue when it starts, and has a thread wait for
/// the delay.
fn batch(source: &mut Source) -> BatchConfig {
    const MOST_SPANS: u32 = 65_536;
    let mut spans = |name, default| {
        let number = source.read_standard(name, |text| value::number(text, 1..=MOST_SPANS));
        number.and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    };
    let (queue_size, export_size) = (spans(BATCH_QUEUE, DEFAULT_QUEUE), spans(BATCH_SIZE, DEFAULT_SIZE));
    let delay = source.read_standard(BATCH_DELAY, value::milliseconds).unwrap_or(DEFAULT_DELAY);
    BatchConfig { queue_size, export_size, delay }
}

#[cfg(test)]
mod tests;
