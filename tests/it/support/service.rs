//! The service under test: in this process, on ports chosen by the kernel, against the emulator.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::Method;
use hubspot_connection_service::{
    app::{App, Drained},
    config::{Config, Flags},
    emulator::{self, Emulator},
    grpc::SERVICE_NAME,
    proto::{
        CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, HubSpotCredentials,
        hub_spot_connection_service_client::HubSpotConnectionServiceClient,
    },
    telemetry::LogFormat,
};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::transport::Channel;
use uuid::Uuid;

use super::Failure;

/// With these settings a connection is certainly visible seven seconds after its creation was sent.
pub(crate) const SETTLES_FAST: [(&str, &str); 2] =
    [("HCS_CREATE_TIMEOUT", "1s"), ("HCS_SETTLE_WINDOW", "1s")];
/// A valid fingerprint key.
pub(crate) const FINGERPRINT_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The service and the emulator behind it. Both end when it is dropped.
pub(crate) struct TestService {
    pub(crate) emulator: Emulator,
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Drained>,
}

impl TestService {
    /// Starts with the defaults.
    pub(crate) async fn start() -> Self {
        Self::with([]).await
    }

    /// Starts with these settings; an empty one takes its default.
    pub(crate) async fn with<const N: usize>(settings: [(&str, &str); N]) -> Self {
        Self::with_faults(json!([]), settings).await
    }

    /// Starts with these settings over an emulator with these faults from the beginning, so that they
    /// also affect the first token request.
    pub(crate) async fn with_faults<const N: usize>(faults: Value, settings: [(&str, &str); N]) -> Self {
        let emulator = Emulator::start(listen().await, emulator::Options::default());
        inject(&emulator, faults);
        Self::against(emulator, settings).await
    }

    /// Starts with these settings over a prepared emulator.
    pub(crate) async fn against<const N: usize>(emulator: Emulator, settings: [(&str, &str); N]) -> Self {
        let mut environment = BTreeMap::from([
            ("HCS_FLOW_SERVICE_URL", emulator.base_url()),
            ("HCS_IMS_URL", emulator.ims_url()),
            ("HCS_ORG_ID", emulator::ORG_ID.to_owned()),
            ("HCS_CLIENT_ID", emulator::CLIENT_ID.to_owned()),
            ("HCS_CLIENT_SECRET", emulator::CLIENT_SECRET.to_owned()),
            ("HCS_ALLOWED_SANDBOXES", "prod,dev".to_owned()),
            ("HCS_DRAIN_DELAY", "0s".to_owned()),
        ]);
        environment.extend(settings.map(|(name, value)| (name, value.to_owned())));
        let environment = environment.into_iter().map(|(name, value)| (name.into(), OsString::from(value)));
        let config = Config::load(environment, Flags::default(), LogFormat::Text).unwrap().config;

        let app = App::on(listen().await, listen().await, &config).await.unwrap();
        let (grpc, admin) = (app.grpc_address().unwrap(), app.admin_address().unwrap());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run(async {
            let _ = stopped.await;
        }));
        Self { emulator, grpc, admin, stop, running }
    }

    pub(crate) async fn client(&self) -> HubSpotConnectionServiceClient<Channel> {
        HubSpotConnectionServiceClient::connect(format!("http://{}", self.grpc)).await.unwrap()
    }

    /// Creates the connection of [`request`].
    pub(crate) async fn create(&self) -> Result<CreateHubSpotConnectionResponse, Failure> {
        self.send(request()).await
    }

    pub(crate) async fn send(
        &self,
        request: impl tonic::IntoRequest<CreateHubSpotConnectionRequest>,
    ) -> Result<CreateHubSpotConnectionResponse, Failure> {
        let response = self.client().await.create_hub_spot_connection(request).await;
        response.map(tonic::Response::into_inner).map_err(Failure::from)
    }

    /// Creates the connection of [`request`] while the next requests upstream fail.
    pub(crate) async fn create_with_faults(&self, faults: Value) -> Failure {
        self.inject(faults);
        self.create().await.unwrap_err()
    }

    /// Creates the connection of [`request`] with a deadline in the form of the `grpc-timeout` header,
    /// which this client, unlike a generated one, does not enforce itself.
    pub(crate) async fn create_within(&self, timeout: &str) -> Failure {
        self.send_within(&request(), timeout).await
    }

    /// The same with another request.
    pub(crate) async fn send_within(
        &self,
        request: &CreateHubSpotConnectionRequest,
        timeout: &str,
    ) -> Failure {
        let (_, failure) = self.post(&[("grpc-timeout", timeout)], framed(&request.encode_to_vec())).await;
        failure.unwrap()
    }

    /// Posts a body to the method for creations that no generated client would send.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Option<Failure>) {
        let response = post(self.grpc, headers, body).await;
        let status = tonic::Status::from_header_map(response.headers());
        (response.status().as_u16(), status.map(Failure::from))
    }

    /// Creates a connection of the same name without the service, and returns its ID.
    pub(crate) async fn create_behind_its_back(&self, request: &CreateHubSpotConnectionRequest) -> String {
        let response = post_upstream(&reqwest::Client::new(), &self.emulator, request).await.unwrap();
        assert_eq!(response.status(), 201);
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        body["id"].as_str().unwrap().to_owned()
    }

    /// Replaces the faults of the emulator, in the form of its control route.
    pub(crate) fn inject(&self, faults: Value) {
        inject(&self.emulator, faults);
    }

    /// Replaces the settings of the emulator, in the form of its control route.
    pub(crate) fn set(&self, settings: Value) {
        self.emulator.settings(serde_json::from_value(settings).unwrap());
    }

    /// The number of requests to a path of the emulator.
    pub(crate) fn requests_to(&self, method: &str, path_end: &str) -> usize {
        let received = self.emulator.received();
        received.iter().filter(|r| r.method == method && r.path.ends_with(path_end)).count()
    }

    /// Stops the service, and waits for its end.
    pub(crate) async fn stop(self) -> Drained {
        self.begin_to_stop().await.unwrap()
    }

    /// Signals the service to stop.
    pub(crate) fn begin_to_stop(self) -> JoinHandle<Drained> {
        let _ = self.stop.send(());
        self.running
    }
}

