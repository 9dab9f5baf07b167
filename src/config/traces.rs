//! The standard variables of OpenTelemetry, as far as this service reads them itself: where traces are
//! exported to. The others are read by its SDK.

use reqwest::Url;

use super::source::{Reported, Source};
use crate::domain::Invalid;

/// Where traces are exported to.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// The collector, which speaks OTLP over gRPC.
    pub endpoint: Url,
    /// Whether the environment names the service.
    pub names_service: bool,
}

pub(super) const PREFIX: &str = "OTEL_";

const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_COMPRESSION: &str = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION";
const COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Those that are shown where they are set, in this order.
pub(super) const SHOWN: [&str; 12] = [
    TRACES_ENDPOINT,
    ENDPOINT,
    TRACES_PROTOCOL,
    PROTOCOL,
    TRACES_COMPRESSION,
    COMPRESSION,
    TRACES_HEADERS,
    HEADERS,
    EXPORTER,
    DISABLED,
    SAMPLER,
    SAMPLER_ARG,
];

/// Reads where traces are exported to; `None` where they are not.
pub(super) fn traces(source: &mut Source) -> Result<Option<TracesConfig>, Reported> {
    let disabled = source.read_standard(DISABLED, |text| Ok(text.eq_ignore_ascii_case("true")));
    let exporter = source.read_standard(EXPORTER, exporter);
    let traces_endpoint = source.read_standard(TRACES_ENDPOINT, endpoint);
    let endpoint = source.read_standard(ENDPOINT, endpoint);
    let is_off = disabled?.unwrap_or(false) || !exporter?.unwrap_or(true);
    let Some(endpoint) = traces_endpoint?.or(endpoint?).filter(|_| !is_off) else { return Ok(None) };

    let rest = [
        source.read_standard(TRACES_PROTOCOL, protocol),
        source.read_standard(PROTOCOL, protocol),
        source.read_standard(TRACES_COMPRESSION, compression),
        source.read_standard(COMPRESSION, compression),
        source.read_standard(SAMPLER, sampler),
        source.read_standard(SAMPLER_ARG, ratio),
    ];
    source.note_standard_secret(TRACES_HEADERS);
    source.note_standard_secret(HEADERS);
    rest.into_iter().collect::<Result<Vec<_>, _>>()?;
    let names_service = source.has(SERVICE_NAME)
        || source.has_with(RESOURCE, |text| {
            text.split(',').any(|pair| pair.trim_start().starts_with("service.name="))
        });
    Ok(Some(TracesConfig { endpoint, names_service }))
}

fn endpoint(text: &str) -> Result<Url, Invalid> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
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
        for no in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(endpoint(&[COLLECTOR, no]), None);
        }
        // What is for others, and not looked at here.
        assert_eq!(endpoint(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]), None);
        assert!(endpoint(&[COLLECTOR, ("OTEL_METRICS_EXPORTER", "prometheus")]).is_some());
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
