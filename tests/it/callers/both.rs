//! Callers that present a certificate and send a token.

use super::{NOT_ALLOWED, UNAUTHENTICATED, create, list, tokens::CALLERS};
use crate::{
    support::{
        Mount, TestService,
        certificates::{Authority, TlsClient},
        listen,
        tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, claims},
        until_counted,
    },
    tls::{failures, files},
};

const WRITER: &str = "system:serviceaccount:crm:onboarding";

#[tokio::test]
async fn both_are_needed_and_the_token_names_the_caller() {
    let (servers, callers) = (Authority::new("servers"), Authority::new("callers"));
    let files = Mount::new(&files(&servers.server(1), &callers.pem));
    let key = TokenKey::es256("key");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    let service = TestService::with([
        ("HCS_TLS_CERT_FILE", &*files.path("tls.crt")),
        ("HCS_TLS_KEY_FILE", &files.path("tls.key")),
        ("HCS_TLS_CLIENT_CA_FILE", &files.path("ca.crt")),
        ("HCS_JWT_ISSUER", ISSUER),
        ("HCS_JWT_AUDIENCE", AUDIENCE),
        ("HCS_JWT_JWKS_URL", &keys.url),
        ("HCS_CALLERS", CALLERS),
    ])
    .await;
    let token = key.sign(&claims(WRITER));

    // The name in the certificate does not matter.
    let stranger = callers.client(&["spiffe://prod/stranger"]);
    let mut client = TlsClient::new(&servers, Some(&stranger)).client(service.grpc);
    create(&mut client, Some(&token)).await.unwrap();

    // A token without a certificate fails in the handshake.
    let without = TlsClient::new(&servers, None);
    without.hears(service.grpc).await.unwrap_err();
    until_counted(service.admin, &failures("no_certificate"), 1).await;
    create(&mut without.client(service.grpc), Some(&token)).await.unwrap_err();
    assert_eq!(service.emulator.connections().len(), 1);

    // The name of an allowed subject in a certificate does not replace its token.
    let posing = callers.client(&["system:serviceaccount:crm:onboarding"]);
    let mut client = TlsClient::new(&servers, Some(&posing)).client(service.grpc);
    service.assert_refuses(UNAUTHENTICATED, "no_token", create(&mut client, None)).await;
    // It does not extend the permissions of another token either.
    let other = key.sign(&claims("system:serviceaccount:crm:other"));
    service.assert_refuses(NOT_ALLOWED, "not_allowed", list(&mut client, Some(&other))).await;
}
