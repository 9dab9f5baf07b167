//! W3C trace context: taken from the headers of a call, and put into those of a request.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// What everybody has to pass on (W3C Trace Context, section 3.3.1.5), and no more: the headers come
/// from a caller and go to Adobe.
const LONGEST_STATE: usize = 512;

/// The context that the headers of a call tell of; an empty one where they tell of none.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(headers))
}

/// Tells the context to whoever gets these headers.
pub(crate) fn inject(context: &Context, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(context, &mut Sent(headers));
}

struct Received<'a>(&'a HeaderMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.to_str().ok()?;
        (value.len() <= LONGEST_STATE).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Sent<'a>(&'a mut HeaderMap);

impl Injector for Sent<'_> {
    fn set(&mut self, key: &str, value: String) {
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// What is passed on of these headers.
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
    fn a_context_is_passed_on_as_it_came() {
        assert_eq!(
            passed_on(&[("traceparent", PARENT), ("tracestate", "vendor=x")]),
            [("traceparent", PARENT), ("tracestate", "vendor=x")].map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(passed_on(&[("traceparent", PARENT)]), [("traceparent".to_owned(), PARENT.to_owned())]);
    }

    #[test]
    fn what_is_no_context_is_not_passed_on() {
        for parent in ["", "x", "00-0-0-01", &PARENT.replace('a', "A"), &PARENT.repeat(20)] {
            assert_eq!(passed_on(&[("traceparent", parent), ("tracestate", "vendor=x")]), [], "{parent}");
        }
        let long = format!("vendor={}", "x".repeat(LONGEST_STATE));
        assert_eq!(passed_on(&[("traceparent", PARENT), ("tracestate", &long)]).len(), 1);
    }
}
