//! The body of `PATCH /connections/{id}`, a JSON Patch document, and of its answer.

use serde::{Deserialize, Serialize};

use super::{AuthParams, lenient::Scalar, parse};
use crate::{
    domain::{Connection, ConnectionChanges, Etag},
    flow_service::Cause,
};

/// One operation, on the paths that Adobe's guide to updating has.
#[derive(Serialize)]
pub(in crate::flow_service) struct Change<'a> {
    op: &'static str,
    path: &'static str,
    /// Adobe's OpenAPI document requires one for a removal as well.
    value: ChangeValue<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ChangeValue<'a> {
    Text(&'a str),
    /// All four: the Flow Service replaces the parameters as a whole, and drops those left out.
    Params(AuthParams<'a>),
}

/// What makes these changes to a connection that is as it was `before`.
pub(in crate::flow_service) fn changes<'a>(
    changes: &'a ConnectionChanges,
    before: &'a Connection,
) -> Vec<Change<'a>> {
    let name = changes.name().map(|name| Change {
        op: "replace",
        path: "/name",
        value: ChangeValue::Text(name.as_str()),
    });
    let description = changes.description().and_then(|new| match (new, &before.description) {
        (Some(new), _) => {
            Some(Change { op: "add", path: "/description", value: ChangeValue::Text(new.as_str()) })
        }
        (None, Some(old)) => {
            Some(Change { op: "remove", path: "/description", value: ChangeValue::Text(old) })
        }
        (None, None) => None,
    });
    let credentials = changes.credentials().map(|credentials| Change {
        op: "replace",
        path: "/auth/params",
        value: ChangeValue::Params(AuthParams::from(credentials)),
    });
    [name, description, credentials].into_iter().flatten().collect()
}

/// Reads the new version in the answer to a change.
///
/// # Errors
/// Where there is none.
pub(in crate::flow_service) fn read_version(body: &[u8]) -> Result<Etag, Cause> {
    #[derive(Deserialize)]
    struct Changed {
        #[serde(default)]
        etag: Scalar,
    }
    let Changed { etag } = parse("no new version", body)?;
    Ok(Etag::parse(etag.as_text().ok_or("no new version: there is no etag in it")?)?)
}
