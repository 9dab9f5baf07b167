//! The standard variables of OpenTelemetry that configure the export of traces.
//!
//! Clusters inject them into every pod, and not all of them fit every program. As OpenTelemetry's specification
//! demands, a value that cannot be used causes a warning and has no other effect.
//!
//! The SDK itself reads the compression, the span limits, and the name and the attributes of the service: here
//! they are only checked. It does not suffice for the others: it allocates a queue of any size, accepts a timeout
//! of zero, knows samplers in lower case only and no files of TLS, lets an empty variable for traces hide the
//! general one, and gives up on a bad endpoint.

mod value;

use std::{path::PathBuf, time::Duration};

use http::HeaderMap;
use opentelemetry_sdk::trace::Sampler;
use reqwest::Url;

use self::value::WithWarning;
use super::{effective::REDACTED, parse, source::Source};
use crate::{
    domain::Invalid,
    telemetry::{BatchConfig, TracesConfig, TracesProtocol},
};

pub(super) const PREFIX: &str = "OTEL_";

/// The variable for traces alone, and the one for all signals. The first one that can be used counts.
macro_rules! pair {
    ($name:literal) => {
        [concat!("OTEL_EXPORTER_OTLP_TRACES_", $name), concat!("OTEL_EXPORTER_OTLP_", $name)]
    };
}

const ENDPOINT: [&str; 2] = pair!("ENDPOINT");
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SPAN_LIMITS: [&str; 3] =
    ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"];
/// The port of OTLP over HTTP, as registered with IANA.
const HTTP_PORT: u16 = 4318;

/// Reads where traces are exported to. `None` if they are not; then the other variables are not read, as they
/// may be meant for other programs. The defaults are those of OpenTelemetry's specification.
pub(super) fn traces(source: &mut Source) -> Option<TracesConfig> {
    if read(source, ["OTEL_SDK_DISABLED"], value::boolean) == Some(true)
        || read_or_warn(source, ["OTEL_TRACES_EXPORTER"], value::exports_otlp) == Some(false)
    {
        return None;
    }
    let (endpoint, is_own) = endpoint(source)?;
    let protocol = protocol(source, &endpoint);
    read_or_warn(source, ["OTEL_PROPAGATORS"], value::propagators);
    read(source, pair!("COMPRESSION"), value::compression);
    if let Some(warning) = source.standard(RESOURCE).and_then(|text| value::attributes(&text)) {
        source.warn(RESOURCE, warning);
    }
    for limit in SPAN_LIMITS {
        read(source, [limit], |text| value::number(text, 0..=u32::MAX));
    }
    Some(TracesConfig {
        endpoint: match protocol {
            TracesProtocol::Http if !is_own => with_path_of_traces(endpoint),
            TracesProtocol::Grpc | TracesProtocol::Http => endpoint,
        },
        protocol,
        headers: headers(source).unwrap_or_default(),
        timeout: read(source, pair!("TIMEOUT"), value::milliseconds).unwrap_or(Duration::from_secs(10)),
        authority: read(source, pair!("CERTIFICATE"), parse::ca_file),
        identity: identity(source),
        sampler: sampler(source),
        batch: batch(source),
    })
}

/// Reads the first of these variables that can be used. It warns of those that cannot.
fn read<T>(
    source: &mut Source,
    names: impl IntoIterator<Item = &'static str>,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Option<T> {
    read_or_warn(source, names, |text| parse(text).map(|value| (value, None)))
}

/// The same for values that can be used in part.
fn read_or_warn<T>(
    source: &mut Source,
    names: impl IntoIterator<Item = &'static str>,
    parse: impl Fn(&str) -> Result<WithWarning<T>, Invalid>,
) -> Option<T> {
    names.into_iter().find_map(|name| {
        let text = source.standard(name)?;
        match parse(&text) {
            Ok((value, warning)) => {
                source.show(name, text);
                warning.into_iter().for_each(|warning| source.warn(name, warning));
                Some(value)
            }
            Err(Invalid { sentence, .. }) => {
                source.ignore(name, &sentence);
                None
            }
        }
    })
}

/// The URL of the collector, and whether it is for traces alone.
fn endpoint(source: &mut Source) -> Option<(Url, bool)> {
    if !ENDPOINT.iter().any(|name| source.has(name)) {
        return None;
    }
    let is_insecure = read(source, pair!("INSECURE"), value::boolean).unwrap_or(false);
    [(ENDPOINT[0], true), (ENDPOINT[1], false)].into_iter().find_map(|(name, is_own)| {
        read(source, [name], |text| value::url(text, is_insecure)).map(|url| (url, is_own))
    })
}

/// Without a protocol, the port says which one the collector expects there.
fn protocol(source: &mut Source, endpoint: &Url) -> TracesProtocol {
    let named = read_or_warn(source, pair!("PROTOCOL"), value::protocol);
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

/// They hold credentials, so they are not shown.
fn headers(source: &mut Source) -> Option<HeaderMap> {
    let (name, text) = pair!("HEADERS").into_iter().find_map(|name| Some((name, source.standard(name)?)))?;
    let (headers, warning) = value::headers(&text);
    source.show(name, REDACTED.to_owned());
    warning.into_iter().for_each(|warning| source.warn(name, warning));
    Some(headers)
}

fn identity(source: &mut Source) -> Option<(PathBuf, PathBuf)> {
    let (certificates, keys) = (pair!("CLIENT_CERTIFICATE"), pair!("CLIENT_KEY"));
    let files = (read(source, certificates, parse::pem_file), read(source, keys, parse::pem_file));
    let (alone, why) = match files {
        (Some(certificate), Some(key)) => return Some((certificate, key)),
        (None, None) => return None,
        (Some(_), None) => (certificates, "there is no CLIENT_KEY for it that can be used"),
        (None, Some(_)) => (keys, "there is no CLIENT_CERTIFICATE for it that can be used"),
    };
    if let Some(name) = alone.into_iter().find(|name| source.has(name)) {
        source.ignore(name, why);
    }
    None
}

fn sampler(source: &mut Source) -> Sampler {
    let named = read(source, ["OTEL_TRACES_SAMPLER"], value::sampler);
    let (mut sampler, is_parent_based) = named.unwrap_or((Sampler::AlwaysOn, true));
    if let Sampler::TraceIdRatioBased(ratio) = &mut sampler {
        *ratio = read(source, ["OTEL_TRACES_SAMPLER_ARG"], value::ratio).unwrap_or(*ratio);
    }
    if is_parent_based { Sampler::ParentBased(Box::new(sampler)) } else { sampler }
}

/// Within bounds: the SDK allocates the whole queue when it starts, and has a thread wait for the delay.
fn batch(source: &mut Source) -> BatchConfig {
    const MOST_SPANS: u32 = 65_536;
    let mut spans = |name, default| {
        let number = read(source, [name], |text| value::number(text, 1..=MOST_SPANS));
        number.and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    };
    BatchConfig {
        queue_size: spans("OTEL_BSP_MAX_QUEUE_SIZE", 2048),
        export_size: spans("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
        delay: read(source, ["OTEL_BSP_SCHEDULE_DELAY"], value::milliseconds)
            .unwrap_or(Duration::from_secs(5)),
    }
}

#[cfg(test)]
mod tests;
