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
        // What may exist, whatever else the reason says.
        (Code::InvalidArgument, "UPSTREAM_REJECTED", Some(("may_exist", "true")), None, Outcome::Unknown),
        (Code::FailedPrecondition, "DATAFLOW_STATE", Some(("may_exist", "true")), None, Outcome::Unknown),
        (Code::PermissionDenied, "CALLER_NOT_ALLOWED", Some(("may_exist", "true")), None, Outcome::Unknown),
        (Code::Internal, "UPSTREAM_UNDECODABLE", Some(("may_exist", "true")), None, Outcome::Unknown),
        (Code::InvalidArgument, "UPSTREAM_REJECTED", Some(("may_exist", "false")), None, Outcome::Change),
        (Code::FailedPrecondition, "OUTCOME_AMBIGUOUS", Some(("may_exist", "true")), None, Outcome::Change),
        (
            Code::FailedPrecondition,
            "VERIFICATION_FAILED",
            Some(("may_exist", "true")),
            None,
            Outcome::Unknown,
        ),
        (
            Code::FailedPrecondition,
            "VERIFICATION_FAILED",
            Some(("may_exist", "false")),
            None,
            Outcome::Change,
        ),
        (Code::Internal, "INTERNAL", None, None, Outcome::Unknown),
        // Of a later version.
        (Code::Unavailable, "NEW_REASON", None, Some(2), Outcome::Unknown),
        (Code::NotFound, "NEW_REASON", None, None, Outcome::Change),
    ] {
        let failure = failure(code, reason, metadata.as_slice(), retry);
        assert_eq!(failure.outcome(), outcome, "{reason} {metadata:?}");
    }
    let left_behind = [("may_exist", "true"), ("connection_id", "c")];
    let known = failure(Code::FailedPrecondition, "VERIFICATION_FAILED", &left_behind, None);
    assert_eq!(known.outcome(), Outcome::Change);
}

#[test]
fn what_cannot_help_is_not_retried() {
    let retried = |code, reason, retry| failure(code, reason, &[], retry).retry_after();
    let two = Some(Duration::from_secs(2));
    assert_eq!(retried(Code::Unavailable, "OUTCOME_UNKNOWN", Some(2)), two);
    assert_eq!(retried(Code::Aborted, "REQUEST_IN_PROGRESS", Some(2)), two);
    assert_eq!(retried(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", None), Some(Duration::ZERO));
    // Of a later version, or of a proxy.
    assert_eq!(retried(Code::Unavailable, "NEW_REASON", Some(2)), two);
    assert_eq!(retried(Code::Unavailable, "NEW_REASON", None), Some(Duration::ZERO));
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
fn a_bug_of_the_service_leaves_only_the_outcome_of_a_write_open() {
    let details = ErrorDetails::with_error_info("INTERNAL", DOMAIN, HashMap::new());
    let status = Status::with_error_details(Code::Internal, "a bug", details);
    assert_eq!(Failure::of(&status, &address(), false).outcome(), Outcome::Other);
    assert_eq!(Failure::of(&status, &address(), true).outcome(), Outcome::Unknown);
}

#[test]
fn after_a_lost_attempt_only_the_service_can_settle_the_outcome() {
    let refused = |code, reason, metadata: Option<(&str, &str)>| {
        failure(code, reason, metadata.as_slice(), None).of_creation(true).outcome()
    };
    assert_eq!(refused(Code::PermissionDenied, "CALLER_NOT_ALLOWED", None), Outcome::Unknown);
    assert_eq!(refused(Code::InvalidArgument, "UPSTREAM_REJECTED", None), Outcome::Change);
    assert_eq!(refused(Code::FailedPrecondition, "OUTCOME_AMBIGUOUS", None), Outcome::Change);
    let may_exist = Some(("may_exist", "true"));
    assert_eq!(refused(Code::InvalidArgument, "UPSTREAM_REJECTED", may_exist), Outcome::Unknown);
}

#[test]
fn a_refused_certificate_means_that_nothing_was_sent() {
    let cause = io::Error::other("received fatal alert: CertificateRequired");
    let failure = Failure::of(&Status::from_error(Box::new(cause)), &Uri::from_static("https://a:1"), true);
    assert_eq!((failure.outcome(), failure.retry_after()), (Outcome::Change, None));
    assert!(failure.to_string().contains("--cert-file and --key-file"), "{failure}");
}

#[test]
fn only_a_call_that_is_no_creation_is_repeated_as_it_is() {
    let late = || Failure::late(&address(), true);
    let message = "no response from http://127.0.0.1:50051 in time; if it is slow, use a longer --timeout";
    assert_eq!(late().message(), message);
    let repeat = "Repeat the creation only with the same request id";
    for (failure, advice) in [
        (late(), "Repeat the command"),
        (late().of_creation(false), repeat),
        (late().of_creation(true), repeat),
    ] {
        assert_eq!(failure.to_string(), format!("error: {message}. {advice} [DEADLINE_EXCEEDED]"));
    }
    assert!(Failure::interrupted().to_string().contains(repeat));

    // The last attempt has changed nothing, an earlier one may have.
    let refused = || failure(Code::PermissionDenied, "CALLER_NOT_ALLOWED", &[], None);
    assert_eq!(refused().of_creation(false).to_string(), "error: it failed [CALLER_NOT_ALLOWED]");
    assert_eq!(
        refused().of_creation(true).to_string(),
        "error: it failed. An earlier attempt may have been executed: repeat the creation only with the same \
         request id [CALLER_NOT_ALLOWED]"
    );
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
    assert_eq!(
        foreign.to_string(),
        "error: a [31m b. This error is not from the service: check --address and what is between here and there \
         [INTERNAL]"
    );
}
