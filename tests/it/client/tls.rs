//! TLS, certificates of callers, and tokens.

use super::{Client, Ran};
use crate::{
    support::{
        Mount, TestService,
        certificates::Authority,
        tokens::{AUDIENCE, ISSUER, TokenKey, claims, key_set},
    },
    tls::files,
};

const CALLER: &str = "system:serviceaccount:crm:onboarding";

/// A service that requires a certificate and a token, and the files of a caller.
struct Secured {
    service: TestService,
    files: Mount,
    _server_files: Mount,
}

impl Secured {
    async fn start() -> Self {
        let (servers, callers) = (Authority::new("servers"), Authority::new("callers"));
        let server_files = Mount::new(&files(&servers.server(1), &callers.pem));
        let key = TokenKey::es256("key");
        let caller = callers.client(&["spiffe://prod/onboarding"]);
        let files = Mount::new(&[
            ("ca.pem", &*servers.pem),
            ("other-ca.pem", &Authority::new("others").pem),
            ("cert.pem", &caller.certificate_pem),
            ("key.pem", &caller.key_pem),
            ("token", &key.sign(&claims(CALLER))),
            ("other-token", &key.sign(&claims("system:serviceaccount:crm:other"))),
            ("jwks.json", &key_set(&[&key]).to_string()),
        ]);
        let service = TestService::with([
            ("HCS_TLS_CERT_FILE", &*server_files.path("tls.crt")),
            ("HCS_TLS_KEY_FILE", &server_files.path("tls.key")),
            ("HCS_TLS_CLIENT_CA_FILE", &server_files.path("ca.crt")),
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_FILE", &files.path("jwks.json")),
            ("HCS_CALLERS", &format!("jwt:{CALLER}=write")),
        ])
        .await;
        Self { service, files, _server_files: server_files }
    }

    /// Lists the connections with these files: option and name.
    async fn list(&self, given: &[(&str, &str)]) -> Ran {
        let client = Client::at(format!("https://localhost:{}", self.service.grpc.port()));
        let given = given.iter().map(|(option, name)| format!("--{option}={}", self.files.path(name)));
        let given: Vec<_> = given.collect();
        let mut arguments = vec!["connections", "list", "--count"];
        arguments.extend(given.iter().map(String::as_str));
        client.run(&arguments).await
    }
}

#[tokio::test]
async fn a_certificate_and_a_token_reach_a_service_with_tls() {
    let secured = Secured::start().await;
    let all =
        [("ca-file", "ca.pem"), ("cert-file", "cert.pem"), ("key-file", "key.pem"), ("token-file", "token")];
    let listed = secured.list(&all).await.assert_status(0);
    assert_eq!((listed.stdout(), listed.stderr()), ("0\n".to_owned(), String::new()));
}

#[tokio::test]
async fn what_is_missing_for_a_service_with_tls_is_explained() {
    let secured = Secured::start().await;
    let own = [("cert-file", "cert.pem"), ("key-file", "key.pem")];
    let ca = [("ca-file", "ca.pem")];
    for (given, status, expected) in [
        // The system does not know the authority.
        ([&own[..], &[("token-file", "token")]].concat(), 2, "Check --address, --ca-file"),
        (
            [&own[..], &[("ca-file", "other-ca.pem"), ("token-file", "token")]].concat(),
            2,
            "Check --address, --ca-file",
        ),
        ([&own[..], &ca].concat(), 2, "[CALLER_UNAUTHENTICATED"),
        ([&own[..], &ca, &[("token-file", "other-token")]].concat(), 2, "[CALLER_NOT_ALLOWED"),
    ] {
        let failed = secured.list(&given).await.assert_status(status);
        assert!(failed.stderr().contains(expected), "{given:?}: {:?}", failed.output);
    }
    // TLS 1.3 refuses a caller without a certificate after the handshake: the client may see no more than the end.
    let without = secured.list(&[("ca-file", "ca.pem"), ("token-file", "token")]).await;
    assert!(matches!(without.status, Some(2 | 3)), "{:?}", without.output);
    assert!(without.stderr().contains("--cert-file and --key-file"), "{:?}", without.output);
    // The address of a service without TLS.
    let plain = Client::of(secured.service.grpc).run(&["connections", "list"]).await.assert_status(3);
    assert!(plain.stderr().contains("start the address with https"), "{:?}", plain.output);
    // A file that is no certificate.
    let wrong = [("ca-file", "token"), ("token-file", "token")];
    let refused = secured.list(&wrong).await.assert_status(64);
    assert!(refused.stderr().starts_with("error: --ca-file"), "{:?}", refused.output);
}
