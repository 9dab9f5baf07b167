//! What an error answer means. One table, decided by code first and status second.

use super::{
    Refusal,
    error_body::{ErrorBody, ErrorCode},
};

/// What an answer other than a success means for the request that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing was done: the access token is not accepted, a fresh one may be.
    TokenRefused,
    /// Nothing was done, and the same request would be refused again.
    Refused(Refusal),
    /// Nothing was done: too many requests.
    Throttled,
    /// What was asked for may have been done all the same.
    Unknown,
}

/// What was asked for: how certain it must be that nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To create something: done twice there are two.
    Create,
    /// To change or delete something that is there.
    Change,
    /// To read.
    Read,
}

/// The statuses with which the Flow Service or its gateway refuses. Any other 4xx (408, 409, 423, 425, 460,
/// 499) may come from a proxy that gave up on a forwarded request.
const REFUSALS: [u16; 8] = [400, 401, 403, 404, 412, 415, 422, 429];

/// Classifies an answer other than a success.
///
/// The codes are those of Adobe's Flow Service error catalogue and of the gateway in front of it.
/// Only a refusal proves that nothing was done. For a creation it must also be certain that the Flow Service
/// or its gateway sent it: a duplicate would be harmful.
pub(super) fn classify(asked: Asked, status: u16, body: &ErrorBody) -> Meaning {
    let refuses = |status| match asked {
        Asked::Create | Asked::Change => REFUSALS.contains(&status),
        Asked::Read => is_client_error(status),
    };
    // A gateway may put its own status on the failure of another server.
    let code_refuses = |code: &ErrorCode| u16::try_from(code.status()).is_ok_and(refuses);
    let is_certain = refuses(status)
        && body.code.as_ref().is_none_or(code_refuses)
        && (asked != Asked::Create || body.is_documented);
    if !is_certain {
        return Meaning::Unknown;
    }
    let meaning = refusal(status, body.code.as_ref());
    // Only the Flow Service itself knows what is missing: a deletion counts as done by it.
    let is_unreliable = meaning == Meaning::Refused(Refusal::NotFound) && !body.is_of_flow_service;
    if is_unreliable { Meaning::Refused(Refusal::Request) } else { meaning }
}

/// A 4xx other than a time-out.
pub(super) fn is_client_error(status: u16) -> bool {
    (400..=499).contains(&status) && status != 408
}

/// What a refusal means.
fn refusal(status: u16, code: Option<&ErrorCode>) -> Meaning {
    match status {
        429 => Meaning::Throttled,
        401 => Meaning::TokenRefused,
        412 => Meaning::Refused(Refusal::EtagMismatch),
        _ => match code {
            Some(ErrorCode::Platform { prefix, number, .. }) if prefix == "FLOW" => flow_code(*number),
            Some(ErrorCode::Gateway(number)) => gateway_code(*number),
            _ => None,
        }
        .unwrap_or(Meaning::Refused(match status {
            403 => Refusal::Permission,
            404 => Refusal::NotFound,
            _ => Refusal::Request,
        })),
    }
}

