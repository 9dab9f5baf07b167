//! What an error answer means. One table, decided by code first and status second.

use crate::adobe::{
    Author, Refusal,
    answer::error_body::{ErrorBody, ErrorCode},
};

/// What an answer other than a success means for the request that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing was done: the access token is not accepted, a fresh one may be.
    TokenRefused,
    /// Nothing was done, and the same request would be refused again.
    Refused(Refusal),
    /// Nothing was done: too many requests.
    Throttled,
    /// What was asked for may have been done all the same.
    Unknown,
    /// The same, and it was not Adobe who replied.
    Unrecognized,
}

/// What was asked for: how certain it must be that nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To create something: done twice there are two.
    Create,
    /// To change or delete something that is there.
    Change,
    /// To read.
    Read,
    /// To read what the source of a connection has.
    ReadSource,
}

/// The statuses with which the Flow Service or its gateway refuses. Any other 4xx (408, 409, 423, 425, 460,
/// 499) may come from a proxy that gave up on a forwarded request.
const REFUSALS: [u16; 8] = [400, 401, 403, 404, 412, 415, 422, 429];

/// Classifies an answer other than a success.
///
/// Who sent it comes first. A body in no shape of Adobe's is nobody's verdict, and a code of a connector is
/// about the one connection that it belongs to, whatever the status says.
///
/// The codes are those of Adobe's Flow Service error catalogue and of the gateway in front of it.
/// Only a refusal proves that nothing was done.
pub(crate) fn classify(asked: Asked, status: u16, body: &ErrorBody) -> Meaning {
    let refuses = |status| match asked {
        Asked::Create | Asked::Change => REFUSALS.contains(&status),
        Asked::Read | Asked::ReadSource => is_client_error(status),
    };
    // A gateway may put its own status on the failure of another server.
    let code_refuses = |code: &ErrorCode| u16::try_from(code.status()).is_ok_and(refuses);
    let is_certain = refuses(status) && body.code.as_ref().is_none_or(code_refuses);
    match body.author {
        Author::Unrecognized => Meaning::Unrecognized,
        _ if !is_certain => Meaning::Unknown,
        _ if status == 429 => Meaning::Throttled,
        Author::Source => Meaning::Refused(Refusal::Source),
        Author::FlowService | Author::Gateway => {
            let meaning = refusal(status, body);
            // There is no connection yet that these could be about.
            let is_about_connection = matches!(
                meaning,
                Meaning::Refused(Refusal::NotFound | Refusal::EtagMismatch | Refusal::InUse | Refusal::State)
            );
            if asked == Asked::Create && is_about_connection {
                Meaning::Refused(Refusal::OwnRequest)
            } else {
                meaning
            }
        }
    }
}

/// Whether a refusal is the source's although nothing names it: where the source is asked, only a code of the
/// Flow Service or of the gateway says that the access token or a permission of this service is at fault.
pub(crate) fn is_of_source(asked: Asked, status: u16, body: &ErrorBody) -> bool {
    let is_recognized = body.author != Author::Unrecognized;
    asked == Asked::ReadSource && is_recognized && body.code.is_none() && matches!(status, 401 | 403)
}

/// A 4xx other than a time-out.
pub(crate) fn is_client_error(status: u16) -> bool {
    (400..=499).contains(&status) && status != 408
}

/// Whether a reply from nobody knows whom is in the place of one that was lost: a success that was replaced, or
/// the status of somebody who has given up on a forwarded request.
pub(crate) fn is_lost(status: u16) -> bool {
    matches!(status, 200..=299 | 408 | 409 | 423..=425 | 444 | 460 | 499 | 500..=599)
}

/// What a refusal of the Flow Service or its gateway means.
fn refusal(status: u16, body: &ErrorBody) -> Meaning {
    let by_code = match &body.code {
        Some(ErrorCode::Platform { prefix, number, .. }) if prefix == "FLOW" => flow_code(status, *number),
        // Another service of the Platform knows nothing of connections.
        Some(ErrorCode::Platform { .. }) if !matches!(status, 401 | 403) => {
            Some(Meaning::Refused(Refusal::Request))
        }
        Some(ErrorCode::Platform { .. }) => None,
        Some(ErrorCode::Gateway(number)) => gateway_code(*number),
        None if is_about_spec(body) => Some(Meaning::Refused(Refusal::OwnRequest)),
        None => None,
    };
    by_code.unwrap_or_else(|| match status {
        401 => Meaning::TokenRefused,
        403 => Meaning::Refused(Refusal::Permission),
        // The method, the headers and the media types are this service's own.
        405 | 406 | 411 | 415 | 417 | 426 | 428 | 431 => Meaning::Refused(Refusal::OwnRequest),
        // The gateway knows nothing of what a caller asks for, nor of what there is.
        _ if body.author == Author::Gateway => Meaning::Refused(Refusal::OwnRequest),
        404 => Meaning::Refused(Refusal::NotFound),
        412 => Meaning::Refused(Refusal::EtagMismatch),
        _ => Meaning::Refused(Refusal::Request),
    })
}

