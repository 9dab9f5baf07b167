//! The requests that arrived: complete for tests in the same process, without secrets for everyone else.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Version, header, request};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    hubspot,
    reply::X_REQUEST_ID,
    routes::{BASE_PATH, PLATFORM_PATH},
};

/// The media type of form bodies.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Replaces a value that may be secret.
const REDACTED: &str = "[redacted]";

/// The longest request id that is accepted from a client.
const MAX_REQUEST_ID: usize = 128;

/// A request as it arrived, with its secrets. Its `Debug` output and [`ReceivedRequest::redacted`] have none.
#[derive(Clone)]
pub struct ReceivedRequest {
    pub method: Method,
    /// The path, from the root.
    pub path: String,
    /// Percent-encoded.
    pub query: Option<String>,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// As in the response's `x-request-id`: the client's value, or a generated one.
    pub request_id: String,
}

impl ReceivedRequest {
    pub(super) fn new(parts: request::Parts, body: Bytes, request_id: String) -> Self {
        let request::Parts { method, uri, version, headers, .. } = parts;
        Self {
            method,
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            version,
            headers,
            body,
            request_id,
        }
    }

    /// A header's value; `None` when it is missing, empty or not visible ASCII.
    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim).filter(|value| !value.is_empty())
    }

    /// The media type of the body, in lower case and without parameters.
    pub(super) fn media_type(&self) -> Option<String> {
        let value = self.header(header::CONTENT_TYPE)?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// The parameters of the query, decoded.
    pub(super) fn query_pairs(&self) -> Vec<(String, String)> {
        decode(self.query.as_deref().unwrap_or_default().as_bytes())
    }

    /// The parameters of a form body, decoded.
    pub(super) fn form_pairs(&self) -> Vec<(String, String)> {
        decode(&self.body)
    }

    /// The request without secrets. Everything that is not known to be harmless counts as secret.
    pub fn redacted(&self) -> Value {
        let headers = self.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            json!([name.as_str(), if is_secret_header(name) { REDACTED } else { &*value }])
        });
        json!({
            "method": self.method.as_str(),
            "path": self.path,
            "query": self.query.is_some().then(|| redact_pairs(self.query_pairs())),
            "version": format!("{:?}", self.version),
            "headers": headers.collect::<Vec<_>>(),
            "body": self.redacted_body(),
            "request_id": self.request_id,
        })
    }

    /// Base connections have credentials. The other resources of the Flow Service and those of its siblings do
    /// not.
    fn is_about_credentials(&self) -> bool {
        const WITHOUT: [&str; 3] = ["/sourceConnections", "/targetConnections", "/flows"];
        let Some(path) = self.path.strip_prefix(BASE_PATH) else {
            return !self.path.starts_with(&format!("{PLATFORM_PATH}/"));
        };
        !WITHOUT.iter().any(|without| path.starts_with(without))
    }

    fn redacted_body(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        match serde_json::from_slice(&self.body) {
            Ok(body @ (Value::Object(_) | Value::Array(_))) if self.is_about_credentials() => {
                redact(body, "")
            }
            Ok(body @ (Value::Object(_) | Value::Array(_))) => redact_credentials(body),
            Ok(_) | Err(_) if self.media_type().as_deref() == Some(FORM) => {
                let mut pairs = self.form_pairs();
                if self.path == hubspot::PATH {
                    // The client ID of a customer is one of its credentials.
                    let ids = pairs.iter_mut().filter(|(name, _)| name == "client_id");
                    ids.for_each(|(_, value)| REDACTED.clone_into(value));
                }
                redact_pairs(pairs)
            }
            Ok(_) | Err(_) => Value::from(format!("[{} bytes, not shown]", self.body.len())),
        }
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceivedRequest({})", self.redacted())
    }
}

/// The ID of a request: the client's own, or a new one in the form of the documented sample.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let own = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let own = own.filter(|id| (1..=MAX_REQUEST_ID).contains(&id.len()));
    own.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned)
}

