//! A HubSpot that repeats what it is asked with, wherever it can.

use hubspot_connection_service::proto::{
    CreateHubSpotConnectionRequest, UpdateHubSpotConnectionRequest, Verification,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    FORMATS,
    evidence::{ADOBE_SECRET, CREDENTIALS, OTHER_CREDENTIALS, Observed, creation, credentials},
    hostile::{ENCODED, Echo},
    start_canary_emulator, tokens, verbose,
};
use crate::{
    hubspot::{
        INTROSPECT,
        server::{Reaction, Scripted, reply},
    },
    support::{ServiceProcess, collector::Collector},
};

/// A reply with these secrets in every field and header that is read.
fn repeating(
    status: u16,
    active: Option<bool>,
    code: &str,
    echo: Echo,
    form: &[(String, String)],
) -> Reaction {
    let secrets: Vec<_> = form.iter().map(|(_, value)| value.as_str()).collect();
    let echoed = echo.encoded(&secrets);
    let mut body = json!({
        "error": code, "status": code, "category": echoed, "errorType": echoed, "message": echoed,
        "error_description": echoed, "correlationId": echoed, "requestId": echoed, "token": echoed,
        "token_use": echoed, "client_id": echoed, "app_id": echoed, "hub_id": echoed, "scopes": [echoed],
        "signed_access_token": {"token": echoed},
    });
    if let Some(active) = active {
        body["active"] = json!(active);
    }
    // What cannot be sent in a header is not.
    let header = if echoed.contains(['\r', '\n']) { "" } else { &*echoed };
    let headers = format!(
        "content-type: application/{header}\r\nretry-after: {header}\r\nlocation: /{header}\r\nx-request-id: {header}\r\n"
    );
    reply(status, &headers, &body.to_string())
}

/// Credentials of characters that scopes and IDs may have.
const PLAIN: [&str; 4] = [
    "hsidPlainq7Zr1LkVb3Nf8Gt2",
    "7392648153027461",
    "hsatPlainx4Tm9QcWd5Hy1Su6",
    "hsrtPlainw8Kd2JfXe6Mo3Ra9",
];

/// An active token with a secret in the fields that are shown: as an ID, and in parts that are too short alone.
fn in_parts(secret: &str) -> Reaction {
    let chars: Vec<_> = secret.chars().collect();
    let scopes: Vec<String> = chars.chunks(7).map(|part| part.iter().collect()).collect();
    let body = json!({"active": true, "scopes": scopes, "hub_id": secret});
    reply(200, "content-type: application/json\r\n", &body.to_string())
}

#[tokio::test]
async fn a_hubspot_that_repeats_the_credentials_is_not_quoted() {
    let all = [
        (200, Some(true), ""),
        (200, Some(false), ""),
        (200, None, ""),
        (400, None, "invalid_grant"),
        (401, None, "invalid_client"),
        (400, None, "another"),
    ];
    let plain = |way| [Echo::Credentials, Echo::Parts].map(|echo| (way, echo));
    // The text is read in the same way for every status.
    let encoded = ENCODED.map(|echo| ((401, None, "invalid_client"), echo));
    // The failures last: after them HubSpot is not asked for a while.
    let ways: Vec<_> =
        all.into_iter().flat_map(plain).chain(encoded).chain(plain((503, None, "another"))).collect();
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let hubspot = Scripted::start(Reaction::Silence).await;
        let url = hubspot.url();
        let collector = Collector::start().await;
        let export = collector.settings();
        let mut settings: Vec<_> = export.iter().map(|(name, value)| (*name, &**value)).collect();
        settings.push(("HCS_HUBSPOT_URL", &*url));
        let service = ServiceProcess::start(&emulator, &verbose(format, &settings)).await;
        let mut observed = Observed::new(service).await.exporting_to(collector);
        hubspot.react(Reaction::Close);
        let id = observed.create("a success").await.unwrap().id;

        for field in ["client_id", "client_secret", "token"] {
            hubspot.decide(move |form| in_parts(&form.iter().find(|(name, _)| name == field).unwrap().1));
            let credentials = Some(credentials(PLAIN));
            let dry_run = CreateHubSpotConnectionRequest { validate_only: true, credentials, ..creation() };
            let what = format!("a dry run, {field} in parts");
            let shown = format!("{:?}", observed.send(&what, dry_run).await.unwrap());
            assert!(shown.contains("HubSpot accepts the refresh token"), "{shown}");
            for secret in PLAIN {
                assert!(!shown.contains(&secret[..7]), "{what}: {shown}");
            }
        }
        for ((status, active, code), echo) in &ways {
            let (status, active, code, echo) = (*status, *active, *code, *echo);
            let what = format!("{status} {active:?} {code} with {echo:?}");
            hubspot.decide(move |form| repeating(status, active, code, echo, form));
            let dry_run = CreateHubSpotConnectionRequest { validate_only: true, ..creation() };
            let before = hubspot.received().len();
            observed.send(&format!("a dry run, {what}"), dry_run).await.unwrap();
            assert_eq!(hubspot.received().len(), before + 2, "{what}");
            let rotation = UpdateHubSpotConnectionRequest {
                id: id.clone(),
                credentials: Some(credentials(OTHER_CREDENTIALS)),
                validate_only: true,
                ..UpdateHubSpotConnectionRequest::default()
            };
            let response = observed.client().update_hub_spot_connection(rotation).await;
            observed.note(&format!("a dry run of an update, {what}"), response).unwrap();
            let required = CreateHubSpotConnectionRequest {
                request_id: Uuid::new_v4().to_string(),
                verification: Verification::Require.into(),
                ..creation()
            };
            // Whether HubSpot refuses does not matter here.
            let _ = observed.send(&format!("a creation, {what}"), required).await;
        }
        for reaction in [reply(429, "retry-after: 1\r\nx-hubspot-x: 1\r\n", ""), Reaction::Close] {
            hubspot.react(reaction);
            let dry_run = CreateHubSpotConnectionRequest { validate_only: true, ..creation() };
            observed.send("a dry run without a reply", dry_run).await.unwrap();
        }

        let received = hubspot.received();
        let own = |name: &str, secret: &str| {
            let field: String =
                form_urlencoded::Serializer::new(String::new()).append_pair(name, secret).finish();
            received.iter().any(|request| request.contains(&field))
        };
        for [client_id, client_secret, access_token, refresh_token] in [CREDENTIALS, OTHER_CREDENTIALS] {
            let fields = [("client_id", client_id), ("client_secret", client_secret)];
            for (name, secret) in
                fields.into_iter().chain([("token", access_token), ("token", refresh_token)])
            {
                assert!(own(name, secret), "{name} did not arrive");
            }
        }
        let line = format!("POST {INTROSPECT} HTTP/1.1\r\n");
        assert!(received.iter().all(|request| request.starts_with(&line)), "nothing is in the URL");
        // A number is too short to be distinguished from chance.
        let plain = PLAIN.into_iter().filter(|secret| secret.parse::<u64>().is_err());
        let secrets = CREDENTIALS
            .into_iter()
            .chain(OTHER_CREDENTIALS)
            .chain(plain)
            .chain([ADOBE_SECRET])
            .map(str::to_owned);
        observed.end_without(secrets.chain(tokens(&emulator.received()))).await;
    }
}
