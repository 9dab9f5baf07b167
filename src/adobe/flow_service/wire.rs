//! The bodies that go over the wire, as Adobe's HubSpot tutorial and OpenAPI document have them.

use std::io;

use bytes::Bytes;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

pub(crate) use crate::adobe::flow_service::{
    connection_specs::spec_drift,
    connections::{
        changes::{changes, read_version},
        item::{Found, read_connection},
        page::{read_count, read_page},
    },
    wire_explore::{read_columns, read_tables, read_test},
};
use crate::error::Cause;
use crate::{
    domain::{ConnectionId, CreatedConnection, Etag, HubSpotCredentials, NewConnection},
    json::Object,
};

/// The connection specification of HubSpot: fixed, and the same for every organization.
pub(crate) const HUBSPOT_SPEC_ID: &str = "cc6a4487-9e91-433e-a3a3-9cf6626c1806";
pub(crate) const HUBSPOT_SPEC: ConnectionSpec = ConnectionSpec { id: HUBSPOT_SPEC_ID, version: "1.0" };
/// The only auth specification that HubSpot's connection specification has.
pub(crate) const AUTH_SPEC_NAME: &str = "Basic Authentication";

/// The body of `POST /connections`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateConnection<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    auth: Auth<'a>,
    connection_spec: ConnectionSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Auth<'a> {
    spec_name: &'static str,
    params: AuthParams<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuthParams<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) client_secret: &'a str,
    pub(crate) access_token: &'a str,
    pub(crate) refresh_token: &'a str,
}

#[derive(Serialize)]
pub(crate) struct ConnectionSpec {
    pub(crate) id: &'static str,
    /// Optional in one of Adobe's documents, and its absence a 422 in another: always sent.
    pub(crate) version: &'static str,
}

impl<'a> CreateConnection<'a> {
    /// The body for a connection with this description, which has the reference.
    pub(crate) fn new(connection: &'a NewConnection, description: Option<&'a str>) -> Self {
        // The sandbox travels in a header.
        let NewConnection { sandbox: _, name, description: _, credentials } = connection;
        Self {
            name: name.as_str(),
            description,
            auth: Auth { spec_name: AUTH_SPEC_NAME, params: AuthParams::from(credentials) },
            connection_spec: HUBSPOT_SPEC,
        }
    }
}

impl<'a> From<&'a HubSpotCredentials> for AuthParams<'a> {
    fn from(credentials: &'a HubSpotCredentials) -> Self {
        let [client_id, client_secret, access_token, refresh_token] =
            credentials.all().map(|credential| credential.expose_secret());
        Self { client_id, client_secret, access_token, refresh_token }
    }
}

/// Serializes a body, which holds credentials, into memory that is wiped. The HTTP client copies it into buffers
/// of its own, which are not.
pub(crate) fn body(body: &impl Serialize) -> Bytes {
    let mut wiped = Wiped(Zeroizing::new(Vec::with_capacity(Wiped::MOST_BODIES)));
    serde_json::to_writer(&mut wiped, body).expect("strings always serialize");
    Bytes::from_owner(wiped.0)
}

/// Memory that is wiped, and that is left behind wiped where it has to grow.
pub(crate) struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    /// As large as most bodies are.
    const MOST_BODIES: usize = 1024;

    fn make_room(&mut self, length: usize) {
        if length > self.0.capacity() - self.0.len() {
            let capacity = (self.0.len() + length).max(2 * self.0.capacity());
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }
}

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.make_room(bytes.len());
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads an object; `not` says what there is none of where it is something else.
pub(crate) fn object<'a>(not: &str, body: &'a [u8]) -> Result<Object<'a>, Cause> {
    Object::parse(body).map_err(|error| format!("{not}: {error}").into())
}

/// Reads a body that need not be an object. The parser's own message could quote it.
pub(crate) fn value(not: &str, body: &[u8]) -> Result<Value, Cause> {
    serde_json::from_slice(body)
        .map_err(|error| format!("{not}: {:?} error at column {}", error.classify(), error.column()).into())
}

/// The ID of a connection.
pub(crate) fn connection_id(object: &Object<'_>) -> Option<ConnectionId> {
    ConnectionId::parse(object.text("id")?.trim()).ok()
}

/// The version of a connection.
pub(crate) fn etag(object: &Object<'_>) -> Option<Etag> {
    Etag::parse(&object.text("etag")?).ok()
}

/// Reads the answer to `POST /connections`.
///
/// # Errors
/// Where it does not name a connection and its version.
pub(crate) fn read_created(body: &[u8]) -> Result<CreatedConnection, Cause> {
    let created = object("the success holds no id and etag", body)?;
    match (connection_id(&created), etag(&created)) {
        (Some(id), Some(etag)) => Ok(CreatedConnection { id, etag }),
        _ => Err("the success holds no usable id and etag".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_larger_than_most_is_whole() {
        for length in [0, 1, 1000, 1023, 1024, 10_000] {
            let text = "\"".repeat(length);
            assert_eq!(body(&text), serde_json::to_vec(&text).unwrap(), "{length}");
        }
    }

    #[test]
    fn a_creation_names_a_connection_and_its_version_in_an_object() {
        let (id, version) = ("2fce94c1-9a93-4971-8e94-c19a93097129", r#"\"d403848a-0000\""#);
        for body in [
            format!(r#"{{"id": "{id}", "etag": "{version}"}}"#),
            format!(r#"{{"etag": "{version}", "id": " {id} ", "status": {{}}}}"#),
            format!("\u{feff}{{\"id\": \"{id}\", \"etag\": \"{version}\"}}"),
        ] {
            let created = read_created(body.as_bytes()).unwrap();
            assert_eq!((created.id.as_str(), created.etag.as_str()), (id, "\"d403848a-0000\""), "{body}");
        }
        for body in [
            format!(r#"["{id}", "{version}"]"#),
            format!(r#"[{{"id": "{id}", "etag": "{version}"}}]"#),
            format!(r#"{{"items": [{{"id": "{id}", "etag": "{version}"}}]}}"#),
            format!(r#"{{"id": "{id}"}}"#),
            format!(r#"{{"id": "{id}", "etag": null}}"#),
            format!(r#"{{"id": ["{id}"], "etag": "{version}"}}"#),
            format!(r#"{{"id": "{id}", "etag": "{version}", "id": "another"}}"#),
            format!(r#"{{"id": "{id}", "etag": "{version}""#),
            "<html>canary".to_owned(),
            String::new(),
        ] {
            let error = read_created(body.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{body}");
        }
    }
}
