//! Adobe's Identity Management System (IMS): the OAuth client credentials grant.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, header::CONTENT_TYPE};
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::{
    error::{TokenError, TokenErrorKind},
    token::{IssueToken, IssuedToken},
};
use crate::{
    adobe::answer::{error_body::ErrorBody, problem::Author},
    error::Cause,
    http_client::{read_body, without_url},
    json::Object,
    metrics::UpstreamMetrics,
    secret::{Secret, redaction::repeats},
    upstream::{
        attempt::{Attempts, RequestKind},
        media_type::media_type,
        retry_after::retry_after,
    },
};

/// The reply with a token has about 2 KiB.
const MAX_BODY: usize = 64 * 1024;
/// A token expires for calls this much earlier: a call may be queued with it.
const MARGIN: Duration = Duration::from_secs(60);
/// IMS states lifetimes in seconds, a day at most. The retired JWT exchange stated milliseconds.
const LONGEST_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// How often a ready token is read again, in case its file has changed.
const READY_TOKEN_INTERVAL: Duration = Duration::from_secs(30);

/// Gets access tokens from IMS.
#[derive(Clone, Debug)]
pub struct Ims {
    /// Sends the requests.
    pub client: Client,
    /// The token endpoint.
    pub url: Url,
    /// The client ID.
    pub client_id: String,
    /// The client secret, read again for each token.
    pub client_secret: Secret,
    /// The scopes, joined by commas.
    pub scope: String,
    /// The longest one attempt may take.
    pub timeout: Duration,
    /// Counts the requests.
    pub metrics: UpstreamMetrics,
}

static TOKEN: RequestKind =
    RequestKind { method: Method::POST, template: "/ims/token/v3", success: StatusCode::OK };

impl IssueToken for Ims {
    async fn issue(&self) -> Result<IssuedToken, TokenError> {
        let secret = read(&self.client_secret)?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", secret.expose_secret()),
            ("scope", &self.scope),
        ];
        let attempts = Attempts::at(&self.url, self.metrics.clone());
        let mut attempt = attempts.begin(&TOKEN, 0);
        let mut trace = HeaderMap::new();
        attempt.propagate(&mut trace);
        let request = self.client.post(self.url.clone()).headers(trace).timeout(self.timeout).form(&form);
        let response = request.send().await.map_err(|error| {
            attempt.failed(&error);
            unavailable(attempt.located(without_url(error)))
        })?;
        attempt.replied(&response);
        let status = response.status();
        let wait = retry_after(response.headers(), SystemTime::now());
        let secrets = [secret.expose_secret()];
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| media_type(value, &secrets));
        let body = read_body(response, MAX_BODY).await.map_err(|cause| {
            attempt.failed(&*cause);
            unavailable(attempt.located(cause))
        })?;
        attempt.complete();
        let issued = if status.is_success() { issued(&body) } else { Err(refused(status, &body, wait)) };
        issued.map_err(|error| {
            let content_type = content_type.filter(|_| error.kind == TokenErrorKind::Unrecognized);
            let shown = content_type.as_ref().map(|media_type| format!(", {media_type}")).unwrap_or_default();
            let reply = format!("HTTP {}{shown}, from {}", status.as_u16(), attempts.address());
            TokenError {
                status: Some(status.as_u16()),
                code: error.code.filter(|code| !repeats(code, secret.expose_secret())),
                content_type,
                source: Some(match error.source {
                    None => reply.into(),
                    Some(cause) => format!("{reply}: {cause}").into(),
                }),
                ..error
            }
        })
    }
}

fn read(secret: &Secret) -> Result<SecretString, TokenError> {
    secret.read().map_err(|error| TokenError::caused_by(TokenErrorKind::SecretUnreadable, error))
}

fn unavailable(cause: Cause) -> TokenError {
    TokenError::caused_by(TokenErrorKind::Unavailable, cause)
}

