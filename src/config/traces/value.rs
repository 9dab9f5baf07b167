//! The values of OpenTelemetry's standard variables. Names in them count in upper and lower case.

use std::{ops::RangeInclusive, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::{config::parse, domain::Invalid, telemetry::TracesProtocol};

/// A value that is used, and a warning about it.
pub(super) type WithWarning<T> = (T, Option<&'static str>);

const LEFT_OUT: &str = "what is not of the form name=value, comma separated, is left out";

/// Without a scheme, `is_insecure` decides which one is meant.
pub(super) fn url(text: &str, is_insecure: bool) -> Result<Url, Invalid> {
    let scheme = match (text.contains("://"), is_insecure) {
        (true, _) => "",
        (false, true) => "http://",
        (false, false) => "https://",
    };
    let form = "must be an http or https URL, as in http://collector:4317";
    let no_user = "must not hold a user name or password: set OTEL_EXPORTER_OTLP_HEADERS instead";
    parse::server_url(&format!("{scheme}{text}"), form, no_user)
}

pub(super) fn boolean(text: &str) -> Result<bool, Invalid> {
    parse::boolean(&text.to_ascii_lowercase())
}

pub(super) fn milliseconds(text: &str) -> Result<Duration, Invalid> {
    let milliseconds = number(text, 1..=3_600_000).map(u64::from).map(Duration::from_millis);
    milliseconds.map_err(|_| "must be a number of milliseconds from 1 to 3600000, as in 10000".into())
}

pub(super) fn number(text: &str, range: RangeInclusive<u32>) -> Result<u32, Invalid> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()).into())
}

/// W3C trace context is read and sent in any case.
pub(super) fn propagators(text: &str) -> Result<WithWarning<()>, Invalid> {
    let names = items(text);
    let warning = "tracecontext counts, and the others do not: no other headers are read or sent";
    let has_others = names.iter().any(|name| !["tracecontext", "baggage"].contains(&&**name));
    if names.iter().any(|name| name == "tracecontext") {
        Ok(((), has_others.then_some(warning)))
    } else {
        Err("must be tracecontext: no other headers are read or sent".into())
    }
}

/// Whether a list of exporters names the one that there is.
pub(super) fn exports_otlp(text: &str) -> Result<WithWarning<bool>, Invalid> {
    let names = items(text);
    let warning = "otlp counts, and the others do not: traces are exported in no other way";
    if names.iter().any(|name| name == "otlp") {
        Ok((true, names.iter().any(|name| name != "otlp").then_some(warning)))
    } else if names.iter().all(|name| name == "none") {
        Ok((false, None))
    } else {
        Err("must be otlp or none: traces are exported in no other way".into())
    }
}

pub(super) fn protocol(text: &str) -> Result<WithWarning<TracesProtocol>, Invalid> {
    match &*text.to_ascii_lowercase() {
        "grpc" => Ok((TracesProtocol::Grpc, None)),
        "http/protobuf" => Ok((TracesProtocol::Http, None)),
        // Every collector takes both at the same URL.
        "http/json" => Ok((TracesProtocol::Http, Some("http/protobuf is used instead"))),
        _ => Err("must be grpc or http/protobuf".into()),
    }
}

pub(super) fn compression(text: &str) -> Result<(), Invalid> {
    let is_known = ["gzip", "none"].contains(&&*text.to_ascii_lowercase());
    is_known.then_some(()).ok_or_else(|| "must be gzip or none".into())
}

/// The sampler of a call without a parent, and whether a call with one follows it.
pub(super) fn sampler(text: &str) -> Result<(Sampler, bool), Invalid> {
    let name = text.to_ascii_lowercase();
    let root = name.strip_prefix("parentbased_");
    let sampler = match root.unwrap_or(&name) {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(1.0),
        _ => {
            return Err(
                "must be always_on, always_off or traceidratio, or one of them after parentbased_".into()
            );
        }
    };
    Ok((sampler, root.is_some()))
}

pub(super) fn ratio(text: &str) -> Result<f64, Invalid> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "must be a number from 0 to 1, as in 0.1".into())
}

/// The warning about the attributes that the SDK leaves out.
pub(super) fn attributes(text: &str) -> Option<&'static str> {
    text.split_terminator(',').any(|pair| !pair.contains('=')).then_some(LEFT_OUT)
}

/// `name=value`, comma separated and percent-encoded.
pub(super) fn headers(text: &str) -> WithWarning<HeaderMap> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let (mut headers, mut warning) = (HeaderMap::new(), None);
    for pair in pairs {
        match header(pair) {
            Some((name, value)) => drop(headers.insert(name, value)),
            None => warning = Some(LEFT_OUT),
        }
    }
    (headers, warning)
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = HeaderValue::try_from(&*value).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// The names of a list, in lower case.
fn items(text: &str) -> Vec<String> {
    let names = text.split(',').map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}
