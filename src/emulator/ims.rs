//! Adobe IMS: the token endpoint, for client credentials.

use std::{collections::HashMap, fmt, time::Duration};

use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    problem::Problem,
    received::{FORM, ReceivedRequest},
    reply::Reply,
    routes::{Endpoint, Route},
    state::State,
};

/// The route whose errors are those of OAuth.
pub(super) const TOKEN_ROUTE: Route = Route("POST /ims/token/v3");

pub(super) const ROUTES: &[Endpoint] = &[Endpoint::open(TOKEN_ROUTE.0, issue_token)];

/// The issued access tokens.
#[derive(Default)]
pub(super) struct Tokens {
    /// When each expires. `None` is beyond the range of the clock.
    expiries: HashMap<String, Option<Instant>>,
}

impl Tokens {
    pub(super) fn issue(&mut self, ttl: Duration) -> String {
        let now = Instant::now();
        self.expiries.retain(|_, expiry| expiry.is_none_or(|expiry| now < expiry));
        let token = format!("emulated-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.expiries.insert(token.clone(), now.checked_add(ttl));
        token
    }

    pub(super) fn is_valid(&self, token: &str) -> bool {
        let expiry = self.expiries.get(token);
        expiry.is_some_and(|expiry| expiry.is_none_or(|expiry| Instant::now() < expiry))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({} issued)", self.expiries.len())
    }
}

/// `POST /ims/token/v3`
///
/// # Errors
/// [`Problem::Token`] for the first mistake.
fn issue_token(request: &ReceivedRequest, state: &mut State) -> Result<Reply, Problem> {
    let State { options, tokens, settings, .. } = state;
    if request.media_type().as_deref() != Some(FORM) {
        return Err(bad_request("invalid_request", "the body must be form-encoded"));
    }
    let pairs = request.form_pairs();
    let parameter = |name: &str| {
        let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            (Some(_), Some(_)) => Err(bad_request("invalid_request", &format!("{name} is given twice"))),
            (Some(_) | None, None) | (None, Some(_)) => {
                Err(bad_request("invalid_request", &format!("{name} is missing")))
            }
        }
    };
    if parameter("grant_type")? != "client_credentials" {
        return Err(bad_request("unsupported_grant_type", "grant_type must be client_credentials"));
    }
    let credentials = (parameter("client_id")?, parameter("client_secret")?);
    if credentials != (&*options.client_id, &*options.client_secret) {
        let description = "invalid client_id or client_secret";
        return Err(rejection(StatusCode::UNAUTHORIZED, "invalid_client", description));
    }
    let is_scope = |scope: &str| !scope.is_empty() && !scope.contains(char::is_whitespace);
    let scopes = parameter("scope").map_err(|_| bad_request("invalid_scope", "scope is missing"))?;
    if !scopes.split(',').map(str::trim).all(is_scope) {
        return Err(bad_request("invalid_scope", "scopes must be separated by commas"));
    }
    let body = json!({
        "access_token": tokens.issue(settings.token_ttl),
        "token_type": "bearer",
        "expires_in": settings.token_ttl.as_secs(),
    });
    Ok(Reply::json(StatusCode::OK, &body)
        .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

fn bad_request(error: &str, description: &str) -> Problem {
    rejection(StatusCode::BAD_REQUEST, error, description)
}

pub(super) fn rejection(status: StatusCode, error: &str, description: &str) -> Problem {
    Problem::Token { status, error: error.to_owned(), description: description.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::{Options, received::tests::request};
    use serde_json::Value;

    const TTL: Duration = Duration::from_secs(60);
    const GOOD: &str = "grant_type=client_credentials&client_id=demo-client&client_secret=demo-secret\
                        &scope=openid%2C%20AdobeID";

    fn issue(media_type: &str, body: &str, state: &mut State) -> Result<Reply, (u16, String)> {
        let request = request("POST", "/ims/token/v3", &[("content-type", media_type)], body);
        match issue_token(&request, state) {
            Ok(reply) => Ok(reply),
            Err(Problem::Token { status, error, .. }) => Err((status.as_u16(), error)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_valid_until_it_expires() {
        let mut state = State::new(Options::default());
        state.settings.token_ttl = TTL;
        let reply = issue(FORM, GOOD, &mut state).unwrap();
        let tokens = &state.tokens;
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(60)));
        let token = body["access_token"].as_str().unwrap();
        assert!(tokens.is_valid(token) && !tokens.is_valid("another"));
        tokio::time::advance(TTL - Duration::from_millis(1)).await;
        assert!(tokens.is_valid(token));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!tokens.is_valid(token));
    }

    #[test]
    fn a_mistake_has_its_error() {
        let replaced = |from: &str, to: &str| GOOD.replace(from, to);
        for (body, (status, error)) in [
            (String::new(), (400, "invalid_request")),
            (replaced("grant_type=client_credentials", ""), (400, "invalid_request")),
            (replaced("=client_credentials", "=password"), (400, "unsupported_grant_type")),
            (replaced("client_id=demo-client", "client_id="), (400, "invalid_request")),
            (replaced("demo-client", "other"), (401, "invalid_client")),
            (replaced("demo-secret", "other"), (401, "invalid_client")),
            (replaced("openid%2C%20AdobeID", ""), (400, "invalid_scope")),
            (replaced("openid%2C%20AdobeID", "openid+AdobeID"), (400, "invalid_scope")),
            (replaced("openid%2C%20AdobeID", "openid%2C"), (400, "invalid_scope")),
            (format!("{GOOD}&client_id=demo-client"), (400, "invalid_request")),
        ] {
            assert_eq!(
                issue(FORM, &body, &mut State::new(Options::default())).unwrap_err(),
                (status, error.to_owned()),
                "{body}"
            );
        }
        let as_json = issue("application/json", GOOD, &mut State::new(Options::default()));
        assert_eq!(as_json.unwrap_err(), (400, "invalid_request".to_owned()));
    }
}
