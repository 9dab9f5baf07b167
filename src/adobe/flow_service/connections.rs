//! `/connections` and `/connections/{id}`: listing, counting, reading, changing and deleting.

pub(crate) mod changes;
pub(crate) mod item;
pub(crate) mod page;

use bytes::Bytes;
use http::{HeaderValue, Method};
use reqwest::Url;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::adobe::{
    client::call::Call,
    flow_service::{CONNECTION, CONNECTIONS, HttpFlowService},
};
use crate::{
    adobe::{CallError, ConnectionPage, ListQuery, PageToken, Refusal, flow_service::wire},
    domain::{Connection, ConnectionChanges, ConnectionId, ConnectionRef, Credential, Etag, SandboxName},
};

impl HttpFlowService {
    pub(crate) async fn list(
        &self,
        query: &ListQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> Result<ConnectionPage, CallError> {
        let (of_hubspot, limit) = (of_hubspot(), query.limit.to_string());
        let of_name = query.name.filter(|name| is_plain(name)).map(|name| format!("name=={name}"));
        let mut parameters = vec![("property", of_hubspot.as_str())];
        parameters.extend(of_name.as_deref().map(|filter| ("property", filter)));
        parameters.extend([("orderby", "-createdAt"), ("limit", &limit)]);
        parameters.extend(page.map(|PageToken(token)| ("continuationToken", token.as_str())));
        let url = with_query(self.connections.clone(), &parameters);
        let call = Call::get(url, CONNECTIONS, query.sandbox, &["items"]);
        self.call(&call, deadline, |body| wire::read_page(body)).await
    }

    pub(crate) async fn count(&self, sandbox: &SandboxName, deadline: Instant) -> Result<u64, CallError> {
        let of_hubspot = of_hubspot();
        let parameters = [("property", of_hubspot.as_str()), ("count", "true")];
        let url = with_query(self.connections.clone(), &parameters);
        let call = Call::get(url, CONNECTIONS, sandbox, &["count"]);
        self.call(&call, deadline, |body| wire::read_count(body)).await
    }

    pub(crate) async fn get(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> Result<Option<Connection>, CallError> {
        let fields = &["items", "connectionSpec"];
        let call = Call::get(self.url_of(&at.id, None), CONNECTION, &at.sandbox, fields);
        let read = self.call(&call, deadline, |body| wire::read_connection(body, &at.id)).await;
        match read {
            Ok(wire::Found::Connection(connection)) => Ok(Some(connection)),
            Ok(wire::Found::OfAnotherSource) => Err(CallError::OtherSource),
            Ok(wire::Found::Nothing) => Ok(None),
            Err(error) if error.refusal() == Some(Refusal::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn update(
        &self,
        sandbox: &SandboxName,
        before: &Connection,
        changes: &ConnectionChanges,
        deadline: Instant,
    ) -> Result<Etag, CallError> {
        let credentials = changes.credentials().map(|credentials| credentials.all()).into_iter().flatten();
        let call = Call {
            method: Method::PATCH,
            url: self.url_of(&before.id, None),
            template: CONNECTION,
            sandbox,
            if_match: Some(HeaderValue::from_str(before.etag.as_str()).expect("an etag is visible ASCII")),
            body: Some(wire::body(&wire::changes(changes, before))),
            secrets: credentials.map(Credential::expose_secret).collect(),
            is_its_own: true,
            fields: &["id", "etag"],
        };
        self.call(&call, deadline, |body| wire::read_version(body)).await
    }

    pub(crate) async fn delete(&self, at: &ConnectionRef, deadline: Instant) -> Result<(), CallError> {
        let call = Call::get(self.url_of(&at.id, None), CONNECTION, &at.sandbox, &[]);
        let call = Call { method: Method::DELETE, ..call };
        // Documented with status 204 and with 202, and without a body.
        let nothing = |body: &Bytes| match body.trim_ascii() {
            [] => Ok(()),
            _ => Err("the reply to a deletion has a body".into()),
        };
        self.call(&call, deadline, nothing).await
    }

    /// The URL of a connection, or of something below it.
    pub(crate) fn url_of(&self, id: &ConnectionId, below: Option<&str>) -> Url {
        let mut url = self.connections.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id.as_str()).extend(below);
        }
        url
    }
}

fn of_hubspot() -> String {
    format!("connectionSpec.id=={}", wire::HUBSPOT_SPEC_ID)
}

/// Adds parameters to a URL. A space is `%20` to everybody, and `+` is one only to those who read
/// queries as forms.
pub(crate) fn with_query(mut url: Url, parameters: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(parameters);
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    url
}

/// Whether a filter by this name means the same in every reading of Adobe's documents, which show
/// values bare and in quotes, take commas for a list, and speak of values of the wrong type.
fn is_plain(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let is_literal = ["true", "false", "null"].iter().any(|literal| name.eq_ignore_ascii_case(literal));
    let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(is_plain);
    is_word && !is_literal && name.len() <= 255
}