fn decode(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn is_secret_header(name: &HeaderName) -> bool {
    ["auth", "token", "secret", "password", "cookie"].iter().any(|word| name.as_str().contains(word))
}

/// Form and query parameters. Unknown names are hidden as well, because the text of a body that is not a form
/// would be in them.
fn redact_pairs(pairs: Vec<(String, String)>) -> Value {
    const HARMLESS: [&str; 25] = [
        "token_type_hint",
        "client_id",
        "grant_type",
        "scope",
        "property",
        "limit",
        "orderby",
        "count",
        "start",
        "orderBy",
        "tags",
        "properties",
        "dataSet",
        "continuationToken",
        "mode",
        "op",
        "objectType",
        "object",
        "FileType",
        "CompressionType",
        "subOp",
        "name",
        "requestDataSource",
        "expandSchema",
        "validate",
    ];
    const NAMED: [&str; 5] = ["client_secret", "access_token", "refresh_token", "token", "code"];
    pairs
        .into_iter()
        .map(|(name, value)| {
            if HARMLESS.contains(&&*name) {
                json!([name, value])
            } else if NAMED.contains(&&*name) {
                json!([name, REDACTED])
            } else {
                json!([REDACTED, REDACTED])
            }
        })
        .collect()
}

/// JSON, with every value replaced but those under harmless names. Under `params` and the `value` of a patch,
/// everything is secret.
fn redact(value: Value, name: &str) -> Value {
    const HARMLESS: [&str; 8] = ["name", "description", "specName", "id", "version", "state", "op", "path"];
    match value {
        Value::Array(items) => items.into_iter().map(|item| redact(item, name)).collect(),
        Value::Object(members) => {
            let below = |key: &str| if matches!(name, "params" | "value") { name } else { key }.to_owned();
            let member = |(key, value): (String, Value)| {
                let value = redact(value, &below(&key));
                (key, value)
            };
            Value::Object(members.into_iter().map(member).collect::<Map<_, _>>())
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            if HARMLESS.contains(&name) { scalar } else { Value::from(REDACTED) }
        }
    }
}

/// JSON, with everything replaced under the names of credentials.
fn redact_credentials(value: Value) -> Value {
    const CREDENTIALS: [&str; 5] = ["auth", "token", "secret", "password", "credential"];
    match value {
        Value::Array(items) => items.into_iter().map(redact_credentials).collect(),
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| {
                let lower = name.to_ascii_lowercase();
                let is_secret = CREDENTIALS.iter().any(|word| lower.contains(word));
                let value = if is_secret { Value::from(REDACTED) } else { redact_credentials(value) };
                (name, value)
            };
            Value::Object(members.into_iter().map(member).collect::<Map<_, _>>())
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use http::Request;

    /// A request as if it had arrived.
    pub(crate) fn request(
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> ReceivedRequest {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let request_id = request_id(&parts.headers);
        ReceivedRequest::new(parts, Bytes::from(body.to_owned()), request_id)
    }

    #[test]
    fn the_redacted_view_shows_the_request_and_no_secret() {
        let json = json!({
            "name": "HubSpot",
            "auth": {"specName": "Basic Authentication", "params": {"clientId": "canary", "name": "canary"}},
            "token": "canary",
            "connectionSpec": {"id": "SPEC", "version": "1.0"},
        });
        let request = request(
            "POST",
            "/x?property=name%3D%3Da&client_secret=canary&canary",
            &[("authorization", "Bearer canary"), ("x-auth-token", "canary"), ("x-api-key", "demo")],
            &json.to_string(),
        );
        let shown = request.redacted().to_string();
        assert!(!shown.contains("canary") && !format!("{request:?}").contains("canary"), "{shown}");
        for visible in ["HubSpot", "Basic Authentication", "SPEC", "clientId", "name==a", "demo"] {
            assert!(shown.contains(visible), "{visible}: {shown}");
        }
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_not_shown() {
        for (media_type, body) in [
            (FORM, r#"{"clientSecret": "canary""#),
            (FORM, "client_id=demo&client_secret=canary"),
            ("application/json", r#"{"clientSecret": "canary""#),
            ("application/json", r#""canary""#),
            ("application/json", r#"[["canary"], {"value": {"refreshToken": ["canary"]}}]"#),
            ("application/json", r#"[{"op": "add", "value": {"name": "canary", "id": {"path": "canary"}}}]"#),
            ("text/plain", "canary"),
        ] {
            let request = request("POST", "/", &[("content-type", media_type)], body);
            let shown = request.redacted().to_string();
            assert!(!shown.contains("canary"), "{shown}");
        }
    }

    #[test]
    fn of_an_introspection_only_the_kind_of_token_is_shown() {
        let body = "client_id=canary&client_secret=canary&token=canary&token_type_hint=refresh_token";
        let request = request("POST", hubspot::PATH, &[("content-type", FORM)], body);
        let shown = request.redacted().to_string();
        assert!(!shown.contains("canary") && shown.contains("refresh_token"), "{shown}");
    }

    #[test]
    fn a_body_without_credentials_is_shown_but_for_fields_that_have_their_names() {
        let body = json!({
            "params": {"path": "Hubspot.Contacts", "accessToken": "canary", "list": [{"Secret": "canary"}]},
            "auth": {"name": "canary"},
            "scheduleParams": {"frequency": "once"},
        });
        for path in ["flowservice/flows", "flowservice/sourceConnections/x", "catalog/dataSets"] {
            let request = request("POST", &format!("/data/foundation/{path}"), &[], &body.to_string());
            let shown = request.redacted();
            assert!(!shown.to_string().contains("canary"), "{shown}");
            assert_eq!(shown["body"]["params"]["path"], "Hubspot.Contacts");
            assert_eq!(shown["body"]["scheduleParams"]["frequency"], "once");
        }
        for path in ["/data/foundation/flowservice/connections/x", "/ims/token/v3", "/data/foundations/flows"]
        {
            let shown = request("POST", path, &[], r#"{"value": "canary"}"#).redacted().to_string();
            assert!(!shown.contains("canary"), "{shown}");
        }
    }

    #[test]
    fn a_request_id_is_the_clients_or_a_new_one() {
        assert_eq!(request("GET", "/", &[("x-request-id", "mine")], "").request_id, "mine");
        assert_eq!(request("GET", "/", &[], "").request_id.len(), 32);
    }
}
