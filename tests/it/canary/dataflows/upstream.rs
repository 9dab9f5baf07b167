//! Adobe's services as the emulator has them, with replies to some requests that echo what arrived.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use hubspot_connection_service::emulator::{Emulator, IMS_PATH, Options};
use serde_json::json;

use crate::{
    canary::{
        evidence::ADOBE_SECRET,
        hostile::{Arrived, Echo, json_response, of_flow},
    },
    support::{
        replacing_proxy::{Fate, ReplacingProxy},
        start_emulator,
    },
};

/// The parts of paths that are no IDs.
const NAMES: [&str; 25] = [
    "",
    "flowservice",
    "connections",
    "sourceConnections",
    "targetConnections",
    "flows",
    "runs",
    "connectionSpecs",
    "flowSpecs",
    "test",
    "explore",
    "action",
    "schemaregistry",
    "stats",
    "tenant",
    "global",
    "schemas",
    "fieldgroups",
    "classes",
    "catalog",
    "dataSets",
    "batches",
    "conversion",
    "mappingSets",
    "validate",
];

/// A failure: the status, the field with the echo, and the echo.
pub(super) type Failing = (u16, &'static str, Echo);

/// The kind of a request: its method and its path, without the IDs.
pub(super) fn kind(request: &Request<Bytes>) -> String {
    let path = request.uri().path().trim_start_matches("/data/foundation");
    let segments = path.split('/').map(|segment| if NAMES.contains(&segment) { segment } else { "{id}" });
    format!("{} {}", request.method(), segments.collect::<Vec<_>>().join("/"))
}

/// The service that a kind of request is sent to.
pub(super) fn service_of(kind: &str) -> &str {
    kind.split('/').nth(1).unwrap()
}

#[derive(Default)]
struct Script {
    /// The kinds of requests that fail, and how.
    failing: BTreeSet<String>,
    how: Failing,
    /// The kinds of requests since the last look, oldest first.
    seen: Vec<String>,
    /// Each kind that failed, with the names of its echoes.
    failed: BTreeSet<(String, String)>,
}

/// The services. They run until the test ends.
pub(super) struct Echoing {
    /// What works behind them, while there is a handle to it.
    _emulator: Emulator,
    proxy: ReplacingProxy,
    script: Arc<Mutex<Script>>,
}

impl Echoing {
    /// Starts with an IMS that issues this token.
    pub(super) async fn start(token: &'static str) -> Self {
        let (client_secret, access_token) = (ADOBE_SECRET.to_owned(), token.to_owned());
        let emulator = start_emulator(Options { client_secret, access_token, ..Options::default() }).await;
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::clone(&script);
        let proxy = ReplacingProxy::start(&emulator, move |request| {
            issued(token, request).unwrap_or_else(|| shared.lock().unwrap().decide(request))
        })
        .await;
        Self { _emulator: emulator, proxy, script }
    }

    /// The settings of a service that uses them.
    pub(super) fn settings(&self) -> [(&'static str, String); 2] {
        settings(&self.proxy)
    }

    /// Lets these kinds of requests fail from here on.
    pub(super) fn fail(&self, kinds: &[&str], how: Failing) {
        let mut script = self.script.lock().unwrap();
        script.failing = kinds.iter().map(|&kind| kind.to_owned()).collect();
        script.how = how;
        script.seen.clear();
    }

    /// The kinds of the requests since then, oldest first.
    pub(super) fn seen(&self) -> Vec<String> {
        self.script.lock().unwrap().seen.clone()
    }

    /// Every kind that has failed, with the names of its echoes.
    pub(super) fn failed(&self) -> BTreeSet<(String, String)> {
        self.script.lock().unwrap().failed.clone()
    }
}

impl Script {
    fn decide(&mut self, request: &Request<Bytes>) -> Fate {
        let kind = kind(request);
        if !self.seen.contains(&kind) {
            self.seen.push(kind.clone());
        }
        if !self.failing.contains(&kind) {
            return Fate::Forwarded;
        }
        let (status, field, echo) = self.how;
        self.failed.insert((kind, format!("{echo:?}")));
        let authorization = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let arrived = Arrived {
            path: request.uri().path().to_owned(),
            authorization: String::from_utf8_lossy(authorization.unwrap_or_default()).into_owned(),
            body: String::from_utf8_lossy(request.body()).into_owned(),
        };
        Fate::Answered(of_flow(&arrived, (StatusCode::from_u16(status).unwrap(), field, echo)))
    }
}

/// The settings of a service that reaches the Flow Service, its siblings and IMS through a proxy.
pub(super) fn settings(proxy: &ReplacingProxy) -> [(&'static str, String); 2] {
    let ims = format!("http://{}{IMS_PATH}", proxy.address);
    [("HCS_FLOW_SERVICE_URL", proxy.base_url()), ("HCS_IMS_URL", ims)]
}

/// The reply of IMS, if it is asked.
pub(super) fn issued(token: &str, request: &Request<Bytes>) -> Option<Fate> {
    let is_ims = request.method() == Method::POST && request.uri().path() == IMS_PATH;
    let issued = || json!({"access_token": token, "expires_in": 86_399});
    is_ims.then(|| Fate::Answered(json_response(StatusCode::OK, &issued(), None)))
}
