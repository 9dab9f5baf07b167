//! An upstream that echoes everything that it receives, wherever it can.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use hubspot_connection_service::emulator::{BASE_PATH, IMS_PATH};
use serde_json::{Value, json};

use super::evidence::CREDENTIALS;
use crate::support::listen;

/// A received request.
#[derive(Clone)]
pub(super) struct Arrived {
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

/// The next responses.
#[derive(Clone, Default)]
struct Script {
    /// The status of IMS, or a token.
    ims: Option<StatusCode>,
    /// The status of the Flow Service, the field with the echo, and the echo.
    flow: (StatusCode, &'static str, Echo),
    arrived: Vec<Arrived>,
}

/// The part of a request that is echoed, and its encoding.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Echo {
    /// The received body: credentials are escaped once.
    #[default]
    Body,
    /// The body as a JSON string: credentials are escaped twice.
    Quoted,
    /// The header with the token.
    Authorization,
    /// Each credential, not escaped.
    Credentials,
    /// The last two thirds of each credential.
    Parts,
    /// Each credential in another case.
    UpperCase,
    LowerCase,
    /// Each credential in base64.
    Base64,
    /// In base64 for URLs, as a pair with another text before it.
    Pairs,
    /// As hexadecimal digits.
    Hex,
    /// With colons between them.
    HexWithColons,
    /// Each character percent-encoded.
    Percent,
    /// Percent-encoded twice.
    PercentTwice,
    /// As HTML entities.
    Entities,
    NumericEntities,
    /// With JSON escapes.
    Unicode,
}

pub(super) const ECHOES: [Echo; 5] =
    [Echo::Body, Echo::Quoted, Echo::Authorization, Echo::Credentials, Echo::Parts];

/// Each credential in a different encoding.
pub(super) const ENCODED: [Echo; 11] = [
    Echo::UpperCase,
    Echo::LowerCase,
    Echo::Base64,
    Echo::Pairs,
    Echo::Hex,
    Echo::HexWithColons,
    Echo::Percent,
    Echo::PercentTwice,
    Echo::Entities,
    Echo::NumericEntities,
    Echo::Unicode,
];

/// The field with the echo: `headers`, or a member of the body.
pub(super) const FIELDS: [&str; 10] = [
    "headers",
    "report.detailed-message",
    "report.request-id",
    "detail",
    "errorMessage",
    "message",
    "error",
    "title",
    "type",
    "error_code",
];

impl Echo {
    fn of(self, request: &Arrived) -> String {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let token = request.authorization.trim_start_matches("Bearer ");
        let of_changes = || body.as_array()?.iter().find_map(|change| change["value"].as_object());
        let params = body["auth"]["params"].as_object().or_else(of_changes);
        let params = params.into_iter().flatten();
        // A list echoes earlier requests.
        let is_list = request.body.is_empty() && request.path.ends_with("/connections");
        let earlier = if is_list { &CREDENTIALS[..] } else { &[] };
        let secrets =
            params.filter_map(|(_, value)| value.as_str()).chain([token]).chain(earlier.iter().copied());
        if matches!(self, Self::Body) {
            request.body.clone()
        } else if matches!(self, Self::Quoted) {
            serde_json::to_string(&request.body).unwrap()
        } else if matches!(self, Self::Authorization) {
            request.authorization.clone()
        } else {
            self.encoded(&secrets.collect::<Vec<_>>())
        }
    }