/// Replaces the faults of an emulator, in the form of its control route.
pub(crate) fn inject(emulator: &Emulator, faults: Value) {
    emulator.inject(serde_json::from_value(faults).unwrap());
}

/// Posts a body to the method for creations that no generated client would send.
pub(crate) async fn post(grpc: SocketAddr, headers: &[(&str, &str)], body: Vec<u8>) -> reqwest::Response {
    post_to(grpc, &format!("{SERVICE_NAME}/CreateHubSpotConnection"), headers, body).await
}

/// Posts a body to a method.
pub(super) async fn post_to(
    grpc: SocketAddr,
    method: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> reqwest::Response {
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("http://{grpc}/{method}");
    let mut request = client.post(url).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.headers([(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect());
    }
    request.body(body).send().await.unwrap()
}

/// Posts a creation to the emulator, as another client of the Flow Service would.
pub(crate) async fn post_upstream(
    client: &reqwest::Client,
    emulator: &Emulator,
    request: &CreateHubSpotConnectionRequest,
) -> reqwest::Result<reqwest::Response> {
    let credentials = request.credentials.clone().unwrap();
    let body = json!({
        "name": request.name,
        "description": request.description,
        "auth": {"specName": "Basic Authentication", "params": {
            "clientId": credentials.client_id,
            "clientSecret": credentials.client_secret,
            "accessToken": credentials.access_token,
            "refreshToken": credentials.refresh_token,
        }},
        "connectionSpec": {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"},
    });
    let post = request_upstream(client, emulator, Method::POST, "/connections", Some(&body));
    post.send().await
}

/// A request to the emulator as another client of the Flow Service would send it, for the sandbox `prod`.
pub(crate) fn request_upstream(
    client: &reqwest::Client,
    emulator: &Emulator,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> reqwest::RequestBuilder {
    let request = client
        .request(method, format!("{}{path}", emulator.base_url()))
        .bearer_auth(emulator::DEMO_ACCESS_TOKEN)
        .header("x-api-key", emulator::CLIENT_ID)
        .header("x-gw-ims-org-id", emulator::ORG_ID)
        .header("x-sandbox-name", "prod");
    match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    }
}

/// Sends a request as another client of the Flow Service would, and returns the body of the response.
pub(crate) async fn send_upstream(
    emulator: &Emulator,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Value {
    let request = request_upstream(&reqwest::Client::new(), emulator, method, path, body.as_ref());
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{path}: {response:?}");
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// Creates a connection to another source, without the service, and returns its ID.
pub(crate) async fn salesforce(emulator: &Emulator) -> String {
    let body = json!({
        "name": "Salesforce",
        "auth": {"specName": "Basic Authentication", "params": {
            "username": "u", "password": "sf-password", "securityToken": "sf-token",
            "environmentUrl": "login.salesforce.com",
        }},
        "connectionSpec": {"id": "cfc0fee1-7dc0-40ef-b73e-d8b134c436f5", "version": "1.0"},
    });
    let client = reqwest::Client::new();
    let post = request_upstream(&client, emulator, Method::POST, "/connections", Some(&body));
    let response = post.send().await.unwrap();
    assert_eq!(response.status(), 201);
    let created: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    created["id"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
}

pub(crate) async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A message in a gRPC frame.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// A valid request with a unique name.
pub(crate) fn request() -> CreateHubSpotConnectionRequest {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    CreateHubSpotConnectionRequest {
        name: format!("HubSpot EU {}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        description: "for marketing".to_owned(),
        credentials: Some(credentials()),
        ..CreateHubSpotConnectionRequest::default()
    }
}

/// The same with a request id.
pub(crate) fn request_with_id() -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { request_id: Uuid::new_v4().to_string(), ..request() }
}

pub(crate) fn credentials() -> HubSpotCredentials {
    HubSpotCredentials {
        client_id: "hs-client-id".to_owned(),
        client_secret: "hs-client-secret".to_owned(),
        access_token: "hs-access-token".to_owned(),
        refresh_token: "hs-refresh-token".to_owned(),
    }
}
