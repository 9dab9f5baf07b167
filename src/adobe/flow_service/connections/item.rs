//! Reads a connection. The reply holds its credentials: only the client ID is read, and whether the others are set.

use super::HUBSPOT_SPEC_ID;
use crate::{
    adobe::{ListedConnection, answer::success::object},
    domain::{Connection, ConnectionId, ConnectionState, Etag, StoredCredentials},
    error::Cause,
    json::Object,
};

/// What the reply to a read of one connection holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Connection(Connection),
    OfAnotherSource,
    Nothing,
}

/// Reads the reply to `GET /connections/{id}`: a list of one, or in some of Adobe's documents the connection
/// itself.
///
/// # Errors
/// It does not say which source the connection is to, or it is another connection.
pub(crate) fn read_connection(body: &[u8], id: &ConnectionId) -> Result<Found, Cause> {
    let body = object("no connection", body)?;
    let item = if body.has("items") {
        match &body.array("items").ok_or("no connection: no list of one")?[..] {
            [] => return Ok(Found::Nothing),
            [item] => object("no connection", item.get().as_bytes())?,
            [_, _, ..] => return Err("several connections in place of one".into()),
        }
    } else {
        body
    };
    let connection = listed(&item);
    if connection.is_of_another_source {
        return Ok(Found::OfAnotherSource);
    }
    if spec_id(&item).is_none() {
        return Err("a connection that does not say what it is to".into());
    }
    let connection =
        connection.readable().ok_or("a connection without a usable ID, version, name or time of creation")?;
    if !connection.id.as_str().eq_ignore_ascii_case(id.as_str()) {
        return Err("another connection than the one that was asked for".into());
    }
    Ok(Found::Connection(connection))
}

pub(super) fn connection_id(object: &Object<'_>) -> Option<ConnectionId> {
    ConnectionId::parse(object.text("id")?.trim()).ok()
}

pub(super) fn etag(object: &Object<'_>) -> Option<Etag> {
    Etag::parse(&object.text("etag")?).ok()
}

/// The readable parts of a connection.
pub(crate) fn listed(item: &Object<'_>) -> ListedConnection {
    let params = item.object("auth").and_then(|auth| auth.object("params")).unwrap_or_default();
    ListedConnection {
        id: connection_id(item),
        etag: etag(item),
        name: item.text("name"),
        description: item.text("description"),
        state: item.text("state").as_deref().and_then(ConnectionState::parse),
        credentials: StoredCredentials {
            client_id: params.text("clientId"),
            client_secret_set: is_set(&params, "clientSecret"),
            access_token_set: is_set(&params, "accessToken"),
            refresh_token_set: is_set(&params, "refreshToken"),
        },
        created_at_ms: item.integer("createdAt"),
        updated_at_ms: item.integer("updatedAt"),
        created_client: item.text("createdClient"),
        is_of_another_source: spec_id(item).is_some_and(|id| !id.eq_ignore_ascii_case(HUBSPOT_SPEC_ID)),
    }
}

/// The ID of the connection's specification, which names its source.
fn spec_id(item: &Object<'_>) -> Option<String> {
    let id = item.object("connectionSpec")?.text("id")?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Whether a secret is set: to anything but `null` and the empty string.
fn is_set(params: &Object<'_>, name: &str) -> bool {
    params.has(name) && params.value(name).is_none_or(|value| value.get() != "\"\"")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "139f6a5f-a78b-4744-9f6a-5fa78bd74431";

    fn item(change: impl FnOnce(&mut Value)) -> Value {
        let mut item = json!({
            "id": ID, "etag": "\"1400dd53\"", "name": "HubSpot EU", "createdAt": 1_597_973_312_000_i64,
            "state": "enabled", "connectionSpec": {"id": HUBSPOT_SPEC_ID, "version": "1.0"},
        });
        change(&mut item);
        item
    }

    fn read(body: &Value) -> Result<Found, Cause> {
        read_connection(body.to_string().as_bytes(), &ConnectionId::parse(ID)?)
    }

    fn connection(body: &Value) -> Connection {
        match read(body).unwrap() {
            Found::Connection(connection) => connection,
            other @ (Found::OfAnotherSource | Found::Nothing) => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_comes_as_a_list_of_one_or_by_itself() {
        for body in [json!({"items": [item(|_| {})]}), item(|_| {})] {
            assert_eq!(connection(&body).name, "HubSpot EU", "{body}");
        }
    }

    #[test]
    fn another_source_and_no_connection_are_different_results() {
        let other = item(|item| item["connectionSpec"]["id"] = json!("cfc0fee1-7dc0-40ef-b73e-d8b134c436f5"));
        assert_eq!(read(&json!({"items": [other]})).unwrap(), Found::OfAnotherSource);
        assert_eq!(read(&json!({"items": []})).unwrap(), Found::Nothing);
    }

    #[test]
    fn a_reply_that_leaves_the_source_or_the_id_open_is_an_error() {
        for body in [
            json!({"items": [item(|item| item["connectionSpec"] = json!(null))]}),
            json!({"items": [item(|item| item["id"] = json!("another"))]}),
            json!({"items": [item(|item| item["etag"] = json!(null))]}),
            json!({"items": [item(|_| {}), item(|_| {})]}),
            json!({}),
            json!([item(|_| {})]),
            json!({"items": null}),
            json!({"items": {"0": item(|_| {})}}),
            json!({"items": item(|_| {})}),
            json!({"items": [null]}),
            json!({"items": [[]]}),
            json!({"items": [[item(|_| {})]]}),
            json!([[item(|_| {})]]),
            json!([[]]),
            json!([null]),
            json!(null),
        ] {
            assert!(read(&body).is_err(), "{body}");
        }
        let twice = format!(r#"{{"items": [], "items": [{}]}}"#, item(|_| {}));
        assert!(read_connection(twice.as_bytes(), &ConnectionId::parse(ID).unwrap()).is_err());
    }

    #[test]
    fn an_id_is_the_same_in_capitals_and_with_spaces_around_it() {
        let odd = item(|item| {
            item["id"] = json!(format!(" {} ", ID.to_uppercase()));
            item["connectionSpec"]["id"] = json!(format!(" {}\n", HUBSPOT_SPEC_ID.to_uppercase()));
            item["createdAt"] = json!(1_597_973_312_000.0);
        });
        let connection = connection(&json!({"items": [odd]}));
        assert_eq!(connection.id.as_str(), ID.to_uppercase());
        assert_eq!(connection.created_at_ms, 1_597_973_312_000);
    }

    #[test]
    fn of_a_secret_only_its_presence_is_read() {
        for (value, is_set) in [
            (json!("canary"), true),
            (json!("****"), true),
            (json!(5), true),
            (json!({"masked": true}), true),
            (json!(""), false),
            (json!(null), false),
            (json!([]), true),
        ] {
            let body = item(|item| item["auth"] = json!({"params": {"refreshToken": value}}));
            let connection = connection(&body);
            assert_eq!(connection.credentials.refresh_token_set, is_set, "{body}");
            assert!(!connection.credentials.client_secret_set);
            assert!(!format!("{connection:?}").contains("canary"));
        }
    }
}
