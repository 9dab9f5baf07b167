//! An upstream that works, remembers the credentials that it received, and echoes them when it fails.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, extract::State, response::Response};
use http::{HeaderValue, Method, StatusCode, header};
use hubspot_connection_service::{
    emulator::{BASE_PATH, IMS_PATH},
    proto::{self, CreateHubSpotConnectionRequest, HubSpotCredentials, Verification},
};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    FORMATS, SHORT_TIMEOUT,
    evidence::{ADOBE_SECRET, ADOBE_TOKEN, CREDENTIALS, OTHER_CREDENTIALS, Observed, creation, credentials},
    hostile::{Arrived, ECHOES, Echo, FIELDS, json_response, of_flow},
    verbose,
};
use crate::support::{ServiceProcess, listen};

const POST: &str = "POST connections";
const LIST: &str = "GET connections";
const GET: &str = "GET {id}";
const TEST: &str = "GET test";
const EXPLORE: &str = "GET explore";
const PATCH: &str = "PATCH {id}";
const DELETE: &str = "DELETE {id}";

/// A kind of failure: the status, the field with the echo, and the echo.
type Failing = (u16, &'static str, Echo);

#[derive(Default)]
struct Script {
    /// The routes that fail.
    routes: &'static [&'static str],
    how: Failing,
    test_result: bool,
    /// The last body with credentials.
    received: String,
    /// The number of created connections.
    created: usize,
    /// The number of failures.
    failures: usize,
}

/// The upstream. It runs until the test ends.
struct EchoOnFailure {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl EchoOnFailure {
    async fn start() -> Self {
        let script = Arc::<Mutex<Script>>::default();
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(respond).with_state(Arc::clone(&script));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, script }
    }

    /// A service that uses this upstream.
    async fn service(&self, format: &str, settings: &[(&str, &str)]) -> ServiceProcess {
        let [flow, ims] = [BASE_PATH, IMS_PATH].map(|path| format!("http://{}{path}", self.address));
        let upstream = [("HCS_FLOW_SERVICE_URL", &*flow), ("HCS_IMS_URL", &*ims)];
        ServiceProcess::with(&verbose(format, &[&upstream, settings].concat())).await
    }

    fn fail(&self, routes: &'static [&'static str], how: Failing) {
        let mut script = self.script.lock().unwrap();
        (script.routes, script.how, script.test_result) = (routes, how, false);
    }

    /// Fails if no request has failed since the last check.
    fn assert_failed(&self, what: &str) {
        let failures = std::mem::take(&mut self.script.lock().unwrap().failures);
        assert!(failures > 0, "{what}: nothing was echoed");
    }
}

async fn respond(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    if parts.uri.path() == IMS_PATH {
        let token = json!({"access_token": ADOBE_TOKEN, "expires_in": 86_399});
        return json_response(StatusCode::OK, &token, None);
    }
    let mut script = script.lock().unwrap();
    if matches!(parts.method, Method::POST | Method::PATCH) {
        script.received = String::from_utf8(body.to_vec()).unwrap();
    }
    let last = parts.uri.path().rsplit('/').next().unwrap();
    let is_id = last.starts_with("c-");
    let route = format!("{} {}", parts.method, if is_id { "{id}" } else { last });
    if script.routes.contains(&&*route) {
        script.failures += 1;
        let authorization = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let request = Arrived {
            path: parts.uri.path().to_owned(),
            authorization: String::from_utf8_lossy(authorization.unwrap_or_default()).into_owned(),
            body: script.received.clone(),
        };
        let (status, field, echo) = script.how;
        return of_flow(&request, (StatusCode::from_u16(status).unwrap(), field, echo));
    }
    let (status, body) = match &*route {
        POST => {
            script.created += 1;
            (StatusCode::CREATED, json!({"id": format!("c-{}", script.created), "etag": "\"1\""}))
        }
        GET => (StatusCode::OK, json!({"items": [connection(last, &script.received)]})),
        LIST => (StatusCode::OK, json!({"items": []})),
        TEST => (StatusCode::OK, json!({"result": script.test_result})),
        EXPLORE => (StatusCode::OK, json!([])),
        PATCH => (StatusCode::OK, json!({"id": last, "etag": "\"2\""})),
        DELETE => (StatusCode::NO_CONTENT, Value::Null),
        other => panic!("{other}"),
    };
    json_response(status, &body, None)
}

