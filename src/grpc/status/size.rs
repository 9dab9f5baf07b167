//! Keeps an error small enough to arrive: it is sent in headers, and clients and proxies drop headers that are
//! too large, with the code and the reason.

use tonic::Status;

/// The message and the details, as they are sent. With the other trailers they are smaller than 4 KiB: half of
/// what gRPC clients accept by default, and what the strictest proxies accept.
const MOST_BYTES: usize = 3800;
/// How much stays of each text, in bytes. An error with the last limit always fits.
const LIMITS: [usize; 7] = [usize::MAX, 1600, 1200, 800, 400, 200, 80];
/// A message is more useful than the other texts.
pub(super) const SHORTEST_MESSAGE: usize = 240;
const MARK: char = '…';

/// The status with the largest limit that fits.
pub(super) fn fitting(encode: impl Fn(usize) -> Status) -> Status {
    let [larger @ .., smallest] = LIMITS;
    larger.into_iter().map(&encode).find(fits).unwrap_or_else(|| encode(smallest))
}

fn fits(status: &Status) -> bool {
    // In a header, other characters than plain text take three bytes for each byte.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#%<>`?{}".contains(&byte);
    let message: usize = status.message().bytes().map(|byte| if is_plain(byte) { 1 } else { 3 }).sum();
    // The details are sent in base64, and contain the message again.
    message + status.details().len().div_ceil(3) * 4 <= MOST_BYTES
}

pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}{MARK}", &text[..text.floor_char_boundary(limit - MARK.len_utf8())])
}

/// Cuts a comma-separated list of ids after a whole id, and any other value like a text.
pub(super) fn cut_value(value: &str, limit: usize) -> String {
    let end = value.floor_char_boundary(limit.min(value.len()));
    match value[..end].rfind(',').filter(|_| end < value.len()) {
        Some(comma) => value[..comma].to_owned(),
        None => cut(value, limit),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::grpc::status::{Reason, RpcError};

    /// What an error takes in headers.
    fn sent(status: &Status) -> usize {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    }

    #[test]
    fn an_error_of_any_size_arrives_with_its_reason_and_its_ids() {
        let ids: Vec<_> = (0..300).map(|number| format!("{number:036}")).collect();
        for text in ["word ", "\u{1f600}", "\"<%>", "\n"] {
            let long = text.repeat(3000);
            let violation = |number: usize| (format!("{number}{long}"), long.clone());
            let error = RpcError::new(Code::FailedPrecondition, Reason::OutcomeAmbiguous, long.clone())
                .metadata("request_id", &ids[7])
                .metadata("connection_id", "c".repeat(64))
                .metadata("candidates", ids.join(","))
                .metadata("upstream_request_id", &long)
                .resource("connection", &long, "does not exist")
                .preconditions((0..50).map(violation))
                .retry_after(Duration::from_secs(7));
            let status = Status::from(error);
            assert!(sent(&status) < 4096, "{text:?} {}", sent(&status));
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!(info.reason, "OUTCOME_AMBIGUOUS");
            assert_eq!(info.metadata["request_id"], ids[7]);
            assert_eq!(info.metadata["connection_id"].len(), 64);
            let candidates: Vec<_> = info.metadata["candidates"].split(',').collect();
            assert!(!candidates.is_empty() && candidates[..] == ids[..candidates.len()], "{candidates:?}");
            assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(7)));
            let violation = &details.precondition_failure().unwrap().violations[0];
            assert_eq!((&*violation.r#type, &violation.subject[..1]), ("OUTCOME_AMBIGUOUS", "0"));
            assert!(status.message().len() >= SHORTEST_MESSAGE - 4, "{}", status.message());
        }
    }

    #[test]
    fn an_error_that_fits_stays_as_it_is() {
        let message = "a sentence ".repeat(80);
        let error = RpcError::new(Code::InvalidArgument, Reason::UpstreamRejected, message.clone());
        let status = Status::from(error);
        assert_eq!(status.message(), message);
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
        assert!(status.get_error_details().retry_info().is_none());
    }
}