fn flow_code(number: u32) -> Option<Meaning> {
    match number {
        // The token is empty or invalid, which the Flow Service answers with status 400.
        2114 | 2115 => Some(Meaning::TokenRefused),
        // Listed with status 400 and seen with 404.
        1439 => Some(Meaning::Refused(Refusal::NotFound)),
        // Deleted or changed only in certain states, and some of them not by this kind of token.
        1416 | 1417 | 1420..=1422 | 1456..=1458 => Some(Meaning::Refused(Refusal::State)),
        1418 => Some(Meaning::Refused(Refusal::InUse)),
        // The token has no access to the organization, or the organization is not named.
        2000..=2002 => Some(Meaning::Refused(Refusal::Credentials)),
        // By name, by id, the default one.
        2100 | 2101 | 2103 | 2106 => Some(Meaning::Refused(Refusal::SandboxNotFound)),
        // Not entitled to the source; the permission is missing, insufficient, or denied for sources.
        1100 | 2111 | 2118 | 2120 | 2121 => Some(Meaning::Refused(Refusal::Permission)),
        _ => None,
    }
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

    const ASKED: [Asked; 3] = [Asked::Create, Asked::Change, Asked::Read];

    fn with_code(code: ErrorCode) -> ErrorBody {
        ErrorBody { code: Some(code), is_documented: true, is_of_flow_service: true, ..ErrorBody::default() }
    }

    /// A code of the Flow Service's catalogue.
    fn flow(number: u32, status: u16) -> ErrorBody {
        with_code(ErrorCode::Platform { prefix: "FLOW".to_owned(), number, status })
    }

    #[track_caller]
    fn assert_means(status: u16, body: &ErrorBody, meaning: Meaning) {
        for asked in ASKED {
            assert_eq!(classify(asked, status, body), meaning, "{asked:?} {status} {body:?}");
        }
    }

    #[test]
    fn every_code_has_its_meaning() {
        for (number, status, meaning) in [
            (1100, 400, PERMISSION),
            (1101, 404, NOT_FOUND),
            (1102, 500, Unknown),
            (1103, 503, Unknown),
            (1104, 504, Unknown),
            (1400, 500, Unknown),
            (1405, 400, REQUEST),
            (1413, 400, REQUEST),
            (1415, 400, REQUEST),
            (1403, 400, REQUEST),
            (1404, 412, Refused(EtagMismatch)),
            (1404, 400, REQUEST),
            (1416, 400, STATE),
            (1417, 400, STATE),
            (1418, 400, Refused(InUse)),
            (1422, 400, STATE),
            (1439, 400, NOT_FOUND),
            (1439, 404, NOT_FOUND),
            (1445, 400, REQUEST),
            (1451, 400, REQUEST),
            (1458, 400, STATE),
            (2000, 401, TokenRefused),
            (2001, 401, TokenRefused),
            (2002, 401, TokenRefused),
            (2100, 404, NO_SANDBOX),
            (2101, 404, NO_SANDBOX),
            (2102, 500, Unknown),
            (2103, 404, NO_SANDBOX),
            (2104, 500, Unknown),
            (2105, 400, REQUEST),
            (2106, 404, NO_SANDBOX),
            (2107, 500, Unknown),
            (2108, 500, Unknown),
            (2110, 400, REQUEST),
            (2111, 403, PERMISSION),
            (2112, 400, REQUEST),
            (2113, 400, REQUEST),
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
        ] {
            assert_means(status, &with_code(ErrorCode::Gateway(number)), meaning);
        }
    }

    #[test]
    fn without_a_code_the_status_decides() {
        let body = ErrorBody { is_documented: true, is_of_flow_service: true, ..ErrorBody::default() };
        for (status, meaning) in [
            (101, Unknown),
            (300, Unknown),
            (307, Unknown),
            (400, REQUEST),
            (401, TokenRefused),
            (403, PERMISSION),
            (404, NOT_FOUND),
            (408, Unknown),
            (412, Refused(EtagMismatch)),
            (415, REQUEST),
            (422, REQUEST),
            (429, Throttled),
            (500, Unknown),
            (502, Unknown),
            (503, Unknown),
            (504, Unknown),
            (599, Unknown),
            (999, Unknown),
        ] {
            assert_means(status, &body, meaning);
        }
    }

    #[test]
    fn a_status_that_is_no_refusal_of_theirs_refuses_a_read_and_leaves_open_what_else_was_done() {
        for status in (400..=499).filter(|status| !REFUSALS.contains(status) && *status != 408) {
            for is_documented in [true, false] {
                let body = ErrorBody { is_documented, ..ErrorBody::default() };
                assert_eq!(classify(Asked::Read, status, &body), REQUEST, "{status}");
                assert_eq!(classify(Asked::Create, status, &body), Unknown, "{status}");
                assert_eq!(classify(Asked::Change, status, &body), Unknown, "{status}");
            }
        }
    }

    #[test]
    fn a_refusal_by_anybody_leaves_open_whether_something_was_created() {
        let anybodys = ErrorBody::parse(b"<html><h1>403 Forbidden</h1></html>");
        for status in REFUSALS {
            assert_eq!(classify(Asked::Create, status, &anybodys), Unknown, "{status}");
            for asked in [Asked::Change, Asked::Read] {
                assert_ne!(classify(asked, status, &anybodys), Unknown, "{asked:?} {status}");
            }
        }
    }

    #[test]
    fn a_code_for_a_failure_is_no_refusal_whatever_the_status() {
        for (body, status) in [
            (flow(1102, 500), 400),
            (flow(1103, 503), 404),
            (flow(1104, 504), 400),
            (flow(1006, 408), 400),
            (flow(1400, 499), 400),
            (with_code(ErrorCode::Gateway(503_000)), 403),
            (with_code(ErrorCode::Gateway(504_000)), 400),
        ] {
            for asked in [Asked::Create, Asked::Change] {
                assert_eq!(classify(asked, status, &body), Unknown, "{asked:?} {status} {body:?}");
            }
        }
        assert_eq!(classify(Asked::Read, 404, &flow(1103, 503)), Unknown);
        // The catalogue and a real body disagree about this one.
        assert_eq!(classify(Asked::Create, 404, &flow(1439, 400)), NOT_FOUND);
    }

    #[test]
    fn a_number_of_another_catalogue_means_nothing() {
        // Those of the connector catalogue, whose prefix is not documented.
        for (number, status, meaning) in [
            (1304, 400, REQUEST),
            (1308, 400, REQUEST),
            (2120, 400, REQUEST),
            (1006, 408, Unknown),
            (1011, 503, Unknown),
            (1012, 504, Unknown),
        ] {
            let code = ErrorCode::Platform { prefix: "CONN".to_owned(), number, status };
            assert_means(status, &with_code(code), meaning);
        }
    }

    #[test]
    fn a_refusal_in_the_code_does_not_make_a_server_error_certain() {
        assert_means(503, &flow(1413, 400), Unknown);
    }
}
