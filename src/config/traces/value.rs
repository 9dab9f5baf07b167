//! The values of OpenTelemetry's standard variables. Names among them are known in any case.

use std::{ops::RangeInclusive, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::TracesProtocol;
use crate::domain::Invalid;

/// A value that counts, and what has to be said about it all the same.
pub(super) type WithWarning<T> = (T, Option<&'static str>);

/// Which exporters a list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exporters {
    Otlp,
    None,
}

/// Without a scheme, `is_insecure` tells which one is meant.
pub(super) fn url(text: &str, is_insecure: bool) -> Result<Url, Invalid> {
    let with_scheme = match text.contains("://") {
        true => text.to_owned(),
        false => format!("{}://{text}", if is_insecure { "http" } else { "https" }),
    };
    let url = Url::parse(&with_scheme).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        return Err(Invalid::from("must be an http or https URL, as in http://collector:4317"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Invalid::from(
            "must not hold a user name or password: set OTEL_EXPORTER_OTLP_HEADERS instead",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Invalid::from("must not hold a query (?) or a fragment (#)"));
    }
    Ok(url)
}

pub(super) fn boolean(text: &str) -> Result<bool, Invalid> {
    let value = text.to_ascii_lowercase().parse();
    value.map_err(|_| Invalid::from("must be true or false"))
}

pub(super) fn milliseconds(text: &str) -> Result<Duration, Invalid> {
    let milliseconds = text.parse().ok().filter(|milliseconds| (1..=3_600_000).contains(milliseconds));
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| Invalid::from("must be a number of milliseconds from 1 to 3600000, as in 10000"))
}

pub(super) fn number(text: &str, range: RangeInclusive<u32>) -> Result<u32, Invalid> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| Invalid::from(format!("must be a number from {} to {}", range.start(), range.end())))
}

/// Whatever is asked for, W3C trace context is what is read and sent.
pub(super) fn propagators(text: &str) -> Result<WithWarning<()>, Invalid> {
    let names: Vec<_> = items(text).collect();
    let are_known = names.iter().all(|name| ["tracecontext", "baggage"].contains(&&**name));
    let has_trace_context = names.iter().any(|name| name == "tracecontext");
    match (are_known, has_trace_context) {
        (true, true) => Ok(((), None)),
        (false, true) => {
            Ok(((), Some("tracecontext counts, and the others do not: no other headers are read or sent")))
        }
        (_, false) => Err(Invalid::from("must be tracecontext: no other headers are read or sent")),
    }
}

pub(super) fn exporters(text: &str) -> Result<WithWarning<Exporters>, Invalid> {
    let names: Vec<_> = items(text).collect();
    let has_others = names.iter().any(|name| name != "otlp");
    if names.iter().any(|name| name == "otlp") {
        let warning = "otlp counts, and the others do not: traces are exported in no other way";
        Ok((Exporters::Otlp, has_others.then_some(warning)))
    } else if names.iter().all(|name| name == "none") {
        Ok((Exporters::None, None))
    } else {
        Err(Invalid::from("must be otlp or none: traces are exported in no other way"))
    }
}

pub(super) fn protocol(text: &str) -> Result<WithWarning<TracesProtocol>, Invalid> {
    match &*text.to_ascii_lowercase() {
        "grpc" => Ok((TracesProtocol::Grpc, None)),
        "http/protobuf" => Ok((TracesProtocol::Http, None)),
        // Every collector takes both at the same URL.
        "http/json" => Ok((TracesProtocol::Http, Some("http/protobuf is used instead"))),
        _ => Err(Invalid::from("must be grpc or http/protobuf")),
    }
}

pub(super) fn is_gzip(text: &str) -> Result<bool, Invalid> {
    match &*text.to_ascii_lowercase() {
        "gzip" => Ok(true),
        "none" => Ok(false),
        _ => Err(Invalid::from("must be gzip or none")),
    }
}

pub(super) fn sampler(text: &str) -> Result<String, Invalid> {
    let name = text.to_ascii_lowercase();
    let is_known = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ]
    .contains(&&*name);
    is_known.then_some(name).ok_or_else(|| {
        Invalid::from("must be always_on, always_off or traceidratio, or one of them after parentbased_")
    })
}

pub(super) fn ratio(text: &str) -> Result<f64, Invalid> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| Invalid::from("must be a number from 0 to 1, as in 0.1"))
}

/// The SDK reads them; here it is found out what it leaves out.
pub(super) fn attributes(text: &str) -> Result<WithWarning<()>, Invalid> {
    let is_left_out = text.split_terminator(',').any(|pair| !pair.contains('='));
    Ok(((), is_left_out.then_some("what is not of the form name=value, comma separated, is left out")))
}

/// `name=value`, comma separated and percent-encoded.
pub(super) fn headers(text: &str) -> (HeaderMap, Option<&'static str>) {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let mut headers = HeaderMap::new();
    let mut warning = None;
    for pair in pairs {
        match header(pair) {
            Some((name, value)) => {
                headers.insert(name, value);
            }
            None => warning = Some("what is not of the form name=value, comma separated, is left out"),
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

/// The names of a list.
fn items(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty())
}
