//! Ends a call at its deadline, with an error that contains the stage of its
//! [`CallProgress`](crate::domain::CallProgress).

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::sleep_until;
use tonic::Status;

use super::{Request, Response};
use crate::{
    domain::Invalid,
    grpc::{call::Call, status, violations::Rejection},
};

const TIMEOUT: &str = "grpc-timeout";
/// A client stops listening at its deadline. The error is sent earlier: by a tenth of the time, and at most by a
/// network round trip.
const LONGEST_MARGIN: Duration = Duration::from_millis(100);

pub(crate) async fn deadline(
    call: &Call,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    if let Err(invalid) = timeout(request.headers()) {
        return Status::from(Rejection::of(TIMEOUT, invalid)).into_http();
    }
    let response = tokio::select! {
        // A use case that waits ends at the same moment, with a less specific error.
        biased;
        () = sleep_until(call.deadline) => None,
        response = next(request) => Some(response),
    };
    // The future of the call is dropped by now, so that its progress does not change any more.
    response.unwrap_or_else(|| status::deadline_exceeded(call.kind(), &call.progress).into_response())
}

/// How long the caller waits, less the margin; `None` if it does not say.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Invalid> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let limit = parse(value).ok_or("must be 1 to 8 digits and one of the units H, M, S, m, u, n")?;
    Ok(Some(limit - (limit / 10).min(LONGEST_MARGIN)))
}

/// 1 to 8 digits and a unit (gRPC over HTTP/2).
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
    fn other_texts_are_malformed() {
        for value in ["", "S", "1", "1s", "1 S", "-1S", "+1S", "1.5S", "123456789S", "1SS", "ü"] {
            assert_eq!(HeaderValue::from_str(value).ok().as_ref().and_then(parse), None, "{value}");
        }
    }
}
