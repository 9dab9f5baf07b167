//! The standard variables of OpenTelemetry, as far as this service reads them itself: where traces are
//! exported to. The others are read by its SDK.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;

use super::{
    parse::{ca_file, pem_file},
    source::{Reported, Source},
};
use crate::domain::Invalid;

/// Where traces are exported to.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// The collector, which speaks OTLP over gRPC.
    pub endpoint: Url,
    /// The longest an export takes.
    pub timeout: Duration,
    /// The authority of the collector's certificate, where it is not one of the system.
    pub authority: Option<PathBuf>,
    /// The certificate that the collector is shown, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether the environment names the service.
    pub names_service: bool,
}

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
    pairs.into_iter().flatten().chain([EXPORTER, DISABLED, PROPAGATORS, SAMPLER, SAMPLER_ARG])
}

/// What OpenTelemetry's specification has an export take at most.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads where traces are exported to; `None` where they are not. Then nothing else is looked at: it may
/// be there for others.
pub(super) fn traces(source: &mut Source) -> Result<Option<TracesConfig>, Reported> {
    if source.read_standard(DISABLED, |text| Ok(text.eq_ignore_ascii_case("true")))?.unwrap_or(false)
        || !source.read_standard(EXPORTER, exporter)?.unwrap_or(true)
        || !ENDPOINT.iter().any(|name| source.has(name))
    {
        return Ok(None);
    }
    let insecure = read(source, INSECURE, boolean);
    let scheme = insecure.as_ref().ok().copied().flatten();
    let endpoint = read(source, ENDPOINT, |text| endpoint(text, scheme));
    let authority = read(source, CERTIFICATE, ca_file);
    let certificate = read(source, CLIENT_CERTIFICATE, pem_file);
    let key = read(source, CLIENT_KEY, pem_file);
    let timeout = read(source, TIMEOUT, milliseconds);
    let rest = [
        read(source, PROTOCOL, protocol),
        read(source, COMPRESSION, compression),
        source.read_standard(PROPAGATORS, propagators),
        source.read_standard(SAMPLER, sampler),
        source.read_standard(SAMPLER_ARG, ratio),
    ];
    for name in HEADERS {
        source.note_standard_secret(name);
    }
    rest.into_iter().collect::<Result<Vec<_>, _>>()?;
    insecure?;
    let identity = match (certificate?, key?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(source.report(CLIENT_CERTIFICATE[1], "set without its CLIENT_KEY")),
        (None, Some(_)) => return Err(source.report(CLIENT_KEY[1], "set without its CLIENT_CERTIFICATE")),
    };
    let Some(endpoint) = endpoint? else { return Ok(None) };
    let names_service = source.has(SERVICE_NAME)
        || source.has_with(RESOURCE, |text| {
            text.split(',').any(|pair| pair.trim_start().starts_with("service.name="))
        });
    let timeout = timeout?.unwrap_or(DEFAULT_TIMEOUT);
    Ok(Some(TracesConfig { endpoint, timeout, authority: authority?, identity, names_service }))
}

