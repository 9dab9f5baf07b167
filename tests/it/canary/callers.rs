//! The tokens of callers, and the key of TLS.

use hubspot_connection_service::proto::ListHubSpotConnectionsRequest;
use serde_json::json;
use tonic::Status;

use super::{FORMATS, search::Search, start_canary_emulator, verbose};
use crate::{
    support::{
        Mount, ServiceProcess,
        certificates::{Authority, TlsClient},
        listen, metrics,
        tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, bearing, claims, in_seconds},
        until_counted,
    },
    tls::files,
};

#[tokio::test]
async fn neither_the_tokens_of_callers_nor_the_tls_key_leak() {
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let (servers, callers) = (Authority::new("servers"), Authority::new("callers"));
        let (server, next) = (servers.server(1), servers.server(2));
        let mount = Mount::new(&files(&server, &callers.pem));
        let key = TokenKey::es256("key");
        let keys = KeyEndpoint::start(listen().await, &[&key]);
        let settings = [
            ("HCS_TLS_CERT_FILE", &*mount.path("tls.crt")),
            ("HCS_TLS_KEY_FILE", &mount.path("tls.key")),
            ("HCS_TLS_CLIENT_CA_FILE", &mount.path("ca.crt")),
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_URL", &keys.url),
            ("HCS_CALLERS", "jwt:allowed=write"),
        ];
        let service = ServiceProcess::start(&emulator, &verbose(format, &settings)).await;
        let own = callers.client(&["crm"]);
        let mut client = TlsClient::new(&servers, Some(&own)).client(service.grpc);

        let with = |name: &str, value| {
            let mut claims = claims("allowed");
            claims[name] = value;
            claims
        };
        let valid = key.sign(&claims("allowed"));
        let tokens = [
            valid.clone(),
            key.sign(&claims("another")),
            key.sign(&with("exp", json!(in_seconds(-90)))),
            key.sign(&with("nbf", json!(in_seconds(90)))),
            key.sign(&with("aud", json!("canary-of-an-audience-in-a-token"))),
            key.sign(&with("iss", json!("canary-of-an-issuer-in-a-token"))),
            key.sign(&with("exp", json!("canary-of-a-time-in-a-token"))),
            TokenKey::es256("canary-of-a-key-id-in-a-token").sign(&claims("allowed")),
            TokenKey::es256("key").sign(&claims("allowed")),
            key.sign_with_header(&json!({"alg": "canary-of-an-algorithm"}), &claims("allowed")),
            valid.replace('.', ":"),
            format!("{valid}.{valid}"),
        ];
        let mut refusals = Vec::new();
        for token in &tokens {
            let request = bearing(token, ListHubSpotConnectionsRequest::default());
            if let Err(status) = client.list_hub_spot_connections(request).await {
                refusals.push(status);
            }
        }
        assert_eq!(refusals.len(), tokens.len() - 1, "{refusals:?}");

        // The files are swapped.
        mount.replace(&[("tls.crt", &next.key_pem), ("tls.key", &next.key_pem), ("ca.crt", &next.key_pem)]);
        until_counted(service.admin, "hubspot_connection_tls_reload_failures_total", 1).await;
        mount.replace(&files(&next, &callers.pem));
        until_counted(service.admin, "hubspot_connection_tls_reloads_total", 1).await;

        let parts = ["canary-of-an-audience-in-a-token", "canary-of-an-issuer-in-a-token"];
        let parts = parts.into_iter().chain(["canary-of-a-time-in-a-token", "canary-of-a-key-id-in-a-token"]);
        let pems = [&server.key_pem, &next.key_pem].into_iter().flat_map(|pem| {
            pem.lines().filter(|line| line.len() > 30 && !line.starts_with('-')).map(str::to_owned)
        });
        let secrets = parts.map(str::to_owned).chain(pems).chain(tokens.clone());
        let search = Search::new(secrets);
        for status in &refusals {
            search.assert_absent("a refusal", format!("{status:?} {}", text_of(status)).as_bytes());
        }
        search.assert_absent("/metrics", metrics(service.admin).await.as_bytes());
        drop(client);
        let (status, output) = service.stop().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        assert!(output.stdout().contains("the new TLS files cannot be used"), "{output:?}");
        for line in output.bytes().split(|byte| *byte == b'\n') {
            search.assert_absent("the output", line);
        }
    }
}

fn text_of(status: &Status) -> String {
    format!("{} {}", status.message(), String::from_utf8_lossy(status.details()))
}
