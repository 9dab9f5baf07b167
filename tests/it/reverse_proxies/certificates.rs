//! TLS on both sides of a proxy. The proxy is what connects to the service: its certificate is the one that the service
//! checks, and only a token can name the caller behind it.

use hubspot_connection_service::emulator::{Emulator, Options};

use super::{
    create, is_of_proxy,
    proxy::{Config, Kind, Proxy, Tls},
};
use crate::{
    support::{
        Failure, Mount, Output, ServiceProcess,
        certificates::{Authority, TlsClient},
        listen, request, start_emulator,
        tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, bearing, claims},
    },
    tls::files,
};

const PROXY: &str = "spiffe://cluster.local/ns/edge/sa/proxy";
const CALLER: &str = "system:serviceaccount:crm:onboarding";

/// A service with TLS that needs certificates.
struct WithTls {
    emulator: Emulator,
    service: ServiceProcess,
    /// Of the servers: the service and the proxies.
    servers: Authority,
    /// Of those that connect to the service.
    clients: Authority,
    _files: Mount,
}

impl WithTls {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let files = Mount::new(&files(&servers.server(1), &clients.pem));
        let [certificate, key, client_ca] = ["tls.crt", "tls.key", "ca.crt"].map(|file| files.path(file));
        let emulator = start_emulator(Options::default()).await;
        let own = [
            ("HCS_TLS_CERT_FILE", &*certificate),
            ("HCS_TLS_KEY_FILE", &key),
            ("HCS_TLS_CLIENT_CA_FILE", &client_ca),
            ("HCS_LOG_FORMAT", "json"),
        ];
        let service = ServiceProcess::start(&emulator, &[&own, settings].concat()).await;
        Self { emulator, service, servers, clients, _files: files }
    }

    /// A proxy that presents a certificate with this name to the service, and trusts services of this authority.
    async fn behind(&self, config: Config, name: &str, authority: &Authority) -> Proxy {
        let tls = Tls {
            callers: self.servers.server(2),
            service: self.clients.client(&[name]),
            authority: authority.pem.clone(),
        };
        config.start_with_tls(&[self.service.grpc], &tls).await
    }

    /// A caller without a certificate.
    fn caller(&self, proxy: &Proxy) -> tonic::transport::Channel {
        TlsClient::new(&self.servers, None).channel(proxy.address)
    }

    /// Waits until a creation is logged with this caller.
    async fn logs_creation_of(&self, caller: &str) {
        let is_logged = |output: &Output| {
            let lines = output.log_lines();
            let mut created =
                lines.iter().filter(|line| line["target"] == "audit" && line["outcome"] == "OK");
            created.any(|line| line["caller"].as_str().is_some_and(|logged| logged.contains(caller)))
        };
        self.service.process.prints(caller, |output| is_logged(output).then_some(())).await;
    }
}

/// The documented configuration with the usual limit of headers.
fn with_small_headers(kind: Kind) -> Config {
    kind.documented().without(match kind {
        Kind::Nginx => "large_client_header_buffers",
        Kind::HaProxy => "tune.bufsize",
    })
}

#[tokio::test]
async fn a_token_of_many_kilobytes_names_the_caller_behind_the_proxy() {
    for kind in Kind::installed() {
        let key = TokenKey::es256("key");
        let keys = KeyEndpoint::start(listen().await, &[&key]);
        let tls = WithTls::start(&[
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_URL", &keys.url),
            ("HCS_CALLERS", &format!("jwt:{CALLER}=write")),
        ])
        .await;
        let proxy = tls.behind(kind.documented(), PROXY, &tls.servers).await;
        let channel = tls.caller(&proxy);
        let mut claims = claims(CALLER);
        claims["groups"] = "g".repeat(11_200).into();
        let token = key.sign(&claims);
        assert!(token.len() > 15_000, "{}", token.len());
        create(&channel, bearing(&token, request())).await.unwrap();
        tls.logs_creation_of(CALLER).await;
        let anonymous = Failure::from(create(&channel, request()).await.unwrap_err());
        assert_eq!(anonymous.reason, "CALLER_UNAUTHENTICATED", "{kind:?}");

        let small = tls.behind(with_small_headers(kind), PROXY, &tls.servers).await;
        create(&tls.caller(&small), bearing(&token, request())).await.unwrap_err();
        assert_eq!(tls.emulator.connections().len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn without_tokens_the_proxy_is_the_caller() {
    for kind in Kind::installed() {
        let tls = WithTls::start(&[("HCS_CALLERS", &format!("cert:{PROXY}=write"))]).await;
        let proxy = tls.behind(kind.documented(), PROXY, &tls.servers).await;
        create(&tls.caller(&proxy), request()).await.unwrap();
        tls.logs_creation_of(PROXY).await;

        let stranger =
            tls.behind(kind.documented(), "spiffe://cluster.local/ns/crm/sa/x", &tls.servers).await;
        let refused = Failure::from(create(&tls.caller(&stranger), request()).await.unwrap_err());
        assert_eq!(refused.reason, "CALLER_NOT_ALLOWED", "{kind:?}");
    }
}

#[tokio::test]
async fn a_proxy_sends_nothing_to_a_server_that_is_not_the_service() {
    for kind in Kind::installed() {
        let tls = WithTls::start(&[]).await;
        let proxy = tls.behind(kind.documented(), PROXY, &Authority::new("another")).await;
        let status = create(&tls.caller(&proxy), request()).await.unwrap_err();
        assert!(is_of_proxy(&status), "{kind:?}: {status:?}");
        assert!(tls.emulator.connections().is_empty());
    }
}
