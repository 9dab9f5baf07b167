//! A connection as the Flow Service tells of it. It comes with its credentials, of which none but the
//! client ID is read: of the others only that they are there.

use serde::Deserialize;

use super::{
    HUBSPOT_SPEC_ID,
    lenient::{Object, Presence, Scalar},
    parse,
};
use crate::{
    domain::{Connection, ConnectionId, ConnectionState, Etag, StoredCredentials},
    flow_service::Cause,
};

/// What an answer about one connection tells.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::flow_service) enum Found {
    Connection(Connection),
    /// One to another source.
    OfAnotherSource,
    Nothing,
}

/// Reads the answer to `GET /connections/{id}`: a list of one, in some of Adobe's documents the
/// connection itself.
///
/// # Errors
/// Where it does not tell what the connection is to, or is not the one that was asked for.
pub(in crate::flow_service) fn read_connection(body: &[u8], id: &ConnectionId) -> Result<Found, Cause> {
    #[derive(Deserialize)]
    struct List {
        items: Option<Vec<Item>>,
    }
    let List { items } = parse("no connection", body)?;
    let item = match items.map(<[Item; 1]>::try_from) {
        None => parse("no connection", body)?,
        Some(Ok([item])) => item,
        Some(Err(items)) if items.is_empty() => return Ok(Found::Nothing),
        Some(Err(_)) => return Err("several connections in place of one".into()),
    };
    if item.is_of_another_source() {
        return Ok(Found::OfAnotherSource);
    }
    if !item.is_of_hubspot() {
        return Err("a connection that does not say what it is to".into());
    }
    let connection = item
        .connection()
        .map_err(|_| "a connection without a usable ID, version, name or time of creation")?;
    if !connection.id.as_str().eq_ignore_ascii_case(id.as_str()) {
        return Err("another connection than the one that was asked for".into());
    }
    Ok(Found::Connection(connection))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Item {
    id: Scalar,
    etag: Scalar,
    name: Scalar,
    description: Scalar,
    state: Scalar,
    created_at: Scalar,
    updated_at: Scalar,
    created_client: Scalar,
    connection_spec: Object<SpecInfo>,
    auth: Object<Auth>,
}

#[derive(Deserialize)]
struct SpecInfo {
    #[serde(default)]
    id: Scalar,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    params: Object<Params>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Params {
    client_id: Scalar,
    client_secret: Presence,
    access_token: Presence,
    refresh_token: Presence,
}

impl Item {
    pub(super) fn is_of_another_source(&self) -> bool {
        self.spec_id().is_some_and(|id| id != HUBSPOT_SPEC_ID)
    }

    fn is_of_hubspot(&self) -> bool {
        self.spec_id() == Some(HUBSPOT_SPEC_ID)
    }

    fn spec_id(&self) -> Option<&str> {
        self.connection_spec.0.as_ref().and_then(|spec| spec.id.as_text())
    }

    /// What it tells, or where that is too little its name.
    pub(super) fn connection(self) -> Result<Connection, Option<String>> {
        let params = self.auth.0.and_then(|auth| auth.params.0).unwrap_or_default();
        let Params { client_id, client_secret, access_token, refresh_token } = params;
        let id = self.id.text().and_then(|id| ConnectionId::parse(&id).ok());
        let etag = self.etag.text().and_then(|etag| Etag::parse(&etag).ok());
        match (id, etag, self.name.text(), self.created_at.number()) {
            (Some(id), Some(etag), Some(name), Some(created_at_ms)) => Ok(Connection {
                id,
                etag,
                name,
                description: self.description.text(),
                state: self.state.as_text().and_then(ConnectionState::parse),
                credentials: StoredCredentials {
                    client_id: client_id.text(),
                    client_secret_set: client_secret.0,
                    access_token_set: access_token.0,
                    refresh_token_set: refresh_token.0,
                },
                created_at_ms,
                updated_at_ms: self.updated_at.number(),
                created_client: self.created_client.text(),
            }),
            (_, _, name, _) => Err(name),
        }
    }
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
    fn one_to_another_source_and_none_are_told_apart() {
        let other = item(|item| item["connectionSpec"]["id"] = json!("cfc0fee1-7dc0-40ef-b73e-d8b134c436f5"));
        assert_eq!(read(&json!({"items": [other]})).unwrap(), Found::OfAnotherSource);
        assert_eq!(read(&json!({"items": []})).unwrap(), Found::Nothing);
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        for body in [
            json!({"items": [item(|item| item["connectionSpec"] = json!(null))]}),
            json!({"items": [item(|item| item["id"] = json!("another"))]}),
            json!({"items": [item(|item| item["etag"] = json!(null))]}),
            json!({"items": [item(|_| {}), item(|_| {})]}),
            json!({}),
            json!([item(|_| {})]),
        ] {
            assert!(read(&body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_secret_is_there_or_not_and_never_more() {
        for (value, is_set) in [
            (json!("canary"), true),
            (json!("****"), true),
            (json!(5), true),
            (json!({"masked": true}), true),
            (json!(""), false),
            (json!(null), false),
        ] {
            let body = item(|item| item["auth"] = json!({"params": {"refreshToken": value}}));
            let connection = connection(&body);
            assert_eq!(connection.credentials.refresh_token_set, is_set, "{body}");
            assert!(!connection.credentials.client_secret_set);
            assert!(!format!("{connection:?}").contains("canary"));
        }
    }
}