/// The connection, with the credentials in each of its texts that the service does not show.
fn connection(id: &str, received: &str) -> Value {
    let body: Value = serde_json::from_str(received).unwrap_or_default();
    json!({
        "id": id, "etag": "\"1\"", "version": "\"1\"", "name": "HubSpot", "state": "enabled",
        "description": body["description"], "createdAt": 1_597_973_312_000_i64, "createdClient": received, "createdBy": received,
        "connectionSpec": {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"},
        "auth": {"specName": "Basic Authentication", "params": body["auth"]["params"], "other": received},
        "other": received,
    })
}

/// Failures with every echo in every field, and with other statuses.
fn failings() -> impl Iterator<Item = Failing> {
    let everywhere = FIELDS.into_iter().flat_map(|field| ECHOES.map(|echo| (400, field, echo)));
    let other_statuses = [403, 404, 412, 422, 500].into_iter().flat_map(|status| {
        ["headers", "report.detailed-message"].map(|field| (status, field, Echo::Credentials))
    });
    everywhere.chain(other_statuses)
}

fn verified(verification: Verification) -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { verification: verification.into(), ..creation() }
}

fn all_secrets() -> Vec<&'static str> {
    [&CREDENTIALS[..], &OTHER_CREDENTIALS, &[ADOBE_SECRET, ADOBE_TOKEN]].concat()
}

#[tokio::test]
async fn credentials_echoed_during_a_verification_are_not_quoted() {
    for format in FORMATS {
        let upstream = EchoOnFailure::start().await;
        let mut observed = Observed::new(upstream.service(format, &[]).await).await;
        for how in failings() {
            upstream.fail(&[TEST], how);
            let what = format!("{how:?} of the test");
            let created = observed.send(&what, verified(Verification::Report)).await.unwrap();
            assert!(!created.test.unwrap().passed, "{what}");
            upstream.assert_failed(&what);
        }
        for field in FIELDS {
            let how = (400, field, Echo::Credentials);
            for (routes, code) in [
                (&[TEST][..], Code::Unknown),
                (&[GET], Code::Unknown),
                (&[DELETE], Code::FailedPrecondition),
                (&[EXPLORE], Code::FailedPrecondition),
            ] {
                upstream.fail(routes, how);
                let what = format!("{how:?} of {routes:?}");
                let status = observed.send(&what, verified(Verification::Require)).await.unwrap_err();
                assert_eq!(status.code(), code, "{what}: {status:?}");
                if routes != [EXPLORE] {
                    upstream.assert_failed(&what);
                }
            }
        }
        observed.prints_text("could not delete a connection that does not work").await;
        observed.end_without(all_secrets()).await;
    }
}

#[tokio::test]
async fn credentials_echoed_by_an_update_are_not_quoted() {
    for format in FORMATS {
        let upstream = EchoOnFailure::start().await;
        let mut observed = Observed::new(upstream.service(format, &[]).await).await;
        observed.create("a success").await.unwrap();
        let ways = failings().map(|how| (&[PATCH][..], how)).chain(
            // An invalid new version.
            ECHOES.map(|echo| (&[PATCH][..], (200, "etag", echo))),
        );
        for (routes, how) in ways {
            upstream.fail(routes, how);
            let what = format!("{how:?} of {routes:?}");
            let new: HubSpotCredentials = credentials(OTHER_CREDENTIALS);
            let request = proto::UpdateHubSpotConnectionRequest {
                id: "c-1".to_owned(),
                credentials: Some(new),
                ..proto::UpdateHubSpotConnectionRequest::default()
            };
            let response = observed.client().update_hub_spot_connection(request).await;
            observed.note(&what, response).unwrap_err();
            upstream.assert_failed(&what);
        }
        observed.end_without(all_secrets()).await;
    }
}

#[tokio::test]
async fn credentials_echoed_during_a_search_are_not_quoted() {
    for format in FORMATS {
        let upstream = EchoOnFailure::start().await;
        let mut observed = Observed::new(upstream.service(format, &[SHORT_TIMEOUT]).await).await;
        upstream.fail(&[POST, LIST], (503, "report.detailed-message", Echo::Credentials));
        let status = observed.create("a lost one").await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        observed.prints_text("a search for an earlier creation was inconclusive").await;
        observed.end_without(all_secrets()).await;
    }
}
