//! Callers that present a certificate.

use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use super::{NOT_ALLOWED, create, list, write_all};
use crate::{
    support::{
        Failure, Mount, TestService,
        certificates::{Authority, Pair, TlsClient, Validity},
        until_counted,
    },
    tls::{failures, files},
};

/// A service that requires certificates, and the authorities.
struct WithCallers {
    service: TestService,
    servers: Authority,
    callers: Authority,
    _files: Mount,
}

impl WithCallers {
    async fn start(allowed: &str) -> Self {
        let (servers, callers) = (Authority::new("servers"), Authority::new("callers"));
        let files = Mount::new(&files(&servers.server(1), &callers.pem));
        let service = TestService::with([
            ("HCS_TLS_CERT_FILE", &*files.path("tls.crt")),
            ("HCS_TLS_KEY_FILE", &files.path("tls.key")),
            ("HCS_TLS_CLIENT_CA_FILE", &files.path("ca.crt")),
            ("HCS_CALLERS", allowed),
        ])
        .await;
        Self { service, servers, callers, _files: files }
    }

    fn client(&self, own: &Pair) -> TlsClient {
        TlsClient::new(&self.servers, Some(own))
    }

    /// A client whose certificate has these names.
    fn caller(&self, names: &[&str]) -> TlsClient {
        self.client(&self.callers.client(names))
    }

    /// Fails unless the handshake does, for this reason.
    async fn assert_no_handshake(&self, client: TlsClient, reason: &str) {
        client.hears(self.service.grpc).await.unwrap_err();
        until_counted(self.service.admin, &failures(reason), 1).await;
        // A call on such a connection fails as well.
        let status = create(&mut client.client(self.service.grpc), None).await.unwrap_err();
        assert_ne!(status.code(), Code::PermissionDenied, "{status:?}");
        assert_eq!(self.service.requests_to("POST", "/connections"), 0);
    }
}