    /// These secrets in its encoding, if it is one.
    pub(super) fn encoded(self, secrets: &[&str]) -> String {
        let each = |encode: &dyn Fn(&str) -> String| {
            secrets.iter().map(|secret| encode(secret)).collect::<Vec<_>>().join(" ")
        };
        let bytes = |encode: &dyn Fn(u8) -> String| each(&|secret| secret.bytes().map(encode).collect());
        match self {
            Self::Body | Self::Quoted | Self::Authorization | Self::Credentials => each(&str::to_owned),
            Self::Parts => each(&|secret| secret[secret.len() / 3..].to_owned()),
            Self::UpperCase => each(&str::to_uppercase),
            Self::LowerCase => each(&str::to_lowercase),
            Self::Base64 => each(&|secret| STANDARD.encode(secret)),
            Self::Pairs => each(&|secret| URL_SAFE_NO_PAD.encode(format!("id:{secret}"))),
            Self::Hex => bytes(&|byte| format!("{byte:02x}")),
            Self::HexWithColons => bytes(&|byte| format!("{byte:02X}:")),
            Self::Percent => bytes(&|byte| format!("%{byte:02X}")),
            Self::PercentTwice => bytes(&|byte| format!("%25{byte:02x}")),
            Self::Entities => each(&|secret| htmlize::escape_attribute(secret).into_owned()),
            Self::NumericEntities => bytes(&|byte| format!("&#x{byte:x};")),
            Self::Unicode => bytes(&|byte| format!("\\u{byte:04x}")),
        }
    }
}

/// The upstream. It runs until the test ends.
pub(super) struct Hostile {
    pub(super) address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Hostile {
    /// Starts with an IMS that responds with this status, or else with this token.
    pub(super) async fn start(ims: Option<StatusCode>, token: &'static str) -> Self {
        let script = Arc::new(Mutex::new(Script { ims, ..Script::default() }));
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(respond).with_state((Arc::clone(&script), token));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, script }
    }

    /// Sets the response of the Flow Service.
    pub(super) fn respond_with(&self, status: StatusCode, field: &'static str, echo: Echo) {
        self.script.lock().unwrap().flow = (status, field, echo);
    }

    /// The received requests.
    pub(super) fn arrived(&self) -> Vec<Arrived> {
        self.script.lock().unwrap().arrived.clone()
    }

    /// The settings of a service that uses this upstream.
    pub(super) fn settings(&self) -> [(&'static str, String); 2] {
        [
            ("HCS_FLOW_SERVICE_URL", format!("http://{}{BASE_PATH}", self.address)),
            ("HCS_IMS_URL", format!("http://{}{IMS_PATH}", self.address)),
        ]
    }
}

async fn respond(
    State((script, token)): State<(Arc<Mutex<Script>>, &'static str)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let authorization = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let request = Arrived {
        path: parts.uri.path().to_owned(),
        authorization: String::from_utf8_lossy(authorization.unwrap_or_default()).into_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let script = {
        let mut script = script.lock().unwrap();
        script.arrived.push(request.clone());
        script.clone()
    };
    if request.path == IMS_PATH {
        of_ims(&request, script.ims, token)
    } else {
        of_flow(&request, script.flow)
    }
}

fn of_ims(request: &Arrived, status: Option<StatusCode>, token: &str) -> Response {
    let Some(status) = status else {
        return json_response(StatusCode::OK, &json!({"access_token": token, "expires_in": 86_399}), None);
    };
    let pairs = form_urlencoded::parse(request.body.as_bytes());
    let secret = pairs.into_owned().find(|(name, _)| name == "client_secret").unwrap_or_default().1;
    let body = json!({
        "error": secret,
        "error_description": request.body,
        "message": secret,
        "access_token": {"secret": secret},
        "expires_in": secret,
    });
    json_response(status, &body, Some(&secret))
}

pub(super) fn of_flow(request: &Arrived, (status, field, echo): (StatusCode, &str, Echo)) -> Response {
    let echoed = echo.of(request);
    let body = match field {
        "headers" => json!({}),
        "id and etag" => json!({"id": echoed, "etag": echoed}),
        "etag" => json!({"id": "c-1", "etag": echoed}),
        "type" => json!({"type": format!("https://ns.adobe.com/aep/errors/{echoed}")}),
        // In a form that every service is known to use.
        "everywhere" => json!({
            "type": "https://ns.adobe.com/aep/errors/FLOW-1499-400",
            "title": echoed,
            "status": status.as_u16(),
            "detail": echoed,
            "report": {"detailed-message": echoed, "request-id": echoed},
            "errorMessage": echoed,
            "errorDetails": echoed,
            "message": echoed,
            "error": echoed,
        }),
        _ => match field.split_once('.') {
            Some((report, name)) => json!({report: {name: echoed}}),
            None => json!({field: echoed}),
        },
    };
    json_response(status, &body, matches!(field, "headers" | "everywhere").then_some(&echoed))
}

pub(super) fn json_response(status: StatusCode, body: &Value, in_headers: Option<&str>) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    if let Some(value) = in_headers.and_then(|text| HeaderValue::from_str(text).ok()) {
        for name in ["x-request-id", "retry-after", "location", "www-authenticate"] {
            response.headers_mut().insert(HeaderName::from_static(name), value.clone());
        }
    }
    response
}
