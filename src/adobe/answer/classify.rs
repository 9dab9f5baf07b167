//! What an error reply means: one table, decided by the code first and the status second.

use super::{
    error_body::{ErrorBody, ErrorCode},
    problem::{Author, Refusal},
};

/// What a reply other than a success means for its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing was done: the access token is not accepted, a fresh one may be.
    TokenRefused,
    /// Nothing was done, and the same request would be refused again.
    Refused(Refusal),
    /// Nothing was done: too many requests.
    Throttled,
    /// The request may have been executed.
    Unknown,
    /// The same, and the reply has no known form of Adobe's.
    Unrecognized,
}

/// The kind of request: it decides how certain it must be that nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Creates something: executed twice it creates two.
    Create,
    /// Creates something that names other things, which may not exist or not fit: executed twice it creates two.
    CreatePart,
    /// Changes or deletes something.
    Change,
    /// Reads.
    Read,
    /// Reads what the source of a connection has: a failure may be the source's.
    ReadSource,
}

/// The statuses with which the Flow Service or its gateway refuses. Any other 4xx (408, 409, 423, 425, 460,
/// 499) may come from a proxy that gave up on a forwarded request.
const REFUSALS: [u16; 8] = [400, 401, 403, 404, 412, 415, 422, 429];

/// Classifies a reply other than a success.
///
/// Its author comes first. A body in no known form proves nothing, and the code of a connector concerns one
/// connection only, whatever the status is.
///
/// The codes are those of Adobe's Flow Service error catalogue and of the gateway in front of it.
/// Only a refusal proves that nothing was done.
pub(crate) fn classify(asked: Asked, status: u16, body: &ErrorBody) -> Meaning {
    let refuses = |status| match asked {
        Asked::Create | Asked::CreatePart | Asked::Change => REFUSALS.contains(&status),
        Asked::Read | Asked::ReadSource => is_client_error(status),
    };
    // A gateway may put its own status on the failure of another server.
    let code_refuses = |code: &ErrorCode| u16::try_from(code.status()).is_ok_and(refuses);
    let is_certain = refuses(status) && body.code.as_ref().is_none_or(code_refuses);
    match body.author {
        Author::Unrecognized => Meaning::Unrecognized,
        _ if !is_certain => Meaning::Unknown,
        _ if status == 429 => Meaning::Throttled,
        // Whose credentials it is about is not known, nor whether the source is asked before or after the creation.
        Author::Source if asked == Asked::CreatePart && status == 401 => Meaning::Unknown,
        Author::Source => Meaning::Refused(Refusal::Source),
        Author::Sibling => by_status(status),
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

/// Whether a refusal is the source's although nothing in it says so: when the source is asked, only a code of the
/// Flow Service or the gateway blames the access token or a permission of this service.
pub(crate) fn is_of_source(asked: Asked, status: u16, body: &ErrorBody) -> bool {
    let is_recognized = body.author != Author::Unrecognized;
    asked == Asked::ReadSource && is_recognized && body.code.is_none() && matches!(status, 401 | 403)
}

/// A 4xx other than a time-out.
pub(crate) fn is_client_error(status: u16) -> bool {
    (400..=499).contains(&status) && status != 408
}

/// Whether an unrecognized reply replaces one that was lost: a success with another body, or the status of a
/// proxy that gave up on a forwarded request.
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
        // The organization, the API key (missing, unknown), the token, the profile, the region.
        Some(ErrorCode::Gateway(400_003 | 403_000 | 403_003 | 403_010 | 403_025 | 403_027)) => {
            Some(Meaning::Refused(Refusal::Credentials))
        }
        None if is_about_spec(body) => Some(Meaning::Refused(Refusal::OwnRequest)),
        Some(ErrorCode::Gateway(_)) | None => None,
    };
    by_code.unwrap_or_else(|| match status {
        // The gateway knows neither the caller's request nor the resource.
        _ if body.author == Author::Gateway && !matches!(status, 401 | 403) => {
            Meaning::Refused(Refusal::OwnRequest)
        }
        _ => by_status(status),
    })
}

/// What a refusal without a known code means.
fn by_status(status: u16) -> Meaning {
    match status {
        401 => Meaning::TokenRefused,
        403 => Meaning::Refused(Refusal::Permission),
        // The method, the headers and the media types are this service's own.
        405 | 406 | 411 | 415 | 417 | 426 | 428 | 431 => Meaning::Refused(Refusal::OwnRequest),
        404 => Meaning::Refused(Refusal::NotFound),
        412 => Meaning::Refused(Refusal::EtagMismatch),
        _ => Meaning::Refused(Refusal::Request),
    }
}

/// The bare messages that Adobe documents, which complain about the connection specification.
fn is_about_spec(body: &ErrorBody) -> bool {
    let message = body.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    ["valid spec id", "for spec info", "connectionspec."].iter().any(|part| message.contains(part))
}

fn flow_code(status: u16, number: u32) -> Option<Meaning> {
    let refusal = match number {
        // The token is empty or invalid: the Flow Service replies with status 400.
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
        // `limit` with `count`, actions that this service does not use, `If-Match`, the body, the path, the state, …
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

#[cfg(test)]
mod tests;
