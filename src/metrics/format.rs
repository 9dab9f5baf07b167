//! The two text formats of `/metrics`: Prometheus's own, and OpenMetrics, the only one that `prometheus-client` writes.

use std::fmt::Write as _;

use http::{HeaderMap, header::ACCEPT};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Version 0.0.4 of Prometheus's text format, which every scraper reads.
    Prometheus,
    /// Version 1.0.0 of OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// The format that a request prefers; Prometheus if it accepts neither.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(',')).filter_map(range);
        let mut best = (0.0, Self::Prometheus);
        for (quality, format) in ranges {
            // The first one of equals wins.
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The format of a media range, and its quality; `None` for neither format, or another version.
fn range(text: &str) -> Option<(f32, Format)> {
    let mut parts = text.split(';').map(str::trim);
    let (format, known) = match &*parts.next()?.to_ascii_lowercase() {
        "application/openmetrics-text" => (Format::OpenMetrics, "1.0.0"),
        "text/plain" | "text/*" | "*/*" => (Format::Prometheus, "0.0.4"),
        _ => return None,
    };
    let mut quality = 1.0;
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match &*name.trim().to_ascii_lowercase() {
            "version" if value != known => return None,
            "q" => quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
            _ => {}
        }
    }
    Some((quality, format))
}

/// Converts OpenMetrics to Prometheus: its counters have their full name everywhere, and it has no `info`, units or end.
pub(super) fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(of_family) = line.strip_prefix("# HELP ") {
            // Its name depends on the type, which comes next.
            help = of_family.split_once(' ').map(|(_, help)| help);
        } else if let Some(of_family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of_family.split_once(' ').unwrap_or((of_family, "unknown"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            // Writing to a string does not fail.
            if let Some(help) = help.take() {
                let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accepted(headers: &[&'static str]) -> Format {
        Format::accepted(&headers.iter().map(|value| (ACCEPT, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn open_metrics_are_for_scrapers_that_prefer_them() {
        for accept in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0",
            "Application/OpenMetrics-Text;Version=\"1.0.0\"; charset=utf-8",
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "text/plain;q=0.5, application/openmetrics-text; q=0.6",
            "application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.7",
            // What Prometheus sends.
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        ] {
            assert_eq!(accepted(&[accept]), Format::OpenMetrics, "{accept}");
        }
        assert_eq!(
            accepted(&["text/plain;q=0.2", "application/openmetrics-text;q=0.3"]),
            Format::OpenMetrics
        );
    }

    #[test]
    fn everyone_else_gets_the_format_of_prometheus() {
        assert_eq!(accepted(&[]), Format::Prometheus);
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/plain;version=0.0.4",
            "application/json",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.0,*/*;q=0.1",
            "application/openmetrics-text;q=high",
            "application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.5",
            "text/plain,application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0;q=0.1,*/*",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        ] {
            assert_eq!(accepted(&[accept]), Format::Prometheus, "{accept}");
        }
    }

    #[test]
    fn names_and_types_are_those_of_the_format_of_prometheus() {
        let open_metrics = "\
# HELP a_calls Calls.
# TYPE a_calls counter
a_calls_total{x=\"# TYPE\"} 1
# HELP a_build What runs.
# TYPE a_build info
a_build_info{version=\"1\"} 1
# HELP a_age_seconds An age.
# TYPE a_age_seconds gauge
# UNIT a_age_seconds seconds
a_age_seconds 0.5
# HELP a_time_seconds Time.
# TYPE a_time_seconds histogram
a_time_seconds_sum 0.0
a_time_seconds_count 0
a_time_seconds_bucket{le=\"+Inf\"} 0
# HELP a_thing Anything.
# TYPE a_thing unknown
a_thing 1
# EOF
";
        let expected = "\
# HELP a_calls_total Calls.
# TYPE a_calls_total counter
a_calls_total{x=\"# TYPE\"} 1
# HELP a_build_info What runs.
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_age_seconds An age.
# TYPE a_age_seconds gauge
a_age_seconds 0.5
# HELP a_time_seconds Time.
# TYPE a_time_seconds histogram
a_time_seconds_sum 0.0
a_time_seconds_count 0
a_time_seconds_bucket{le=\"+Inf\"} 0
# HELP a_thing Anything.
# TYPE a_thing untyped
a_thing 1
";
        assert_eq!(prometheus(open_metrics), expected);
    }
}
