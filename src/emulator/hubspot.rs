//! HubSpot: the introspection of tokens, with credentials that are accepted unless a test says otherwise.

use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    problem::Problem,
    received::{FORM, ReceivedRequest},
    reply::Reply,
    routes::{Endpoint, Route},
    state::State,
};

/// The path of the introspection.
pub(super) const PATH: &str = "/oauth/2026-03/token/introspect";

/// The route whose errors are HubSpot's.
pub(super) const ROUTE: Route = Route("POST /oauth/2026-03/token/introspect");

pub(super) const ROUTES: &[Endpoint] = &[Endpoint::open(ROUTE.0, introspect)];

/// The scopes of tokens that are not described: they read every table.
const SCOPES: [&str; 5] =
    ["oauth", "content", "crm.objects.companies.read", "crm.objects.contacts.read", "crm.objects.deals.read"];

/// The account of tokens that are not described.
const HUB_ID: u64 = 62_515;
const APP_ID: u64 = 3_402_017;
const OTHER_APP_ID: u64 = 3_402_018;
const OTHER_CLIENT_ID: &str = "another-hubspot-client";

/// What HubSpot says about a token. Every field but the token is optional.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSpotToken {
    pub token: String,
    #[serde(default)]
    pub state: TokenState,
    /// `None`: every scope.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    #[serde(default = "hub_id")]
    pub hub_id: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    #[default]
    Active,
    Expired,
    Revoked,
    /// Active, and of another application than the one that asks.
    OtherApp,
}

fn hub_id() -> u64 {
    HUB_ID
}

impl std::fmt::Debug for HubSpotToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { token: _, state, scopes, hub_id } = self;
        f.debug_struct("HubSpotToken")
            .field("state", state)
            .field("scopes", scopes)
            .field("hub_id", hub_id)
            .finish_non_exhaustive()
    }
}

/// `POST /oauth/2026-03/token/introspect`
///
/// # Errors
/// A missing parameter.
fn introspect(request: &ReceivedRequest, state: &mut State) -> Result<Reply, Problem> {
    if request.media_type().as_deref() != Some(FORM) {
        return Err(invalid("the body must be form-encoded"));
    }
    let pairs = request.form_pairs();
    let parameter = |name: &str| {
        let value = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    };
    let required = |name: &str| parameter(name).ok_or_else(|| invalid(&format!("{name} is missing")));
    let (client_id, token) = (required("client_id")?, required("token")?);
    required("client_secret")?;
    let described = state.hubspot.iter().find(|described| described.token == token).cloned();
    let HubSpotToken { state, scopes, hub_id, .. } = described.unwrap_or_else(|| HubSpotToken {
        token: token.to_owned(),
        state: TokenState::Active,
        scopes: None,
        hub_id: HUB_ID,
    });
    let (client_id, app_id) = match state {
        TokenState::Expired | TokenState::Revoked => {
            return Ok(reply(StatusCode::OK, &json!({"active": false})));
        }
        TokenState::Active => (client_id, APP_ID),
        TokenState::OtherApp => (OTHER_CLIENT_ID, OTHER_APP_ID),
    };
    let kind = parameter("token_type_hint").unwrap_or("access_token");
    let scopes = scopes.unwrap_or_else(|| SCOPES.map(str::to_owned).into());
    let mut body = json!({
        "active": true,
        "token_use": kind,
        "token_type": "bearer",
        "client_id": client_id,
        "app_id": app_id,
        "hub_id": hub_id,
        "user_id": 4_711,
        "scopes": scopes,
        "token": token,
    });
    if kind == "access_token" {
        body["expires_in"] = json!(1_800);
        body["is_private_distribution"] = json!(false);
    }
    Ok(reply(StatusCode::OK, &body))
}

fn invalid(message: &str) -> Problem {
    Problem::HubSpot { status: StatusCode::BAD_REQUEST, code: None, message: message.to_owned() }
}

/// The body of an error: with a code OAuth's form, otherwise HubSpot's own.
pub(super) fn error(status: StatusCode, code: Option<&str>, message: &str) -> Reply {
    let correlation_id = Uuid::new_v4().to_string();
    let body = match code {
        Some(code) => json!({
            "error": code,
            "error_description": message,
            "status": status_of(code),
            "message": message,
            "correlationId": correlation_id,
        }),
        None if status == StatusCode::TOO_MANY_REQUESTS => json!({
            "status": "error",
            "message": "You have reached your secondly limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": correlation_id,
            "policyName": "SECONDLY",
        }),
        None => {
            let category = if status.is_client_error() { "VALIDATION_ERROR" } else { "INTERNAL_ERROR" };
            json!({
                "status": "error",
                "message": message,
                "correlationId": correlation_id,
                "category": category,
            })
        }
    };
    reply(status, &body)
}

/// HubSpot's own code beside one of OAuth.
fn status_of(code: &str) -> String {
    match code {
        "invalid_client" => "BAD_CLIENT_SECRET".to_owned(),
        "invalid_grant" => "BAD_REFRESH_TOKEN".to_owned(),
        code => code.to_ascii_uppercase(),
    }
}

fn reply(status: StatusCode, body: &Value) -> Reply {
    Reply::json(status, body).with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