/// Reads the variable for traces, or where it is not set the one for everything.
fn read<T>(
    source: &mut Source,
    [own, general]: Pair,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, Reported> {
    let name = if source.has(own) { own } else { general };
    source.read_standard(name, parse)
}

/// Without a scheme, `is_insecure` tells which one is meant.
fn endpoint(text: &str, is_insecure: Option<bool>) -> Result<Url, Invalid> {
    let with_scheme = match is_insecure {
        Some(is_insecure) if !text.contains("://") => {
            format!("{}://{text}", if is_insecure { "http" } else { "https" })
        }
        _ => text.to_owned(),
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

fn boolean(text: &str) -> Result<bool, Invalid> {
    let value = text.to_ascii_lowercase().parse();
    value.map_err(|_| Invalid::from("must be true or false"))
}

fn milliseconds(text: &str) -> Result<Duration, Invalid> {
    let milliseconds = text.parse().ok().filter(|milliseconds| (1..=3_600_000).contains(milliseconds));
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| Invalid::from("must be a number of milliseconds from 1 to 3600000, as in 10000"))
}

fn propagators(text: &str) -> Result<(), Invalid> {
    let is_known = text.split(',').all(|name| ["tracecontext", "baggage"].contains(&name.trim()));
    is_known.then_some(()).ok_or_else(|| {
        Invalid::from(
            "must be tracecontext or tracecontext,baggage: no other headers are read or sent; unset it",
        )
    })
}

fn exporter(text: &str) -> Result<bool, Invalid> {
    match text {
        "otlp" => Ok(true),
        "none" => Ok(false),
        _ => Err(Invalid::from("must be otlp or none: traces are exported in no other way")),
    }
}

fn protocol(text: &str) -> Result<(), Invalid> {
    let is_grpc = text == "grpc";
    is_grpc.then_some(()).ok_or_else(|| {
        Invalid::from("must be grpc, the one protocol here: take the collector's port for it, which is 4317")
    })
}

fn compression(text: &str) -> Result<(), Invalid> {
    let is_none = text.eq_ignore_ascii_case("none");
    is_none.then_some(()).ok_or_else(|| Invalid::from("must be none: spans are sent as they are"))
}

fn sampler(text: &str) -> Result<(), Invalid> {
    let is_known = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ]
    .contains(&text);
    is_known.then_some(()).ok_or_else(|| {
        Invalid::from("must be always_on, always_off or traceidratio, or one of them after parentbased_")
    })
}

fn ratio(text: &str) -> Result<(), Invalid> {
    let ratio: Option<f64> = text.parse().ok();
    let is_one = ratio.is_some_and(|ratio| (0.0..=1.0).contains(&ratio));
    is_one.then_some(()).ok_or_else(|| Invalid::from("must be a number from 0 to 1, as in 0.1"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Config, Flags, Loaded, LogFormat, Problems};

    fn load(variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
        const GOOD: [(&str, &str); 3] =
            [("HCS_ORG_ID", "1234@AdobeOrg"), ("HCS_CLIENT_ID", "client"), ("HCS_CLIENT_SECRET", "canary")];
        let pairs = GOOD.iter().chain(variables).map(|(name, value)| (OsString::from(name), value.into()));
        Config::load(pairs, Flags::default(), LogFormat::Json)
    }

    fn endpoint(variables: &[(&str, &str)]) -> Option<String> {
        load(variables).unwrap().config.traces.map(|traces| traces.endpoint.to_string())
    }

    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

    #[test]
    fn traces_are_exported_where_an_endpoint_is_set_and_nothing_says_no() {
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[COLLECTOR]).as_deref(), Some("http://collector:4317/"));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:4317");
        assert_eq!(endpoint(&[COLLECTOR, own]).as_deref(), Some("https://traces:4317/"));
        // The one that does not count is not looked at.
        let unused = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector");
        assert_eq!(endpoint(&[unused, own]).as_deref(), Some("https://traces:4317/"));
        for no in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(endpoint(&[COLLECTOR, no]), None);
            assert_eq!(endpoint(&[unused, no, ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")]), None);
        }
        // What is for others, and not looked at here.
        assert_eq!(endpoint(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]), None);
        assert!(endpoint(&[COLLECTOR, ("OTEL_METRICS_EXPORTER", "prometheus")]).is_some());
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_one_where_the_environment_tells_which_is_meant() {
        let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
        for (insecure, url) in [("true", "http://collector:4317/"), ("false", "https://collector:4317/")] {
            assert_eq!(endpoint(&[bare, ("OTEL_EXPORTER_OTLP_INSECURE", insecure)]).as_deref(), Some(url));
        }
        let both = [("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true"), ("OTEL_EXPORTER_OTLP_INSECURE", "false")];
        assert_eq!(endpoint(&[&[bare], &both[..]].concat()).as_deref(), Some("http://collector:4317/"));
        // One that has a scheme is what it says.
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:4317");
        assert_eq!(endpoint(&[own, both[0]]).as_deref(), Some("https://traces:4317/"));
    }

    #[test]
    fn the_time_of_an_export_is_in_milliseconds() {
        let timeout = |variables: &[(&str, &str)]| {
            load(&[&[COLLECTOR], variables].concat()).unwrap().config.traces.unwrap().timeout.as_millis()
        };
        let general = ("OTEL_EXPORTER_OTLP_TIMEOUT", "250");
        assert_eq!((timeout(&[]), timeout(&[general])), (10_000, 250));
        assert_eq!(timeout(&[general, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "70")]), 70);
    }

    #[test]
    fn what_cannot_be_exported_to_is_a_problem_with_a_cure() {
        for (name, value, cure) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "http://collector:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "http://collector:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:canary@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "must be grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "must be grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "must be none"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
            ("OTEL_TRACES_SAMPLER", "xray", "parentbased_"),
            ("OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"),
            ("OTEL_PROPAGATORS", "tracecontext,b3", "must be tracecontext"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "yes", "true or false"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/canary/ca.pem", "must exist"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/canary/key.pem", "must exist"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file!(), "without its CLIENT_KEY"),
        ] {
            let variables = if name.ends_with("ENDPOINT") { vec![] } else { vec![COLLECTOR] };
            let Problems(problems) = load(&[&variables[..], &[(name, value)]].concat()).unwrap_err();
            let [problem] = &problems[..] else { panic!("{problems:?}") };
            assert_eq!(problem.setting, name);
            assert!(problem.message.contains(cure) && !problem.message.contains("canary"), "{problem}");
        }
    }

    #[test]
    fn what_is_in_effect_shows_the_endpoint_and_not_the_headers() {
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary");
        let effective = load(&[COLLECTOR, headers]).unwrap().effective.to_string();
        assert!(effective.contains("OTEL_EXPORTER_OTLP_ENDPOINT = http://collector:4317\n"), "{effective}");
        assert!(effective.contains("OTEL_EXPORTER_OTLP_HEADERS = [redacted]\n"), "{effective}");
        assert!(!effective.contains("canary"), "{effective}");
    }

    #[test]
    fn the_service_has_its_name_unless_the_environment_has_another() {
        let names = |variables: &[(&str, &str)]| {
            load(&[&[COLLECTOR], variables].concat()).unwrap().config.traces.unwrap().names_service
        };
        assert!(!names(&[]) && !names(&[("OTEL_RESOURCE_ATTRIBUTES", "a=b")]));
        assert!(names(&[("OTEL_SERVICE_NAME", "x")]));
        assert!(names(&[("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=x")]));
    }
}
