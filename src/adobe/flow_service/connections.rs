//! `/connections` and `/connections/{id}`: the requests, and the bodies as Adobe's HubSpot tutorial and OpenAPI
//! document have them.

pub(crate) mod changes;
pub(crate) mod item;
pub(crate) mod page;

use bytes::Bytes;
use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use self::item::{connection_id, etag};
use super::list::{ConnectionPage, ListQuery};
use crate::{
    adobe::{
        PageToken,
        answer::success::object,
        client::{Call, Route, json},
    },
    domain::{
        Connection, ConnectionChanges, ConnectionRef, CreatedConnection, Credential, Etag,
        HubSpotCredentials, NewConnection, SandboxName,
    },
    error::Cause,
};

const PATH: &str = "/connections";
const PATH_OF_ONE: &str = "/connections/{id}";

pub(super) static CREATE: Route = Route::create(PATH, &["id", "etag"]);
static LIST: Route = Route::read(PATH, &["items"]);
static COUNT: Route = Route::read(PATH, &["count"]);
static GET: Route = Route::read(PATH_OF_ONE, &["items", "connectionSpec"]);
static UPDATE: Route = Route::change(Method::PATCH, PATH_OF_ONE, StatusCode::OK, &["id", "etag"]);
static DELETE: Route = Route::change(Method::DELETE, PATH_OF_ONE, StatusCode::NO_CONTENT, &[]);

pub(super) static ROUTES: [&Route; 6] = [&CREATE, &LIST, &COUNT, &GET, &UPDATE, &DELETE];
/// The connection specification of HubSpot: fixed, and the same for every organization.
pub(crate) const HUBSPOT_SPEC_ID: &str = "cc6a4487-9e91-433e-a3a3-9cf6626c1806";
pub(crate) const HUBSPOT_SPEC: ConnectionSpec = ConnectionSpec { id: HUBSPOT_SPEC_ID, version: "1.0" };
/// The only auth specification that HubSpot's connection specification has.
pub(super) const AUTH_SPEC_NAME: &str = "Basic Authentication";

/// The body of a creation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateConnection<'a> {
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
pub(super) struct AuthParams<'a> {
    pub(super) client_id: &'a str,
    pub(super) client_secret: &'a str,
    pub(super) access_token: &'a str,
    pub(super) refresh_token: &'a str,
}

#[derive(Serialize)]
pub(crate) struct ConnectionSpec {
    pub(crate) id: &'static str,
    /// Optional in one of Adobe's documents, and its absence a 422 in another: always sent.
    pub(crate) version: &'static str,
}

impl<'a> From<&'a HubSpotCredentials> for AuthParams<'a> {
    fn from(credentials: &'a HubSpotCredentials) -> Self {
        let [client_id, client_secret, access_token, refresh_token] =
            credentials.all().map(|credential| credential.expose_secret());
        Self { client_id, client_secret, access_token, refresh_token }
    }
}

/// The body of the creation of a connection with this description, which holds the reference.
pub(super) fn body(connection: &NewConnection, description: Option<&str>) -> Bytes {
    // The sandbox is a header.
    let NewConnection { sandbox: _, name, description: _, credentials } = connection;
    json(&CreateConnection {
        name: name.as_str(),
        description,
        auth: Auth { spec_name: AUTH_SPEC_NAME, params: AuthParams::from(credentials) },
        connection_spec: HUBSPOT_SPEC,
    })
}

pub(super) fn list<'a>(query: &ListQuery<'a>, page: Option<&PageToken>) -> Call<'a, ConnectionPage> {
    let mut call = Call::new(&LIST, query.sandbox, page::read_page);
    call.query.push(of_hubspot());
    let name = query.name.filter(|name| is_plain(name));
    call.query.extend(name.map(|name| ("property", format!("name=={name}"))));
    call.query.push(("orderby", "-createdAt".to_owned()));
    call.query.push(("limit", query.limit.to_string()));
    call.query.extend(page.map(|PageToken(token)| ("continuationToken", token.clone())));
    call
}

pub(super) fn count(sandbox: &SandboxName) -> Call<'_, u64> {
    let query = vec![of_hubspot(), ("count", "true".to_owned())];
    Call { query, ..Call::new(&COUNT, sandbox, page::read_count) }
}

pub(super) fn get(at: &ConnectionRef) -> Call<'_, item::Found> {
    let read = |body: &[u8]| item::read_connection(body, &at.id);
    Call { id: Some(at.id.as_str()), ..Call::new(&GET, &at.sandbox, read) }
}

pub(super) fn update<'a>(
    sandbox: &'a SandboxName,
    before: &'a Connection,
    changes: &'a ConnectionChanges,
) -> Call<'a, Etag> {
    let credentials = changes.credentials().map(|credentials| credentials.all()).into_iter().flatten();
    Call {
        id: Some(before.id.as_str()),
        if_match: Some(&before.etag),
        body: Some(json(&changes::changes(changes, before))),
        secrets: credentials.map(Credential::expose_secret).collect(),
        ..Call::new(&UPDATE, sandbox, changes::read_version)
    }
}

pub(super) fn delete(at: &ConnectionRef) -> Call<'_, ()> {
    // Documented with status 204 and with 202, and without a body.
    let read = |body: &[u8]| match body.trim_ascii() {
        [] => Ok(()),
        _ => Err("the reply to a deletion has a body".into()),
    };
    Call { id: Some(at.id.as_str()), ..Call::new(&DELETE, &at.sandbox, read) }
}

fn of_hubspot() -> (&'static str, String) {
    ("property", format!("connectionSpec.id=={HUBSPOT_SPEC_ID}"))
}

/// Whether a filter by this name has the same meaning in every reading of Adobe's documents, which show values
/// with and without quotes, use commas for lists, and mention values of the wrong type.
pub(crate) fn is_plain(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let is_literal = ["true", "false", "null"].iter().any(|literal| name.eq_ignore_ascii_case(literal));
    let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(is_plain);
    is_word && !is_literal && name.len() <= 255
}

/// Reads the reply to a creation.
///
/// # Errors
/// It does not name a connection and its version.
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
