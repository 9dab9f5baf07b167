//! The table of meanings.

use super::{Meaning::*, Refusal::*, *};

const REQUEST: Meaning = Refused(Request);
const CREDENTIALS: Meaning = Refused(Credentials);
const PERMISSION: Meaning = Refused(Permission);
const NO_SANDBOX: Meaning = Refused(SandboxNotFound);
const NOT_FOUND: Meaning = Refused(NotFound);
const STATE: Meaning = Refused(State);

const OWN: Meaning = Refused(OwnRequest);

const ASKED: [Asked; 4] = [Asked::Create, Asked::Change, Asked::Read, Asked::ReadSource];

fn by(author: Author, code: Option<ErrorCode>) -> ErrorBody {
    ErrorBody { author, code, ..ErrorBody::default() }
}

/// A code of the Flow Service's catalogue.
fn flow(number: u32, status: u16) -> ErrorBody {
    let code = ErrorCode::Platform { prefix: "FLOW".to_owned(), number, status };
    by(Author::FlowService, Some(code))
}

fn gateway(number: u32) -> ErrorBody {
    by(Author::Gateway, Some(ErrorCode::Gateway(number)))
}

/// A creation has no connection yet that a refusal could be about.
#[track_caller]
fn assert_means(status: u16, body: &ErrorBody, meaning: Meaning) {
    for asked in ASKED {
        let is_about_connection = matches!(meaning, Refused(NotFound | EtagMismatch | InUse | State));
        let meaning = if asked == Asked::Create && is_about_connection { OWN } else { meaning };
        assert_eq!(classify(asked, status, body), meaning, "{asked:?} {status} {body:?}");
    }
}

#[test]
fn a_creation_that_names_other_things_may_be_refused_for_them_and_never_by_a_source_with_401() {
    assert_eq!(classify(Asked::CreatePart, 404, &flow(1439, 404)), NOT_FOUND);
    for number in [1412, 1419, 1425] {
        assert_eq!(classify(Asked::CreatePart, 400, &flow(number, 400)), REQUEST, "{number}");
    }
    for number in [2200, 2250] {
        assert_eq!(classify(Asked::CreatePart, 500, &flow(number, 500)), Unknown, "{number}");
    }
    let source = by(Author::Source, None);
    assert_eq!(classify(Asked::CreatePart, 401, &source), Unknown);
    assert_eq!(classify(Asked::CreatePart, 400, &source), Refused(Source));
    for status in [408, 409, 500, 503] {
        assert_eq!(classify(Asked::CreatePart, status, &by(Author::Sibling, None)), Unknown, "{status}");
    }
    for (status, meaning) in [(400, REQUEST), (403, PERMISSION), (404, NOT_FOUND), (401, TokenRefused)] {
        assert_eq!(classify(Asked::CreatePart, status, &by(Author::Sibling, None)), meaning, "{status}");
    }
}

#[test]
fn every_code_has_its_meaning() {
    for (number, status, meaning) in [
        (1100, 400, PERMISSION),
        (1101, 404, OWN),
        (1102, 500, Unknown),
        (1103, 503, Unknown),
        (1104, 504, Unknown),
        (1400, 500, Unknown),
        (1405, 400, OWN),
        (1413, 400, OWN),
        (1415, 400, OWN),
        (1403, 400, OWN),
        (1404, 412, Refused(EtagMismatch)),
        (1404, 400, REQUEST),
        (1308, 400, REQUEST),
        (1401, 400, OWN),
        (1402, 400, OWN),
        (1409, 400, OWN),
        (1411, 400, OWN),
        (1414, 400, OWN),
        (1432, 400, OWN),
        (1433, 400, OWN),
        (1434, 400, OWN),
        (1440, 400, OWN),
        (1443, 400, OWN),
        (1448, 400, OWN),
        (1449, 400, OWN),
        (1450, 400, OWN),
        (1452, 400, OWN),
        (1453, 400, OWN),
        (1454, 400, OWN),
        (1455, 400, OWN),
        (1004, 415, OWN),
        (1416, 400, STATE),
        (1417, 400, STATE),
        (1418, 400, Refused(InUse)),
        (1422, 400, STATE),
        (1439, 400, NOT_FOUND),
        (1439, 404, NOT_FOUND),
        (1445, 400, OWN),
        (1451, 400, OWN),
        (1458, 400, STATE),
        (2000, 401, TokenRefused),
        (2001, 401, OWN),
        (2002, 401, OWN),
        (2100, 404, NO_SANDBOX),
        (2101, 404, NO_SANDBOX),
        (2102, 500, Unknown),
        (2103, 404, NO_SANDBOX),
        (2104, 500, Unknown),
        (2105, 400, OWN),
        (2106, 404, NO_SANDBOX),
        (2107, 500, Unknown),
        (2108, 500, Unknown),
        (2110, 400, OWN),
        (2111, 403, OWN),
        (2112, 400, OWN),
        (2113, 400, OWN),
        (2114, 400, TokenRefused),
        (2115, 400, TokenRefused),
        (2116, 500, Unknown),
        (2117, 500, Unknown),
        (2118, 403, PERMISSION),
        (2120, 403, PERMISSION),
        (2121, 403, PERMISSION),
        (2200, 500, Unknown),
        (2250, 500, Unknown),
    ] {
        assert_means(status, &flow(number, status), meaning);
    }
}