/// The bare messages that Adobe documents, which complain about the connection specification.
fn is_about_spec(body: &ErrorBody) -> bool {
    let message = body.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    ["valid spec id", "for spec info", "connectionspec."].iter().any(|part| message.contains(part))
}

fn flow_code(status: u16, number: u32) -> Option<Meaning> {
    let refusal = match number {
        // The token is empty or invalid, which the Flow Service answers with status 400.
        2114 | 2115 => return Some(Meaning::TokenRefused),
        // Listed with status 400 and seen with 404.
        1439 => Refusal::NotFound,
        1404 if status == 412 => Refusal::EtagMismatch,
        // Deleted or changed only in certain states, and some of them not by this kind of token.
        1416 | 1417 | 1420..=1422 | 1456..=1458 => Refusal::State,
        1418 => Refusal::InUse,
        // The token has no access to the organization.
        2000 if status == 401 => return Some(Meaning::TokenRefused),
        2000 => Refusal::Credentials,
        // By name, by id, the default one.
        2100 | 2101 | 2103 | 2106 => Refusal::SandboxNotFound,
        // Not entitled to the source; the permission is missing, insufficient, or denied for sources.
        1100 | 2118 | 2120 | 2121 => Refusal::Permission,
        // `limit` with `count`, actions that are not asked for, `If-Match`, the body, the path, the state, …
        1101 | 1401..=1403 | 1405 | 1409..=1411
        // … the connection specification and its auth specification, …
        | 1413..=1415
        // … the order, the patch operations, PATCH itself, …
        | 1424 | 1432..=1434 | 1445 | 1455
        // … the filters and the query parameters, …
        | 1440 | 1443 | 1448..=1454
        // … and the headers for the organization and the sandbox.
        | 2001 | 2002 | 2105 | 2110..=2113 => Refusal::OwnRequest,
        _ => return None,
    };
    Some(Meaning::Refused(refusal))
}

fn gateway_code(number: u32) -> Option<Meaning> {
    match number {
        // The organization, the API key (missing, unknown), the token, the profile, the region.
        400_003 | 403_000 | 403_003 | 403_010 | 403_025 | 403_027 => {
            Some(Meaning::Refused(Refusal::Credentials))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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

    /// Of what is to be created nothing is there yet that a caller could be told about.
    #[track_caller]
    fn assert_means(status: u16, body: &ErrorBody, meaning: Meaning) {
        for asked in ASKED {
            let is_about_connection = matches!(meaning, Refused(NotFound | EtagMismatch | InUse | State));
            let meaning = if asked == Asked::Create && is_about_connection { OWN } else { meaning };
            assert_eq!(classify(asked, status, body), meaning, "{asked:?} {status} {body:?}");
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
    fn a_status_that_is_no_refusal_of_theirs_refuses_a_read_and_leaves_open_what_else_was_done() {
        for status in (400..=499).filter(|status| !REFUSALS.contains(status) && *status != 408) {
            let body = by(Author::FlowService, None);
            assert!(matches!(classify(Asked::Read, status, &body), REQUEST | OWN), "{status}");
            assert_eq!(classify(Asked::Create, status, &body), Unknown, "{status}");
            assert_eq!(classify(Asked::Change, status, &body), Unknown, "{status}");
        }
    }

    #[test]
    fn a_reply_of_anybody_is_nobodys_verdict() {
        for status in 100..=999 {
            let body = ErrorBody::parse(status, b"<html><h1>403 Forbidden</h1></html>");
            assert_means(status, &body, Unrecognized);
        }
    }

    #[test]
    fn what_a_source_says_is_about_one_connection_whatever_its_status() {
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
}
