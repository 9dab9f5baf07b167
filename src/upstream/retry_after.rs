//! The `Retry-After` header, in both of its forms (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

/// The longest wait that is passed on.
const LONGEST: Duration = Duration::from_secs(300);

/// How long a reply asks to wait: seconds or an HTTP date, capped.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &str) -> Option<Duration> {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 12:00:00 GMT").unwrap();
        let headers = [(RETRY_AFTER, HeaderValue::from_str(value).unwrap())].into_iter().collect();
        retry_after(&headers, now)
    }

    #[test]
    fn both_forms_are_read_and_capped() {
        assert_eq!(parse("38"), Some(Duration::from_secs(38)));
        assert_eq!(parse(" 0 "), Some(Duration::ZERO));
        assert_eq!(parse("Sat, 21 Nov 2026 12:00:07 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sat, 21 Nov 2026 11:59:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("86400"), Some(LONGEST));
        assert_eq!(parse("18446744073709551615"), Some(LONGEST));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_asks_for_too_much(value in "[ -~]{0,40}|[0-9]{1,25}") {
            prop_assert!(parse(&value).unwrap_or_default() <= LONGEST);
        }
    }

    #[test]
    fn anything_else_says_nothing() {
        for value in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(parse(value), None, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
    }
}