#[test]
fn every_code_of_the_gateway_has_its_meaning() {
    for (number, status, meaning) in [
        (400_003, 400, CREDENTIALS),
        (401_013, 401, TokenRefused),
        (403_010, 403, CREDENTIALS),
        (403_000, 403, CREDENTIALS),
        (403_003, 403, CREDENTIALS),
        (403_025, 403, CREDENTIALS),
        (403_027, 403, CREDENTIALS),
        (429_050, 429, Throttled),
        (400_999, 400, OWN),
        (404_000, 404, OWN),
        (415_000, 415, OWN),
        (401_999, 401, TokenRefused),
        (403_999, 403, PERMISSION),
    ] {
        assert_means(status, &gateway(number), meaning);
    }
}

#[test]
fn without_a_code_the_status_decides() {
    for (status, by_flow_service, by_gateway) in [
        (101, Unknown, Unknown),
        (300, Unknown, Unknown),
        (307, Unknown, Unknown),
        (400, REQUEST, OWN),
        (401, TokenRefused, TokenRefused),
        (403, PERMISSION, PERMISSION),
        (404, NOT_FOUND, OWN),
        (408, Unknown, Unknown),
        (412, Refused(EtagMismatch), OWN),
        (415, OWN, OWN),
        (422, REQUEST, OWN),
        (429, Throttled, Throttled),
        (500, Unknown, Unknown),
        (502, Unknown, Unknown),
        (503, Unknown, Unknown),
        (504, Unknown, Unknown),
        (599, Unknown, Unknown),
        (999, Unknown, Unknown),
    ] {
        assert_means(status, &by(Author::FlowService, None), by_flow_service);
        assert_means(status, &by(Author::Gateway, None), by_gateway);
    }
}

#[test]
fn a_bare_message_about_the_specification_is_about_what_this_service_writes() {
    for message in [
        "Please provide a valid spec id",
        "connectionSpec.version 'version' is required for spec info",
        "'version' is required for spec info",
    ] {
        let message = Some(message.to_owned());
        for status in [400, 422] {
            assert_means(
                status,
                &ErrorBody { message: message.clone(), ..by(Author::FlowService, None) },
                OWN,
            );
        }
    }
}

#[test]
fn an_unusual_4xx_refuses_a_read_and_leaves_the_outcome_of_a_change_open() {
    for status in (400..=499).filter(|status| !REFUSALS.contains(status) && *status != 408) {
        let body = by(Author::FlowService, None);
        assert!(matches!(classify(Asked::Read, status, &body), REQUEST | OWN), "{status}");
        assert_eq!(classify(Asked::Create, status, &body), Unknown, "{status}");
        assert_eq!(classify(Asked::Change, status, &body), Unknown, "{status}");
    }
}

#[test]
fn an_unrecognized_reply_proves_nothing() {
    for status in 100..=999 {
        let body = ErrorBody::parse(status, b"<html><h1>403 Forbidden</h1></html>");
        assert_means(status, &body, Unrecognized);
    }
}

#[test]
fn a_reply_of_a_source_concerns_one_connection_whatever_its_status() {
    for prefix in ["CONN", "CONNECTOR", "CONN-HUBSPOT"] {
        for status in REFUSALS {
            let code = ErrorCode::Platform { prefix: prefix.to_owned(), number: 2115, status };
            let meaning = if status == 429 { Throttled } else { Refused(Source) };
            assert_means(status, &by(Author::Source, Some(code)), meaning);
        }
    }
    let code = ErrorCode::Platform { prefix: "CONN".to_owned(), number: 1103, status: 503 };
    assert_means(503, &by(Author::Source, Some(code)), Unknown);
}

#[test]
fn another_service_of_the_platform_knows_nothing_of_connections() {
    let code = |status| ErrorCode::Platform { prefix: "SMS".to_owned(), number: 1439, status };
    for (status, meaning) in [
        (400, REQUEST),
        (401, TokenRefused),
        (403, PERMISSION),
        (404, REQUEST),
        (412, REQUEST),
        (429, Throttled),
        (503, Unknown),
    ] {
        assert_means(status, &by(Author::FlowService, Some(code(status))), meaning);
    }
}

#[test]
fn without_a_code_a_refusal_to_read_a_source_is_the_sources() {
    for author in [Author::FlowService, Author::Gateway] {
        for status in [401, 403] {
            assert!(is_of_source(Asked::ReadSource, status, &by(author, None)));
            assert!(!is_of_source(Asked::Read, status, &by(author, None)));
        }
        assert!(!is_of_source(Asked::ReadSource, 404, &by(author, None)));
    }
    assert!(!is_of_source(Asked::ReadSource, 401, &flow(2000, 401)));
    assert!(!is_of_source(Asked::ReadSource, 401, &gateway(401_013)));
    assert!(!is_of_source(Asked::ReadSource, 403, &ErrorBody::default()));
}

#[test]
fn a_code_for_a_failure_is_no_refusal_whatever_the_status() {
    for (body, status) in [
        (flow(1102, 500), 400),
        (flow(1103, 503), 404),
        (flow(1104, 504), 400),
        (flow(1006, 408), 400),
        (flow(1400, 499), 400),
        (gateway(503_000), 403),
        (gateway(504_000), 400),
    ] {
        for asked in [Asked::Create, Asked::Change] {
            assert_eq!(classify(asked, status, &body), Unknown, "{asked:?} {status} {body:?}");
        }
    }
    assert_eq!(classify(Asked::Read, 404, &flow(1103, 503)), Unknown);
    // The catalogue and a real body disagree about this one.
    assert_eq!(classify(Asked::Change, 404, &flow(1439, 400)), NOT_FOUND);
}

#[test]
fn a_refusal_in_the_code_does_not_make_a_server_error_certain() {
    assert_means(503, &flow(1413, 400), Unknown);
}
