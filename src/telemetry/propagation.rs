//! W3C Trace Context: read from the headers of a call, and written into those of a request to Adobe.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{Context, propagation::TextMapPropagator as _};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The length that everyone must pass on (W3C Trace Context, section 3.3.1.5), and no more: a caller's headers
/// go to Adobe.
const LONGEST_STATE: usize = 512;
const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
/// Version, trace, span and flags, with the hyphens between them.
const PARENT_LENGTH: usize = 55;

/// The context in the headers of a call; empty without a valid one.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    let Some(parent) = parent(headers) else { return Context::new() };
    let state = state(headers).map(|state| (STATE, state));
    let received = std::iter::once((PARENT, parent.clone())).chain(state).collect();
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(&received))
}

/// Adds the context to the headers of a request.
pub(crate) fn inject(context: &Context, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(context, &mut HeaderInjector(headers));
    // The propagator writes an empty one, too.
    if headers.get(STATE).is_some_and(HeaderValue::is_empty) {
        headers.remove(STATE);
    }
}

/// A well-formed `traceparent`. The propagator also accepts ids that are too short or too long.
fn parent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(PARENT).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?;
    let (first, rest) = text.split_at_checked(PARENT_LENGTH)?;
    let are_lengths_right = first.split('-').map(str::len).eq([2, 32, 16, 2]);
    // Later versions may append fields.
    let is_end_right = rest.is_empty() || (rest.starts_with('-') && !first.starts_with("00"));
    (are_lengths_right && is_end_right && text.len() <= LONGEST_STATE).then_some(value)
}

/// The whole `tracestate`, which several headers may share.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let values: Result<Vec<_>, _> = headers.get_all(STATE).iter().map(HeaderValue::to_str).collect();
    let state = values.ok()?.join(",");
    (state.len() <= LONGEST_STATE).then(|| state.try_into().ok())?
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// The headers that are passed on for these.
    fn passed_on(headers: &[(&'static str, &str)]) -> Vec<(String, String)> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut sent = HeaderMap::new();
        inject(&extract(&headers.iter().map(pair).collect()), &mut sent);
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        sent.iter().map(text).collect()
    }

    #[test]
    fn a_context_is_passed_on_unchanged() {
        assert_eq!(
            passed_on(&[("traceparent", PARENT), ("tracestate", "vendor=x")]),
            [("traceparent", PARENT), ("tracestate", "vendor=x")].map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(passed_on(&[("traceparent", PARENT)]), [("traceparent".to_owned(), PARENT.to_owned())]);
        // A later version is passed on as the known one.
        let later = format!("{}-more", PARENT.replacen("00", "01", 1));
        assert_eq!(passed_on(&[("traceparent", &later)]), passed_on(&[("traceparent", PARENT)]));
    }

    #[test]
    fn a_state_in_several_headers_is_joined() {
        let sent = passed_on(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2,c=3")]);
        assert_eq!(sent[1].1, "a=1,b=2,c=3");
    }

    #[test]
    fn an_invalid_context_is_not_passed_on() {
        let malformed = [
            "",
            "x",
            "00-0-0-01",
            "00-1-1-01",
            "00-0af7651916cd43dd8448eb211c80319c0-b7ad6b716920333-01",
            &PARENT[1..],
            &format!("{PARENT}-"),
            &PARENT.replace('a', "A"),
            &PARENT.repeat(20),
        ];
        for parent in malformed {
            assert_eq!(passed_on(&[("traceparent", parent), ("tracestate", "vendor=x")]), [], "{parent}");
        }
        // Two are ambiguous.
        assert_eq!(passed_on(&[("traceparent", PARENT), ("traceparent", PARENT)]), []);
        let long = format!("vendor={}", "x".repeat(LONGEST_STATE));
        assert_eq!(passed_on(&[("traceparent", PARENT), ("tracestate", &long)]).len(), 1);
    }
}