#[tokio::test]
async fn a_caller_without_a_certificate_ends_in_the_handshake() {
    let tls = WithCallers::start("").await;
    tls.assert_no_handshake(TlsClient::new(&tls.servers, None), "no_certificate").await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_ends_in_the_handshake() {
    let tls = WithCallers::start("").await;
    let other = Authority::new("others").client(&["crm"]);
    tls.assert_no_handshake(tls.client(&other), "unknown_issuer").await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_of_the_same_name_ends_in_the_handshake() {
    let tls = WithCallers::start("").await;
    let other = Authority::new("callers").client(&["crm"]);
    tls.assert_no_handshake(tls.client(&other), "unknown_issuer").await;
}

#[tokio::test]
async fn an_expired_certificate_ends_in_the_handshake() {
    let tls = WithCallers::start("").await;
    let expired = tls.callers.client_valid(&["crm"], Validity::Past);
    tls.assert_no_handshake(tls.client(&expired), "expired").await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_ends_in_the_handshake() {
    let tls = WithCallers::start("").await;
    let early = tls.callers.client_valid(&["crm"], Validity::Future);
    tls.assert_no_handshake(tls.client(&early), "not_yet_valid").await;
}

#[tokio::test]
async fn a_certificate_for_servers_ends_in_the_handshake() {
    let tls = WithCallers::start("").await;
    let server = tls.callers.server(7);
    tls.assert_no_handshake(tls.client(&server), "bad_certificate").await;
}

#[tokio::test]
async fn the_handshake_fails_alike_in_tls_1_2() {
    let tls = WithCallers::start("").await;
    let old = |own| TlsClient::speaking(&[&rustls::version::TLS12], &["h2"], &tls.servers, own);
    tls.assert_no_handshake(old(None), "no_certificate").await;
    let expired = tls.callers.client_valid(&["crm"], Validity::Past);
    tls.assert_no_handshake(old(Some(&expired)), "expired").await;
    let other = Authority::new("others").client(&["crm"]);
    tls.assert_no_handshake(old(Some(&other)), "unknown_issuer").await;
    let good = tls.callers.client(&["crm"]);
    create(&mut old(Some(&good)).client(tls.service.grpc), None).await.unwrap();
}

#[tokio::test]
async fn without_a_list_every_certificate_may_do_everything() {
    let tls = WithCallers::start("").await;
    for names in [&["crm.example.com"][..], &["spiffe://prod/crm"], &[]] {
        let mut client = tls.caller(names).client(tls.service.grpc);
        let id = create(&mut client, None).await.unwrap();
        for (method, response) in write_all(&mut client, None, &id).await {
            response.unwrap_or_else(|status| panic!("{method}: {status:?}"));
        }
    }
}

#[tokio::test]
async fn a_caller_that_is_not_on_the_list_is_refused() {
    let tls = WithCallers::start("cert:spiffe://prod/ns/crm/sa/onboarding=write").await;
    for names in [
        &["spiffe://prod/ns/crm/sa/other"][..],
        &["spiffe://prod/ns/crm/sa/onboarding/x", "crm.example.com"],
        &["onboarding"],
    ] {
        let mut client = tls.caller(names).client(tls.service.grpc);
        let refused = tls.service.assert_refuses(NOT_ALLOWED, "not_allowed", list(&mut client, None)).await;
        assert!(names.iter().all(|name| refused.contains(&format!("cert:{name}"))), "{refused}");
        tls.service.assert_refuses(NOT_ALLOWED, "not_allowed", create(&mut client, None)).await;
    }
}

#[tokio::test]
async fn the_common_name_is_ignored() {
    // Every certificate here has this common name.
    let tls = WithCallers::start("cert:common-name=write,cert:CN/common-name=write").await;
    let mut client = tls.caller(&[]).client(tls.service.grpc);
    let refused = tls.service.assert_refuses(NOT_ALLOWED, "not_allowed", create(&mut client, None)).await;
    // The certificate has no other name either: the log identifies it by its fingerprint.
    assert!(refused.contains("cert:sha256:"), "{refused}");
}

#[tokio::test]
async fn uris_and_dns_names_are_names() {
    let tls =
        WithCallers::start("cert:spiffe://prod/ns/*/sa/onboarding=write,cert:*.crm.example.com=write").await;
    for names in [
        &["spiffe://prod/ns/crm/sa/onboarding"][..],
        &["eu.crm.example.com"],
        &["other.example.com", "spiffe://other", "eu.crm.example.com"],
    ] {
        create(&mut tls.caller(names).client(tls.service.grpc), None).await.unwrap();
    }
}

#[tokio::test]
async fn a_rule_for_dns_names_allows_no_uri_and_a_star_no_empty_or_encoded_part() {
    let rules = "cert:**.crm.example.com=write,cert:spiffe://prod/ns/*/sa/onboarding=write";
    let tls = WithCallers::start(rules).await;
    for name in [
        "spiffe://evil/a.crm.example.com",
        "urn:a.crm.example.com",
        "*.crm.example.com",
        "spiffe://prod/ns//sa/onboarding",
        "spiffe://prod/ns/a%2Fb/sa/onboarding",
        "spiffe://prod/ns/a%2fb/sa/onboarding",
        "spiffe://prod/ns/a%3Ab/sa/onboarding",
        "spiffe://prod/ns/%2E%2E/sa/onboarding",
    ] {
        let mut client = tls.caller(&[name]).client(tls.service.grpc);
        tls.service.assert_refuses(NOT_ALLOWED, "not_allowed", list(&mut client, None)).await;
    }
    for name in ["eu.crm.example.com", "EU.CRM.Example.com", "spiffe://prod/ns/eu/sa/onboarding"] {
        list(&mut tls.caller(&[name]).client(tls.service.grpc), None).await.unwrap();
    }
}

#[tokio::test]
async fn a_caller_that_may_read_does_not_write() {
    let tls = WithCallers::start("cert:reader=read,cert:writer=write").await;
    let id = create(&mut tls.caller(&["writer"]).client(tls.service.grpc), None).await.unwrap();
    let mut reader = tls.caller(&["reader"]).client(tls.service.grpc);
    list(&mut reader, None).await.unwrap();
    let sent = tls.service.sent();
    for (method, response) in write_all(&mut reader, None, &id).await {
        let refused = Failure::from(response.unwrap_err());
        assert_eq!(refused.row(), NOT_ALLOWED, "{method}");
        assert!(refused.forbids_retry && refused.message.contains("cert:reader may read"), "{refused:?}");
    }
    assert_eq!(tls.service.sent(), sent);
    until_counted(tls.service.admin, &super::refused("read_only"), 3).await;
    // The name with the most permissions counts.
    let mut both = tls.caller(&["reader", "writer"]).client(tls.service.grpc);
    create(&mut both, None).await.unwrap();
}

#[tokio::test]
async fn health_is_open_to_every_certificate_and_reflection_is_not() {
    let tls = WithCallers::start("cert:reader=read").await;
    for (name, allowed) in [("stranger", false), ("reader", true)] {
        let channel = tls.caller(&[name]).channel(tls.service.grpc);
        HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let response = ServerReflectionClient::new(channel)
            .server_reflection_info(futures_util::stream::iter([request]))
            .await;
        assert_eq!(
            response.map_err(|status| Failure::from(status).row().0).err(),
            (!allowed).then_some(NOT_ALLOWED.0)
        );
    }
}

/// A resumed session would reuse the checks of an earlier handshake.
#[tokio::test]
async fn every_new_connection_presents_its_certificate_again() {
    let tls = WithCallers::start("").await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let own = tls.callers.client(&["crm"]);
        let client = TlsClient::speaking(&[version], &["h2"], &tls.servers, Some(&own));
        for _ in 0..3 {
            let stream = client.hears(tls.service.grpc).await.unwrap();
            let kind = stream.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(rustls::HandshakeKind::Full), "{version:?}");
        }
    }
}
