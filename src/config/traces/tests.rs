//! What becomes of the variables.

use std::ffi::OsString;

use super::*;
use crate::{
    config::{Config, Flags, Loaded},
    telemetry::LogFormat,
};

fn load(variables: &[(&str, &str)]) -> Loaded {
    const GOOD: [(&str, &str); 3] =
        [("HCS_ORG_ID", "1234@AdobeOrg"), ("HCS_CLIENT_ID", "client"), ("HCS_CLIENT_SECRET", "canary")];
    let pairs = GOOD.iter().chain(variables).map(|(name, value)| (OsString::from(name), value.into()));
    Config::load(pairs, Flags::default(), LogFormat::Json).unwrap()
}

/// What is exported with [`COLLECTOR`] and these.
fn traces(variables: &[(&str, &str)]) -> TracesConfig {
    load(&[&[COLLECTOR], variables].concat()).config.traces.unwrap()
}

fn endpoint(variables: &[(&str, &str)]) -> Option<String> {
    load(variables).config.traces.map(|traces| traces.endpoint.to_string())
}

fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
    load(variables).warnings.iter().map(ToString::to_string).collect()
}

const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

#[test]
fn traces_are_exported_where_an_endpoint_is_set_and_nothing_says_no() {
    assert_eq!(endpoint(&[]), None);
    assert_eq!(endpoint(&[COLLECTOR]).as_deref(), Some("http://collector:4317/"));
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:4317");
    assert_eq!(endpoint(&[COLLECTOR, own]).as_deref(), Some("https://traces:4317/"));
    // The one that does not count is not looked at.
    let unused = ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector");
    assert_eq!(endpoint(&[unused, own]).as_deref(), Some("https://traces:4317/"));
    assert_eq!(warnings(&[unused, own]), [""; 0]);
    for no in
        [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_TRACES_EXPORTER", "None")]
    {
        assert_eq!(endpoint(&[COLLECTOR, no]), None);
        let others = [unused, no, ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")];
        assert_eq!((endpoint(&others), warnings(&others)), (None, vec![]));
    }
    // What is for others, and not looked at here.
    assert_eq!(warnings(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier pigeon")]), [""; 0]);
    for other in ["OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] {
        let variables = [COLLECTOR, (other, "prometheus")];
        assert!(endpoint(&variables).is_some() && warnings(&variables).is_empty(), "{other}");
    }
}

#[test]
fn white_space_sets_nothing_and_an_empty_variable_for_traces_leaves_the_general_one_in_effect() {
    for nothing in ["", " "] {
        let traces = traces(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", nothing),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", nothing),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", nothing),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_SDK_DISABLED", nothing),
            ("OTEL_TRACES_SAMPLER", nothing),
        ]);
        assert_eq!(traces.headers["a"], "1");
        assert_eq!(traces.timeout.as_millis(), 250);
    }
}

#[test]
fn an_endpoint_without_a_scheme_is_one_with_tls_unless_the_environment_says_otherwise() {
    let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    assert_eq!(endpoint(&[bare]).as_deref(), Some("https://collector:4317/"));
    for (insecure, url) in [("True", "http://collector:4317/"), ("false", "https://collector:4317/")] {
        assert_eq!(endpoint(&[bare, ("OTEL_EXPORTER_OTLP_INSECURE", insecure)]).as_deref(), Some(url));
    }
    let both = [("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true"), ("OTEL_EXPORTER_OTLP_INSECURE", "false")];
    assert_eq!(endpoint(&[&[bare], &both[..]].concat()).as_deref(), Some("http://collector:4317/"));
    // One that has a scheme is what it says.
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:4317");
    assert_eq!(endpoint(&[own, both[0]]).as_deref(), Some("https://traces:4317/"));
}

#[test]
fn the_protocol_is_the_one_that_is_named_else_that_of_the_port() {
    let protocol = |endpoint, name| {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", name)];
        load(&variables).config.traces.unwrap().protocol
    };
    for (endpoint, name, expected) in [
        ("http://collector:4317", "", TracesProtocol::Grpc),
        ("http://collector", "", TracesProtocol::Grpc),
        ("http://collector:4318", "", TracesProtocol::Http),
        ("http://collector:4318", "GRPC", TracesProtocol::Grpc),
        ("http://collector:4317", "http/protobuf", TracesProtocol::Http),
        ("http://collector:4317", "HTTP/JSON", TracesProtocol::Http),
        ("http://collector:4317", "thrift", TracesProtocol::Grpc),
    ] {
        assert_eq!(protocol(endpoint, name), expected, "{endpoint} {name}");
    }
}

#[test]
fn over_http_traces_have_a_path_below_the_general_endpoint_and_their_own_one_is_taken_as_it_is() {
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let [own, general] = ENDPOINT;
    for (name, url, expected) in [
        (general, "http://collector", "http://collector/v1/traces"),
        (general, "http://collector:9/", "http://collector:9/v1/traces"),
        (general, "https://collector/otlp/", "https://collector/otlp/v1/traces"),
        (own, "http://collector", "http://collector/"),
        (own, "http://collector/mine", "http://collector/mine"),
    ] {
        assert_eq!(endpoint(&[http, (name, url)]).as_deref(), Some(expected));
    }
}

#[test]
fn the_time_of_an_export_is_in_milliseconds() {
    let timeout = |variables: &[(&str, &str)]| traces(variables).timeout.as_millis();
    let general = ("OTEL_EXPORTER_OTLP_TIMEOUT", "250");
    assert_eq!((timeout(&[]), timeout(&[general])), (10_000, 250));
    assert_eq!(timeout(&[general, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "70")]), 70);
    assert_eq!(timeout(&[general, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon")]), 250);
}

#[test]
fn a_sampler_has_its_name_in_any_case() {
    let sampler = |name, argument| {
        let variables = [("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        format!("{:?}", traces(&variables).sampler)
    };
    let default = "ParentBased(AlwaysOn)";
    assert_eq!(sampler("", ""), default);
    assert_eq!(sampler("Always_Off", ""), "AlwaysOff");
    assert_eq!(sampler("parentbased_always_ON", "x"), default);
    assert_eq!(sampler("TRACEIDRATIO", "0.25"), "TraceIdRatioBased(0.25)");
    assert_eq!(sampler("parentbased_traceidratio", "2"), "ParentBased(TraceIdRatioBased(1.0))");
    for unknown in ["jaeger_remote", "parentbased_jaeger_remote", "xray", "parentbased_"] {
        assert_eq!(sampler(unknown, "endpoint=http://collector:14250"), default);
    }
}

#[test]
fn spans_are_collected_within_bounds() {
    let batch = |delay, queue, size| {
        traces(&[
            ("OTEL_BSP_SCHEDULE_DELAY", delay),
            ("OTEL_BSP_MAX_QUEUE_SIZE", queue),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", size),
        ])
        .batch
    };
    let is = |delay, queue_size, export_size| BatchConfig {
        delay: Duration::from_millis(delay),
        queue_size,
        export_size,
    };
    assert_eq!(batch("", "", ""), is(5000, 2048, 512));
    assert_eq!(batch("20", "10", "5"), is(20, 10, 5));
    for unusable in ["0", "-1", "1e3", "18446744073709551615", "many"] {
        assert_eq!(batch(unusable, unusable, unusable), is(5000, 2048, 512), "{unusable}");
    }
}

#[test]
fn what_is_of_no_use_is_ignored_with_a_warning_that_has_a_cure_and_no_value() {
    for (name, value, cure) in [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://canary:4317", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://me:canary@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector?key=canary", "query"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://$(CANARY):4317", "unexpanded $(NAME)"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://{HOST}:4317", "put the value in its place"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "key=<canary>", "put the value in its place"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "canary", "grpc or http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf is used"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip or none"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("OTEL_TRACES_EXPORTER", "console", "otlp or none"),
        ("OTEL_TRACES_EXPORTER", "none,jaeger", "otlp or none"),
        ("OTEL_TRACES_EXPORTER", "otlp,jaeger", "otlp counts"),
        ("OTEL_TRACES_SAMPLER", "xray", "parentbased_"),
        ("OTEL_PROPAGATORS", "b3", "must be tracecontext"),
        ("OTEL_PROPAGATORS", "none", "must be tracecontext"),
        ("OTEL_PROPAGATORS", "xray,jaeger,b3multi", "must be tracecontext"),
        ("OTEL_PROPAGATORS", "TraceContext,b3", "tracecontext counts"),
        ("OTEL_SDK_DISABLED", "yes", "true or false"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer canary", "name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=canary,c=1", "name=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "canary", "name=value"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/canary/ca.pem", "must exist"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/canary/key.pem", "must exist"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file!(), "no CLIENT_KEY"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "18446744073709551615", "from 1 to 65536"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "few", "must be a number"),
    ] {
        let loaded = load(&[COLLECTOR, (name, value)]);
        let [warning] = &loaded.warnings[..] else { panic!("{name}: {:?}", loaded.warnings) };
        assert_eq!(warning.setting, name);
        assert!(warning.message.contains(cure) && !warning.message.contains("canary"), "{warning}");
        // And it costs nothing but itself.
        assert_eq!(loaded.config.traces.unwrap().endpoint.host_str(), Some("collector"));
        let effective = loaded.effective.to_string();
        assert!(!effective.contains("canary"), "{effective}");
    }
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "yes");
    assert!(warnings(&[COLLECTOR, insecure])[0].contains("true or false"));
    // Case and white space are no reason to warn.
    for (name, value) in [
        ("OTEL_PROPAGATORS", "TraceContext, baggage"),
        ("OTEL_TRACES_EXPORTER", " OTLP "),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ("OTEL_SDK_DISABLED", "False"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
    ] {
        assert_eq!(warnings(&[COLLECTOR, (name, value)]), [""; 0]);
    }
}

#[test]
fn a_variable_that_is_no_text_is_ignored() {
    use std::os::unix::ffi::OsStringExt as _;

    let variables = [
        ("HCS_ORG_ID", b"1234@AdobeOrg".to_vec()),
        ("HCS_CLIENT_ID", b"client".to_vec()),
        ("HCS_CLIENT_SECRET", b"canary".to_vec()),
        (COLLECTOR.0, COLLECTOR.1.into()),
        ("OTEL_EXPORTER_OTLP_HEADERS", b"a=\xff".to_vec()),
    ];
    let pairs = variables.map(|(name, value)| (OsString::from(name), OsString::from_vec(value)));
    let loaded = Config::load(pairs, Flags::default(), LogFormat::Json).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.config.traces.unwrap().headers.is_empty());
}

#[test]
fn headers_are_decoded_and_never_shown() {
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary, x-a = b,");
    let loaded = load(&[COLLECTOR, headers]);
    assert_eq!(loaded.warnings, []);
    let effective = loaded.effective.to_string();
    assert!(effective.contains("OTEL_EXPORTER_OTLP_ENDPOINT = http://collector:4317\n"), "{effective}");
    assert!(effective.contains("OTEL_EXPORTER_OTLP_HEADERS = [redacted]\n"), "{effective}");
    let traces = loaded.config.traces.unwrap();
    assert_eq!(
        (&traces.headers["authorization"], &traces.headers["x-a"]),
        (&"Bearer canary".parse().unwrap(), &"b".parse().unwrap())
    );
    assert!(!format!("{effective}{traces:?}").contains("canary"), "{traces:?}");
}
