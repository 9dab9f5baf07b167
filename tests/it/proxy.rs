//! The requests that use the egress proxy, and the limits of each proxy setting.

use std::{
    collections::BTreeSet,
    future::IntoFuture as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{body::Bytes, http::HeaderMap};
use hubspot_connection_service::{
    config::{Config, Flags},
    emulator,
    proto::ListHubSpotConnectionsRequest,
    telemetry::LogFormat,
};
use tokio_util::task::AbortOnDropHandle;

use crate::support::{
    ServiceProcess, TestService, listen, request, start_emulator,
    tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, bearing, claims},
    unused_port,
};

/// A proxy that resolves every host to one of two addresses: the hosts with the port of the second one to
/// that one.
struct Proxy {
    url: String,
    asked_for: Arc<Mutex<BTreeSet<String>>>,
    _serving: AbortOnDropHandle<std::io::Result<()>>,
}

impl Proxy {
    async fn start(adobe: SocketAddr, keys: SocketAddr) -> Self {
        let listener = listen().await;
        let url = format!("http://user:canary@{}", listener.local_addr().unwrap());
        let asked_for = Arc::new(Mutex::new(BTreeSet::new()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let noted = Arc::clone(&asked_for);
        let forward = move |method: http::Method, uri: http::Uri, headers: HeaderMap, body: Bytes| async move {
            let host = uri.authority().unwrap().to_string();
            assert!(headers.contains_key("proxy-authorization"), "{host}");
            let target = if host.ends_with(&format!(":{}", keys.port())) { keys } else { adobe };
            noted.lock().unwrap().insert(host);
            let url = format!("http://{target}{}", uri.path_and_query().unwrap());
            let response = client.request(method, url).headers(headers).body(body).send().await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            (status, headers, response.bytes().await.unwrap())
        };
        let router = axum::Router::new().fallback(forward);
        let serving = tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, asked_for, _serving: AbortOnDropHandle::new(serving) }
    }

    fn asked_for(&self) -> BTreeSet<String> {
        self.asked_for.lock().unwrap().clone()
    }
}

/// Resolves to this machine, and is not a loopback address by its number.
const ANY_ADDRESS: &str = "0.0.0.0";

fn hosts<const N: usize>(hosts: [&str; N]) -> BTreeSet<String> {
    hosts.map(str::to_owned).into()
}

/// The hosts that a service with the keys at this host requests from the proxy.
async fn proxied(keys_host: &str, no_proxy: &str) -> BTreeSet<String> {
    let key = TokenKey::es256("key");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    let at: SocketAddr = keys.url.split('/').nth(2).unwrap().parse().unwrap();
    let emulator = start_emulator(emulator::Options::default()).await;
    let proxy = Proxy::start(emulator.addr(), at).await;
    let service = TestService::against(
        emulator,
        [
            ("HCS_UPSTREAM_PROXY", &*proxy.url),
            ("HCS_UPSTREAM_NO_PROXY", no_proxy),
            ("HCS_FLOW_SERVICE_URL", "http://flow.example.com/data/foundation/flowservice"),
            ("HCS_IMS_URL", "http://ims.example.com/ims/token/v3"),
            ("HCS_UPSTREAM_ALLOW_HTTP", "true"),
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_URL", &format!("http://{keys_host}:{}/openid/v1/jwks", at.port())),
            ("HCS_JWT_ALLOW_HTTP", "true"),
            ("HCS_CALLERS", "jwt:**=write"),
        ],
    )
    .await;
    let list = bearing(&key.sign(&claims("crm")), ListHubSpotConnectionsRequest::default());
    service.client().await.list_hub_spot_connections(list).await.unwrap();
    proxy.asked_for().into_iter().map(|host| host.replace(&format!(":{}", at.port()), "")).collect()
}

#[tokio::test]
async fn keys_outside_the_cluster_are_read_through_the_proxy_like_adobe() {
    let adobe = ["flow.example.com", "ims.example.com"];
    let expected = hosts([adobe[0], adobe[1], "keys.example.net"]);
    assert_eq!(proxied("keys.example.net", "").await, expected);
    assert_eq!(proxied("keys.example.net", "example.net:1,other.example").await, expected);
    // An address does not show its location.
    assert_eq!(proxied(ANY_ADDRESS, "").await, hosts([adobe[0], adobe[1], ANY_ADDRESS]));
}

#[tokio::test]
async fn keys_inside_the_cluster_and_hosts_that_are_listed_are_read_without_the_proxy() {
    let adobe = hosts(["flow.example.com", "ims.example.com"]);
    assert_eq!(proxied("localhost", "").await, adobe);
    assert_eq!(proxied("127.0.0.1", "").await, adobe);
    assert_eq!(proxied(ANY_ADDRESS, "0.0.0.0/8").await, adobe);
}

#[test]
fn plain_http_is_allowed_only_for_the_host_of_its_setting() {
    let problems = |settings: &[(&str, &str)]| {
        let good = [
            ("HCS_ORG_ID", "1234@AdobeOrg"),
            ("HCS_CLIENT_ID", "client"),
            ("HCS_CLIENT_SECRET", "canary"),
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_URL", "http://keys.auth.svc/jwks"),
            ("HCS_FLOW_SERVICE_URL", "http://flow.example.com/data/foundation/flowservice"),
            ("HCS_IMS_URL", "http://ims.example.com/ims/token/v3"),
            ("HCS_CALLERS", "jwt:**=write"),
        ];
        let environment = good.iter().chain(settings).map(|(name, value)| ((*name).into(), (*value).into()));
        let loaded = Config::load(environment, Flags::default(), LogFormat::Text);
        let problems = loaded.err().map(|problems| problems.0).unwrap_or_default();
        problems.into_iter().map(|problem| problem.setting).collect::<BTreeSet<_>>()
    };
    let (adobe, keys) = (["HCS_FLOW_SERVICE_URL", "HCS_IMS_URL"], "HCS_JWT_JWKS_URL");
    assert_eq!(problems(&[]), hosts([adobe[0], adobe[1], keys]));
    assert_eq!(problems(&[("HCS_JWT_ALLOW_HTTP", "true")]), hosts(adobe));
    assert_eq!(problems(&[("HCS_UPSTREAM_ALLOW_HTTP", "true")]), hosts([keys]));
    assert_eq!(problems(&[("HCS_UPSTREAM_ALLOW_HTTP", "true"), ("HCS_JWT_ALLOW_HTTP", "true")]), hosts([]));
}

#[tokio::test]
async fn proxy_variables_of_other_programs_are_ignored() {
    let emulator = start_emulator(emulator::Options::default()).await;
    let (closed, _socket) = unused_port();
    let elsewhere = format!("http://{closed}");
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
        .map(|name| (name, &*elsewhere));
    let service = ServiceProcess::start(&emulator, &proxies).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap();

    let proxy = Proxy::start(emulator.addr(), closed).await;
    let exempt = [
        ("NO_PROXY", "*"),
        ("no_proxy", "*"),
        ("HCS_UPSTREAM_PROXY", &*proxy.url),
        ("HCS_FLOW_SERVICE_URL", "http://flow.example.com/data/foundation/flowservice"),
        ("HCS_IMS_URL", "http://ims.example.com/ims/token/v3"),
        ("HCS_UPSTREAM_ALLOW_HTTP", "true"),
    ];
    let service = ServiceProcess::start(&emulator, &exempt).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap();
    assert_eq!(proxy.asked_for(), hosts(["flow.example.com", "ims.example.com"]));

    // For everything but the proxy, loopback is this machine.
    let proxy = Proxy::start(emulator.addr(), closed).await;
    let service = ServiceProcess::start(&emulator, &[("HCS_UPSTREAM_PROXY", &*proxy.url)]).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap();
    assert_eq!(proxy.asked_for(), hosts([]));
}
