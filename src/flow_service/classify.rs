//! What an error answer means. One table, decided by code first and status second.

use super::{Refusal, error_body::ErrorCode};

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

/// Classifies an answer other than a success.
///
/// The codes are those of Adobe's Flow Service error catalogue and of the gateway in front of it.
/// Only a 4xx, other than a time-out, proves that nothing was done.
pub(super) fn classify(status: u16, code: Option<&ErrorCode>) -> Meaning {
    match status {
        429 => Meaning::Throttled,
        401 => Meaning::TokenRefused,
        // A time-out is one, whoever reports it.
        408 => Meaning::Unknown,
        412 => Meaning::Refused(Refusal::EtagMismatch),
        400..=499 => match code {
            Some(ErrorCode::Platform { prefix, number, .. }) if prefix == "FLOW" => flow_code(*number),
            Some(ErrorCode::Gateway(number)) => gateway_code(*number),
            _ => None,
        }
        .unwrap_or(Meaning::Refused(match status {
            403 => Refusal::Permission,
            404 => Refusal::NotFound,
            _ => Refusal::Request,
        })),
        _ => Meaning::Unknown,
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
            let code = ErrorCode::Platform { prefix: "FLOW".to_owned(), number, status };
            assert_eq!(classify(status, Some(&code)), meaning, "{code}");
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
            assert_eq!(classify(status, Some(&ErrorCode::Gateway(number))), meaning, "{number}");
        }
    }

    #[test]
    fn without_a_code_the_status_decides() {
        for (status, meaning) in [
            (300, Unknown),
            (307, Unknown),
            (400, REQUEST),
            (401, TokenRefused),
            (403, PERMISSION),
            (404, NOT_FOUND),
            (408, Unknown),
            (409, REQUEST),
            (412, Refused(EtagMismatch)),
            (415, REQUEST),
            (422, REQUEST),
            (429, Throttled),
            (500, Unknown),
            (502, Unknown),
            (503, Unknown),
            (504, Unknown),
            (599, Unknown),
        ] {
            assert_eq!(classify(status, None), meaning, "{status}");
        }
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
            assert_eq!(classify(status, Some(&code)), meaning, "{code}");
        }
    }

    #[test]
    fn a_refusal_in_the_code_does_not_make_a_server_error_certain() {
        let code = ErrorCode::Platform { prefix: "FLOW".to_owned(), number: 1413, status: 400 };
        assert_eq!(classify(503, Some(&code)), Unknown);
    }
}
