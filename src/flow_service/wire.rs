//! The bodies that go over the wire, as Adobe's HubSpot tutorial and OpenAPI document have them.

mod changes;
mod connection;
mod explore;
mod lenient;
mod page;
mod spec;

use std::io;

use bytes::Bytes;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use zeroize::Zeroizing;

pub(super) use self::{
    changes::{changes, read_version},
    connection::{Found, read_connection},
    explore::{read_columns, read_tables, read_test},
    page::{read_count, read_page},
    spec::spec_drift,
};
use super::Cause;
use crate::domain::{ConnectionId, CreatedConnection, Etag, HubSpotCredentials, Invalid, NewConnection};

/// The connection specification of HubSpot: fixed, and the same for every organization.
pub(super) const HUBSPOT_SPEC_ID: &str = "cc6a4487-9e91-433e-a3a3-9cf6626c1806";
const HUBSPOT_SPEC: ConnectionSpec = ConnectionSpec { id: HUBSPOT_SPEC_ID, version: "1.0" };
/// The only auth specification that HubSpot's connection specification has.
const AUTH_SPEC_NAME: &str = "Basic Authentication";

/// The body of `POST /connections`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateConnection<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    auth: Auth<'a>,
    connection_spec: ConnectionSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Auth<'a> {
    spec_name: &'static str,
    params: AuthParams<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthParams<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    access_token: &'a str,
    refresh_token: &'a str,
}

#[derive(Serialize)]
struct ConnectionSpec {
    id: &'static str,
    /// Optional in one of Adobe's documents, and its absence a 422 in another: always sent.
    version: &'static str,
}

impl<'a> From<&'a NewConnection> for CreateConnection<'a> {
    fn from(connection: &'a NewConnection) -> Self {
        // The sandbox travels in a header.
        let NewConnection { sandbox: _, name, description, credentials } = connection;
        Self {
            name: name.as_str(),
            description: description.as_ref().map(|description| description.as_str()),
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

/// Serializes a body, which holds credentials, into memory that is wiped.
pub(super) fn body(body: &impl Serialize) -> Bytes {
    let mut wiped = Wiped(Zeroizing::new(Vec::with_capacity(Wiped::MOST_BODIES)));
    serde_json::to_writer(&mut wiped, body).expect("strings always serialize");
    Bytes::from_owner(wiped.0)
}

/// Memory that is wiped, and that is left behind wiped where it has to grow.
struct Wiped(Zeroizing<Vec<u8>>);

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

/// Parses a body. The parser's own message could quote it.
fn parse<T: DeserializeOwned>(not: &str, body: &[u8]) -> Result<T, Cause> {
    serde_json::from_slice(body)
        .map_err(|error| format!("{not}: {:?} error at column {}", error.classify(), error.column()).into())
}

/// The body of the answer to `POST /connections`.
#[derive(Deserialize)]
pub(super) struct Created {
    id: String,
    etag: String,
}

impl TryFrom<Created> for CreatedConnection {
    type Error = Invalid;

    fn try_from(Created { id, etag }: Created) -> Result<Self, Invalid> {
        Ok(Self { id: ConnectionId::parse(&id)?, etag: Etag::parse(&etag)? })
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
}
