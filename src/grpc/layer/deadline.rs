//! Ends a call when its deadline is spent: the caller's, or the longest that the service grants.
//!
//! The error says how far the call has come, which the use case notes in its [`CallProgress`]. Callers
//! watch their deadline, too, and stop listening when it is spent: an answer on the minute would
//! never be read, so this one comes a little earlier.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::time::{Instant, sleep_until};

use super::{Request, Response};
use crate::{domain::CallProgress, grpc::status};

const TIMEOUT: &str = "grpc-timeout";
/// How much earlier than the caller's deadline the answer leaves: a tenth of the time, and at most
/// what crosses a continent.
const LONGEST_MARGIN: Duration = Duration::from_millis(100);

pub(crate) async fn deadline(
    longest: Duration,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let limit = match request.headers().get(TIMEOUT).map(parse) {
        None => longest,
        Some(Some(limit)) => (limit - (limit / 10).min(LONGEST_MARGIN)).min(longest),
        Some(None) => return status::invalid_timeout().into_http(),
    };
    let progress = Arc::new(CallProgress::default());
    let deadline = Instant::now() + limit;
    request.extensions_mut().insert(Deadline { at: deadline, progress: Arc::clone(&progress) });
    let response = tokio::select! {
        // What waits for something in the call gives up at the same moment, and knows less.
        biased;
        () = sleep_until(deadline) => None,
        response = next(request) => Some(response),
    };
    // The call is dropped by now: what its progress says is not what is just about to change.
    response.unwrap_or_else(|| status::deadline_exceeded(&progress).into_http())
}

/// The deadline of a call, in the extensions of its request.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// Where the call notes how far it has come.
    pub(crate) progress: Arc<CallProgress>,
}

/// Reads a timeout as gRPC writes it: 1 to 8 digits and a unit.
fn parse(value: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_str(value: &str) -> Option<Duration> {
        parse(&HeaderValue::from_str(value).unwrap())
    }

    #[test]
    fn every_unit_is_read() {
        for (value, nanos) in [
            ("1H", 3_600_000_000_000),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("4m", 4_000_000),
            ("5u", 5_000),
            ("6n", 6),
            ("0S", 0),
            ("99999999n", 99_999_999),
        ] {
            assert_eq!(parse_str(value), Some(Duration::from_nanos(nanos)), "{value}");
        }
        assert!(parse_str("99999999H").is_some());
    }

    #[test]
    fn anything_else_is_not_a_timeout() {
        for value in ["", "S", "1", "1s", "1 S", "-1S", "+1S", "1.5S", "123456789S", "1SS", "ü"] {
            assert_eq!(HeaderValue::from_str(value).ok().as_ref().and_then(parse), None, "{value}");
        }
    }
}