pub(crate) fn issued(body: &[u8]) -> Result<IssuedToken, TokenError> {
    let text = String::from_utf8_lossy(body);
    // Any reply of IMS looks like this.
    if !(text.trim_start().starts_with('{') && text.contains("\"access_token\"")) {
        return Err(TokenError::of_kind(TokenErrorKind::Unrecognized));
    }
    let reply = Object::parse(body).map_err(|error| unavailable(error.into()))?;
    // Some OAuth servers state the lifetime as text.
    let (Some(value), Some(seconds)) = (reply.text("access_token"), reply.number("expires_in")) else {
        return Err(unavailable("the reply holds no token".into()));
    };
    let value = SecretString::from(value);
    let expires_in = Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_LIFETIME.as_secs_f64()));
    // Half of the lifetime of a token that is shorter than the margin.
    let lifetime = expires_in.checked_sub(MARGIN).unwrap_or_default().max(expires_in / 2);
    if value.expose_secret().is_empty() || lifetime.is_zero() {
        return Err(unavailable("the reply holds an empty or expired token".into()));
    }
    Ok(IssuedToken { value, lifetime: Some(lifetime), renew_after: lifetime.mul_f64(0.8) })
}

/// The error codes of OAuth (RFC 6749, sections 4.1.2.1 and 5.2) and of IMS. Any other one needs a description,
/// because proxies reply `{"error": "forbidden"}`.
const OAUTH_ERRORS: [&str; 11] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
    "slow_down",
    "internal_error",
];

/// The code of an OAuth error.
fn oauth_error(body: &[u8]) -> Option<String> {
    let reply = Object::parse(body).ok()?;
    let error = reply.text("error")?;
    let is_code =
        (1..=64).contains(&error.len()) && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let is_oauth = is_code && (OAUTH_ERRORS.contains(&&*error) || reply.has("error_description"));
    is_oauth.then_some(error)
}

/// What a reply without a token means. Only an OAuth error says something about the credentials.
pub(crate) fn refused(status: StatusCode, body: &[u8], wait: Option<Duration>) -> TokenError {
    let code = oauth_error(body);
    let is_adobes = || ErrorBody::parse(status.as_u16(), body).author != Author::Unrecognized;
    let kind = match (status.as_u16(), code.as_deref()) {
        (429, Some(_)) | (400..=403, Some("slow_down")) => TokenErrorKind::Throttled,
        (500..=599, Some(_))
        | (400..=403, Some("server_error" | "temporarily_unavailable" | "internal_error")) => {
            TokenErrorKind::Unavailable
        }
        (400..=403, Some("invalid_scope")) => TokenErrorKind::BadScope,
        (400 | 401 | 403, Some(_)) => TokenErrorKind::BadCredentials,
        // Adobe's gateway may stand before IMS as well.
        (429, None) if is_adobes() => TokenErrorKind::Throttled,
        (400..=599, None) if is_adobes() => TokenErrorKind::Unavailable,
        _ => TokenErrorKind::Unrecognized,
    };
    TokenError { code, retry_after: wait, status: Some(status.as_u16()), ..TokenError::of_kind(kind) }
}

/// A ready access token, for a quick try, or if another program keeps its file up to date.
#[derive(Clone, Debug)]
pub struct ReadyToken(pub Secret);

