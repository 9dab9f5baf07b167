use std::collections::HashMap;

use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;

fn address() -> Uri {
    Uri::from_static("http://127.0.0.1:50051")
}

/// An error of the service.
fn failure(code: Code, reason: &str, metadata: &[(&str, &str)], retry: Option<u64>) -> Failure {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata.collect::<HashMap<_, _>>());
    if retry.is_some() {
        details.set_retry_info(retry.map(Duration::from_secs));
    }
    Failure::of(&Status::with_error_details(code, "it failed", details), &address(), true)
}

#[test]
fn the_reason_decides_what_the_exit_status_says() {
    for (code, reason, metadata, retry, outcome) in [
        (Code::InvalidArgument, "INVALID_REQUEST", None, None, Outcome::Change),
        (Code::Unavailable, "UPSTREAM_UNAVAILABLE", None, Some(2), Outcome::Later),
        (Code::Unavailable, "UPSTREAM_UNAVAILABLE", Some(("may_exist", "true")), Some(2), Outcome::Unknown),
        (Code::Unavailable, "UPSTREAM_UNAVAILABLE", Some(("may_exist", "false")), Some(2), Outcome::Later),
        (Code::FailedPrecondition, "UPSTREAM_UNRECOGNIZED", None, None, Outcome::Change),
        (Code::Unavailable, "UPSTREAM_UNRECOGNIZED", None, Some(2), Outcome::Later),
        (Code::Aborted, "ETAG_MISMATCH", None, None, Outcome::Change),
        (Code::Unavailable, "OUTCOME_UNKNOWN", None, Some(2), Outcome::Unknown),
        (Code::FailedPrecondition, "OUTCOME_AMBIGUOUS", None, None, Outcome::Change),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", Some(("stage", "delete")), None, Outcome::Unknown),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", Some(("stage", "adobe_token")), None, Outcome::Later),
        (Code::Internal, "RECORD_UNREADABLE", None, None, Outcome::Unknown),
        (Code::Internal, "INTERNAL", None, None, Outcome::Other),
        // Of a later version.
        (Code::Unavailable, "NEW_REASON", None, Some(2), Outcome::Unknown),
        (Code::NotFound, "NEW_REASON", None, None, Outcome::Change),
    ] {
        let failure = failure(code, reason, metadata.as_slice(), retry);
        assert_eq!(failure.outcome(), outcome, "{reason} {metadata:?}");
    }
}

#[test]
fn what_cannot_help_is_not_retried() {
    let retried = |code, reason, retry| failure(code, reason, &[], retry).retry_after();
    let two = Some(Retry::After(Duration::from_secs(2)));
    assert_eq!(retried(Code::Unavailable, "OUTCOME_UNKNOWN", Some(2)), two);
    assert_eq!(retried(Code::Aborted, "REQUEST_IN_PROGRESS", Some(2)), two);
    assert_eq!(retried(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", None), Some(Retry::Backoff));
    assert_eq!(retried(Code::InvalidArgument, "INVALID_REQUEST", None), None);
    assert_eq!(retried(Code::Internal, "RECORD_UNREADABLE", None), None);
    assert_eq!(retried(Code::Internal, "INTERNAL", None), None);
}

#[test]
fn an_error_of_a_proxy_leaves_the_outcome_of_a_write_open() {
    for (code, writes, outcome) in [
        (Code::Unavailable, true, Outcome::Unknown),
        (Code::Internal, true, Outcome::Unknown),
        (Code::Unknown, true, Outcome::Unknown),
        (Code::Unavailable, false, Outcome::Later),
        (Code::Internal, false, Outcome::Other),
        (Code::PermissionDenied, true, Outcome::Change),
    ] {
        let failure = Failure::of(&Status::new(code, "no"), &address(), writes);
        assert_eq!(failure.outcome(), outcome, "{code:?}");
    }
}

#[test]
fn after_a_lost_attempt_only_the_service_can_settle_the_outcome() {
    let refused = |code, reason| failure(code, reason, &[], None).after_unknown().outcome();
    assert_eq!(refused(Code::PermissionDenied, "CALLER_NOT_ALLOWED"), Outcome::Unknown);
    assert_eq!(refused(Code::InvalidArgument, "UPSTREAM_REJECTED"), Outcome::Change);
    assert_eq!(refused(Code::FailedPrecondition, "OUTCOME_AMBIGUOUS"), Outcome::Change);
}

#[test]
fn an_error_is_one_paragraph_with_its_reason_and_ids() {
    let metadata = [("request_id", "r-1"), ("connection_id", "c-1")];
    let failure = failure(Code::InvalidArgument, "REQUEST_ID_REUSED", &metadata, None);
    assert_eq!(
        failure.to_string(),
        "error: it failed [REQUEST_ID_REUSED; connection_id: c-1; request_id: r-1]"
    );
    let foreign = Failure::of(&Status::new(Code::Internal, "a\u{1b}[31m\nb"), &address(), false);
    assert_eq!(foreign.to_string(), "error: a [31m b [INTERNAL]");
}
