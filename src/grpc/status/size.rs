//! Keeps an error small enough to arrive: it travels in headers, and clients and proxies drop those that
//! are too large, the code and the reason with them.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::ErrorDetails;

/// The message and the details as they are sent. With the other trailers it is less than 4 KiB, which is half
/// of what gRPC clients allow by themselves, and as much as the strictest proxies do.
const MOST_BYTES: usize = 3800;
/// What stays of a text, in bytes, however long the rest is.
const SHORTEST_MESSAGE: usize = 240;
const SHORTEST_DESCRIPTION: usize = 80;
const SHORTEST_METADATA: usize = 64;

/// Whether an error can be sent as it is.
pub(super) fn fits(status: &Status) -> bool {
    // The details are in base64, and have the message in them once more.
    header_length(status.message()) + status.details().len().div_ceil(3) * 4 <= MOST_BYTES
}

/// The length of a message in its header, where anything but plain text takes three characters for a byte.
fn header_length(message: &str) -> usize {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#%<>`?{}".contains(&byte);
    message.bytes().map(|byte| if is_plain(byte) { 1 } else { 3 }).sum()
}

/// Cuts the largest part to half of it. What tells errors apart stays: the reason, the ids, the first bad
/// field. False where nothing can be cut any more.
pub(super) fn shorten(
    message: &mut String,
    metadata: &mut HashMap<String, String>,
    details: &mut ErrorDetails,
) -> bool {
    let mut fields = details.bad_request().map(|found| found.field_violations.clone()).unwrap_or_default();
    let mut violations =
        details.precondition_failure().map(|found| found.violations.clone()).unwrap_or_default();
    let of_fields: usize = fields.iter().map(|v| v.field.len() + v.description.len() + v.reason.len()).sum();
    let of_violations: usize =
        violations.iter().map(|v| v.r#type.len() + v.subject.len() + v.description.len()).sum();
    let longest = metadata.iter().max_by_key(|(_, value)| value.len()).map(|(key, _)| key.clone());
    let of_metadata = longest.as_ref().map_or(0, |key| metadata[key].len());

    let mut parts = [
        // It is sent twice.
        (header_length(message) + message.len(), Part::Message),
        (of_fields, Part::Fields),
        (of_violations, Part::Preconditions),
        (of_metadata, Part::Metadata),
        (details.resource_info().map_or(0, |r| r.resource_name.len() + r.description.len()), Part::Resource),
    ];
    parts.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    parts.into_iter().any(|(_, part)| match part {
        Part::Message => cut(message, SHORTEST_MESSAGE),
        Part::Fields => {
            let is_cut = fewer(&mut fields, |field| [&mut field.description]);
            if is_cut {
                details.set_bad_request(std::mem::take(&mut fields));
            }
            is_cut
        }
        Part::Preconditions => {
            let is_cut =
                fewer(&mut violations, |violation| [&mut violation.description, &mut violation.subject]);
            if is_cut {
                details.set_precondition_failure(std::mem::take(&mut violations));
            }
            is_cut
        }
        Part::Metadata => longest.as_ref().and_then(|key| metadata.get_mut(key)).is_some_and(cut_list),
        Part::Resource => match details.resource_info().cloned() {
            Some(mut resource) => {
                let is_cut = cut(&mut resource.description, SHORTEST_DESCRIPTION)
                    || cut(&mut resource.resource_name, SHORTEST_DESCRIPTION);
                details.set_resource_info(
                    resource.resource_type,
                    resource.resource_name,
                    resource.owner,
                    resource.description,
                );
                is_cut
            }
            None => false,
        },
    })
}

#[derive(Clone, Copy)]
enum Part {
    Message,
    Fields,
    Preconditions,
    Metadata,
    Resource,
}

/// Cuts a text to half of it, but to no fewer bytes than these.
fn cut(text: &mut String, fewest: usize) -> bool {
    const MARK: char = '…';
    let half = (text.len() / 2).max(fewest);
    if half >= text.len() {
        return false;
    }
    text.truncate(text.floor_char_boundary(half - MARK.len_utf8()));
    text.push(MARK);
    true
}

/// Cuts a list of ids to its first half, each id whole; what is no list like any other text.
fn cut_list(value: &mut String) -> bool {
    if value.len() <= SHORTEST_METADATA {
        return false;
    }
    let half = value.floor_char_boundary(value.len() / 2);
    match value[..half].rfind(',') {
        Some(end) => {
            value.truncate(end);
            true
        }
        None => cut(value, SHORTEST_METADATA),
    }
}

/// Cuts long texts of a list, and where there is none its second half.
fn fewer<T, const N: usize>(list: &mut Vec<T>, texts: impl Fn(&mut T) -> [&mut String; N]) -> bool {
    let mut is_cut = false;
    for text in list.iter_mut().flat_map(texts) {
        is_cut |= cut(text, SHORTEST_DESCRIPTION);
    }
    let half = (list.len() / 2).max(1);
    if !is_cut && half < list.len() {
        list.truncate(half);
        is_cut = true;
    }
    is_cut
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::grpc::status::{Answer, Reason};

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
            let violation = |number: usize| (format!("KIND_{number}"), long.clone(), long.clone());
            let status = Answer::new(Code::FailedPrecondition, Reason::OutcomeAmbiguous, long.clone())
                .metadata("request_id", &ids[7])
                .metadata("connection_id", "c".repeat(64))
                .metadata("candidates", ids.join(","))
                .metadata("upstream_request_id", &long)
                .resource("connection", &long, &long)
                .preconditions((0..50).map(violation))
                .retry_after(Duration::from_secs(7))
                .build();
            assert!(sent(&status) < 4096, "{text:?} {}", sent(&status));
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!(info.reason, "OUTCOME_AMBIGUOUS");
            assert_eq!(info.metadata["request_id"], ids[7]);
            assert_eq!(info.metadata["connection_id"].len(), 64);
            let candidates: Vec<_> = info.metadata["candidates"].split(',').collect();
            assert!(!candidates.is_empty() && candidates[..] == ids[..candidates.len()], "{candidates:?}");
            assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(7)));
            assert_eq!(details.precondition_failure().unwrap().violations[0].r#type, "KIND_0");
            assert!(status.message().len() >= SHORTEST_MESSAGE - 4, "{}", status.message());
        }
    }

    #[test]
    fn an_error_that_fits_stays_as_it_is() {
        let message = "a sentence ".repeat(80);
        let status = Answer::new(Code::InvalidArgument, Reason::UpstreamRejected, message.clone()).build();
        assert_eq!(status.message(), message);
    }
}