impl IssueToken for ReadyToken {
    async fn issue(&self) -> Result<IssuedToken, TokenError> {
        let renew_after = match &self.0 {
            Secret::Value(_) => LONGEST_LIFETIME,
            Secret::File(_) => READY_TOKEN_INTERVAL,
        };
        Ok(IssuedToken { value: read(&self.0)?, lifetime: None, renew_after })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error_kind(status: u16, body: &str) -> (TokenErrorKind, Option<String>) {
        let error = refused(StatusCode::from_u16(status).unwrap(), body.as_bytes(), None);
        (error.kind, error.code)
    }

    #[test]
    fn each_failure_has_its_kind() {
        use TokenErrorKind::*;
        for (status, body, kind) in [
            (400, r#"{"error":"invalid_client","error_description":"x"}"#, BadCredentials),
            (401, r#"{"error":"invalid_client"}"#, BadCredentials),
            (403, r#"{"error":"access_denied"}"#, BadCredentials),
            (400, r#"{"error":"some_new_code","error_description":"x"}"#, BadCredentials),
            (400, r#"{"error":"invalid_scope","error_description":"x"}"#, BadScope),
            (400, r#"{"error":"temporarily_unavailable"}"#, Unavailable),
            (429, r#"{"error":"slow_down"}"#, Throttled),
            (429, r#"{"error_code":"429050","message":"Too many requests"}"#, Throttled),
            (500, r#"{"error":"internal_error"}"#, Unavailable),
            (503, r#"{"error_code":"503000","message":"x"}"#, Unavailable),
            (401, "", Unrecognized),
            (403, "<html>", Unrecognized),
            (403, r#"{"message":"Forbidden"}"#, Unrecognized),
            (403, r#"{"error":"forbidden"}"#, Unrecognized),
            (400, r#"{"error":"Bad Request","status":400}"#, Unrecognized),
            (403, r#"{"error_code":"403003","message":"Api Key is invalid"}"#, Unavailable),
            (404, "", Unrecognized),
            (404, r#"{"error":"not_found","error_description":"x"}"#, Unrecognized),
            (405, "", Unrecognized),
            (407, "<html>", Unrecognized),
            (429, "", Unrecognized),
            (503, "", Unrecognized),
            (302, "", Unrecognized),
        ] {
            assert_eq!(error_kind(status, body).0, kind, "{status} {body}");
        }
    }

    #[test]
    fn only_something_like_an_oauth_code_is_kept() {
        assert_eq!(error_kind(400, r#"{"error":"invalid_scope"}"#).1.as_deref(), Some("invalid_scope"));
        assert_eq!(error_kind(400, r#"{"error":"client secret s3cr3t is wrong"}"#).1, None);
        for body in [
            r#"{"error":42}"#,
            r#"["invalid_scope"]"#,
            r#"[["error","invalid_scope"]]"#,
            r#"[{"error":"x"}]"#,
        ] {
            assert_eq!(error_kind(400, body), (TokenErrorKind::Unrecognized, None), "{body}");
        }
    }

    #[test]
    fn a_token_is_renewed_well_before_it_expires() {
        let token = issued(br#"{"access_token":"t","token_type":"bearer","expires_in":86399}"#).unwrap();
        assert_eq!(token.lifetime, Some(Duration::from_secs(86_339)));
        assert!(
            token.renew_after < Duration::from_secs(86_339)
                && token.renew_after > Duration::from_secs(43_200)
        );
        let token = issued(br#"{"access_token":"t","expires_in":"10"}"#).unwrap();
        assert_eq!(token.lifetime, Some(Duration::from_secs(5)));
        let token = issued(br#"{"access_token":"t","expires_in":18446744073709551615}"#).unwrap();
        assert!(token.lifetime <= Some(LONGEST_LIFETIME));
        for lifetime in ["3660.0", "3.66e3", "3660", "\"3660\"", "\" 3660.0 \""] {
            let body = format!(r#"{{"access_token":"t","expires_in":{lifetime}}}"#);
            assert_eq!(
                issued(body.as_bytes()).unwrap().lifetime,
                Some(Duration::from_secs(3600)),
                "{lifetime}"
            );
        }
    }

    #[test]
    fn a_reply_without_a_usable_token_is_a_failure_that_does_not_quote_it() {
        for body in [
            "",
            "{}",
            r#"{"access_token":"canary"}"#,
            r#"{"access_token":"canary","expires_in":0}"#,
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":["canary"],"expires_in":1}"#,
            r#"{"access_token":"canary","expires_in":-1}"#,
            r#"{"access_token":"canary","expires_in":1e-12}"#,
            r#"{"access_token":"canary","expires_in":"soon"}"#,
            r#"{"access_token":"canary","expires_in":[86399]}"#,
            r#"{"access_token":"canary","expires_in":1e999}"#,
            r#"{"access_token":"canary","expires_in":"NaN"}"#,
            r#"{"access_token":"canary","access_token":"another","expires_in":86399}"#,
            r#"["canary",86399]"#,
            r#"[{"access_token":"canary","expires_in":86399}]"#,
            r#"{"access_token":"canary""#,
        ] {
            let error = issued(body.as_bytes()).unwrap_err();
            let is_ims = body.starts_with('{') && body.contains("access_token");
            let kind = if is_ims { TokenErrorKind::Unavailable } else { TokenErrorKind::Unrecognized };
            assert_eq!(error.kind, kind, "{body}");
            assert!(!format!("{error:?}").contains("canary"), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 100u16..=599, body: Vec<u8>) {
            let _ = issued(&body);
            refused(StatusCode::from_u16(status).unwrap(), &body, None);
        }
    }
}
