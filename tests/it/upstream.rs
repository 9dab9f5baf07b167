//! The client of the Flow Service, against the emulator and against servers that misbehave.

mod create;
mod list;
mod resilience;
#[cfg(target_os = "linux")]
mod sockets;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hubspot_connection_service::{
    adobe::{CallError, FlowService, HttpPlatform, Identity, Ims, Permit, ReadyToken, Timeouts, TokenSource},
    domain::{
        CreatedConnection, Credential, Description, HubSpotCredentials, NewConnection, Progress, RequestId,
        ResourceName, SandboxName,
    },
    emulator::{self, Action, Emulator, Fault, Route},
    metrics::UpstreamMetrics,
};
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};

const CREATE: &str = "POST /connections";
const LIST: &str = "GET /connections";

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUTS: Timeouts = Timeouts { create: Duration::from_secs(5), attempt: Duration::from_secs(5) };

/// The client under test and the emulator that it calls.
struct Upstream {
    emulator: Emulator,
    flow_service: HttpPlatform,
    progress: Arc<Progress>,
}

impl Upstream {
    async fn start() -> Self {
        Self::with(client(), emulator::CLIENT_ID, TIMEOUTS).await
    }

    /// Starts with another HTTP client and client ID, and other timeouts.
    async fn with(client: Client, client_id: &str, timeouts: Timeouts) -> Self {
        Self::over(client, client_id, timeouts, json!([])).await
    }

    /// Starts with faults that also affect the first request for a token.
    async fn with_faults(faults: Value) -> Self {
        Self::over(client(), emulator::CLIENT_ID, TIMEOUTS, faults).await
    }

    async fn over(client: Client, client_id: &str, timeouts: Timeouts, faults: Value) -> Self {
        let options = emulator::Options { client_id: client_id.to_owned(), ..emulator::Options::default() };
        let emulator = Emulator::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), options);
        emulator.inject(serde_json::from_value(faults).unwrap());
        let tokens = TokenSource::start(Ims {
            client: self::client(),
            url: emulator.ims_url().parse().unwrap(),
            client_id: client_id.to_owned(),
            client_secret: secret(emulator::CLIENT_SECRET),
            scope: "openid".to_owned(),
            timeout: TIMEOUTS.attempt,
            metrics: UpstreamMetrics::default(),
        });
        let flow_service = flow_service(client, &emulator.base_url(), client_id, tokens, timeouts);
        Self { emulator, flow_service, progress: progress() }
    }

    /// Creates a connection of this name with a new pass.
    async fn create(&self, name: &str) -> Result<CreatedConnection, CallError> {
        let permit = self.permit().await;
        self.create_with(&permit, name).await
    }

    async fn create_with(&self, permit: &Permit, name: &str) -> Result<CreatedConnection, CallError> {
        let connection = connection("prod", name);
        self.flow_service.create_connection(permit, &connection, None, in_time(), &self.progress).await
    }

    /// Creates a connection under these faults, which have the form of the emulator's control route.
    async fn create_hit_by(&self, action: Value) -> CallError {
        self.inject(CREATE, 1, action);
        self.create("HubSpot").await.unwrap_err()
    }

    async fn permit(&self) -> Permit {
        self.flow_service.permit(in_time()).await.unwrap()
    }

    fn inject(&self, route: &str, count: u32, action: Value) {
        let (route, action): (Route, Action) =
            (route.parse().unwrap(), serde_json::from_value(action).unwrap());
        self.emulator.inject(vec![Fault { route, count, action }]);
    }

    fn requests(&self, method: &str) -> usize {
        let received = self.emulator.received();
        received.iter().filter(|r| r.method == method && r.path.ends_with("/connections")).count()
    }
}

fn client() -> Client {
    Client::builder().no_proxy().retry(reqwest::retry::never()).build().unwrap()
}

fn http2_client() -> Client {
    Client::builder().no_proxy().retry(reqwest::retry::never()).http2_prior_knowledge().build().unwrap()
}

fn flow_service(
    client: Client,
    base: &str,
    client_id: &str,
    tokens: TokenSource,
    timeouts: Timeouts,
) -> HttpPlatform {
    let identity = Identity { org_id: emulator::ORG_ID, client_id };
    let metrics = UpstreamMetrics::default();
    let base = Url::parse(base).unwrap();
    HttpPlatform::new(client, &base, &base, identity, tokens, timeouts, metrics).unwrap()
}

/// The client under test, against another server than the emulator.
fn client_of(address: SocketAddr) -> HttpPlatform {
    let tokens = TokenSource::start(ReadyToken(secret(emulator::DEMO_ACCESS_TOKEN)));
    flow_service(client(), &format!("http://{address}"), emulator::CLIENT_ID, tokens, TIMEOUTS)
}

fn secret(value: &str) -> hubspot_connection_service::secret::Secret {
    hubspot_connection_service::secret::Secret::Value(value.to_owned().into())
}

fn progress() -> Arc<Progress> {
    Arc::new(Progress::new(RequestId::generate(), false))
}

/// A deadline that is not the subject of the test.
fn in_time() -> Instant {
    Instant::now() + 10 * SECOND
}

fn sandbox(name: &str) -> SandboxName {
    SandboxName::parse(name).unwrap()
}

fn connection(sandbox: &str, name: &str) -> NewConnection {
    let credential = |value| Credential::parse(value).unwrap();
    NewConnection {
        sandbox: self::sandbox(sandbox),
        name: ResourceName::parse(name).unwrap(),
        description: Description::parse("made by a test").unwrap(),
        credentials: HubSpotCredentials {
            client_id: credential("hs-client"),
            client_secret: credential("canary-secret"),
            access_token: credential("canary-access"),
            refresh_token: credential("canary-refresh"),
        },
    }
}
