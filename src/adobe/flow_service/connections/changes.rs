//! The body of `PATCH /connections/{id}`, a JSON Patch document, and of its reply.

use std::borrow::Cow;

use serde::Serialize;

use super::{AuthParams, item::etag};
use crate::{
    adobe::answer::success::object,
    domain::{
        Connection, ConnectionChanges, Etag,
        reference::{split, stored_description},
    },
    error::Cause,
};

/// One operation, on a path of Adobe's guide to updating.
#[derive(Serialize)]
pub(crate) struct Change<'a> {
    op: &'static str,
    path: &'static str,
    /// Adobe's OpenAPI document requires one for a removal as well.
    value: ChangeValue<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ChangeValue<'a> {
    Text(Cow<'a, str>),
    /// All four: the Flow Service replaces the parameters as a whole, and drops those left out.
    Params(AuthParams<'a>),
}

/// The operations that change a connection. Its description keeps the reference of the request that created it.
pub(crate) fn changes<'a>(changes: &'a ConnectionChanges, before: &'a Connection) -> Vec<Change<'a>> {
    let name = changes.name().map(|name| Change {
        op: "replace",
        path: "/name",
        value: ChangeValue::Text(name.as_str().into()),
    });
    let (_, reference) = split(before.description.as_deref().unwrap_or_default());
    let description = changes.description().and_then(|new| {
        let change = |op, text| Change { op, path: "/description", value: ChangeValue::Text(text) };
        match (stored_description(new, reference), &before.description) {
            (Some(new), _) => Some(change("add", new.into())),
            (None, Some(old)) => Some(change("remove", old.into())),
            (None, None) => None,
        }
    });
    let credentials = changes.credentials().map(|credentials| Change {
        op: "replace",
        path: "/auth/params",
        value: ChangeValue::Params(AuthParams::from(credentials)),
    });
    [name, description, credentials].into_iter().flatten().collect()
}

/// Reads the new version in the reply to a change.
pub(crate) fn read_version(body: &[u8]) -> Result<Etag, Cause> {
    etag(&object("no new version", body)?)
        .ok_or_else(|| "no new version: there is no usable etag in it".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_version_is_a_member_of_an_object() {
        let version = |body: &str| read_version(body.as_bytes()).ok().map(|etag| etag.as_str().to_owned());
        assert_eq!(version(r#"{"id": "x", "etag": "\"2\""}"#).as_deref(), Some("\"2\""));
        for body in [
            r#"["\"2\""]"#,
            r#"[{"etag": "2"}]"#,
            "{}",
            r#"{"etag": 2}"#,
            r#"{"etag": "1", "etag": "2"}"#,
            "",
        ] {
            assert_eq!(version(body), None, "{body}");
        }
    }
}
