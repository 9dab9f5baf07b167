//! No secret leaks: neither in a response nor in the log, no matter what fails, at any log level.

mod callers;
mod dataflows;
mod echo_on_failure;
mod evidence;
mod hostile;
mod hubspot;
mod methods;
pub(crate) mod search;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use hubspot_connection_service::{
    emulator::{Emulator, Options, ReceivedRequest},
    proto::{self, HubSpotCredentials},
};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Request, metadata::MetadataValue};
use uuid::Uuid;

use self::{
    evidence::{ADOBE_SECRET, ADOBE_TOKEN, CREDENTIALS, Observed, creation},
    hostile::{ECHOES, ENCODED, Echo, FIELDS, Hostile},
};
use crate::support::{Process, ServiceProcess, collector::Collector, framed, inject, start_emulator, until};

const CREATE: &str = "POST /connections";
const TOKEN: &str = "POST /ims/token/v3";
const FORMATS: [&str; 2] = ["json", "text"];
/// The longest search for a lost connection, and the longest wait for a token.
const SHORT_TIMEOUT: (&str, &str) = ("HCS_REQUEST_TIMEOUT", "300ms");

/// The settings of every service here: it logs as much as it can.
fn verbose<'a>(format: &'a str, settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let verbose = [
        ("HCS_LOG", "trace"),
        ("HCS_LOG_FORMAT", format),
        ("HCS_CLIENT_SECRET", ADOBE_SECRET),
        ("NO_COLOR", "1"),
    ];
    [&verbose, settings].concat()
}

async fn start_canary_emulator() -> Emulator {
    let options = Options {
        client_secret: ADOBE_SECRET.to_owned(),
        access_token: ADOBE_TOKEN.to_owned(),
        ..Options::default()
    };
    start_emulator(options).await
}

/// The tokens of the received requests.
fn tokens(received: &[ReceivedRequest]) -> Vec<String> {
    let headers = received.iter().filter_map(|request| request.headers.get("authorization"));
    headers.map(|value| value.to_str().unwrap().trim_start_matches("Bearer ").to_owned()).collect()
}

/// Fails unless the upstream received every credential: otherwise the absence of leaks proves nothing.
fn assert_sent(bodies: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    let sent = bodies.into_iter().any(|body| {
        let body: Value = serde_json::from_slice(body.as_ref()).unwrap_or_default();
        let params = &body["auth"]["params"];
        let names = ["clientId", "clientSecret", "accessToken", "refreshToken"];
        names.into_iter().zip(CREDENTIALS).all(|(name, value)| params[name] == value)
    });
    assert!(sent, "the credentials did not arrive");
}

/// Each way in which a credential can be malformed.
fn malformed(secret: &str) -> [String; 9] {
    [
        format!(" {secret}"),
        format!("{secret}\n"),
        secret.replacen('-', " ", 1),
        format!("Bearer {secret}"),
        format!("bearer {secret}"),
        secret.repeat(4096 / secret.len() + 1),
        format!("{secret}\u{e9}"),
        format!("{secret}\0"),
        format!("{{\"clientSecret\": \"{secret}\"}}"),
    ]
}

#[tokio::test]
async fn malformed_requests_are_not_echoed() {
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let service = ServiceProcess::start(&emulator, &verbose(format, &[])).await;
        let mut observed = Observed::new(service).await;

        for variant in 0..9 {
            let [client_id, client_secret, access_token, refresh_token] =
                CREDENTIALS.map(|secret| malformed(secret)[variant].clone());
            let credentials = HubSpotCredentials { client_id, client_secret, access_token, refresh_token };
            let request =
                proto::CreateHubSpotConnectionRequest { credentials: Some(credentials), ..creation() };
            let status = observed.send("malformed credentials", request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "variant {variant}");
        }
        let secret = || CREDENTIALS[1].to_owned();
        let base = creation;
        for (what, request) in [
            ("a name", proto::CreateHubSpotConnectionRequest { name: format!("{}\0", secret()), ..base() }),
            ("a long name", proto::CreateHubSpotConnectionRequest { name: secret().repeat(9), ..base() }),
            (
                "a description",
                proto::CreateHubSpotConnectionRequest { description: secret().repeat(50), ..base() },
            ),
            ("a sandbox", proto::CreateHubSpotConnectionRequest { sandbox_name: secret(), ..base() }),
            ("a request id", proto::CreateHubSpotConnectionRequest { request_id: secret(), ..base() }),
            (
                "a large one",
                proto::CreateHubSpotConnectionRequest { description: secret().repeat(2000), ..base() },
            ),
        ] {
            observed.send(what, request).await.unwrap_err();
        }

        let message = creation().encode_to_vec();
        let json = json!({"name": secret(), "credentials": {"clientSecret": secret()}}).to_string();
        for (what, body) in [
            ("no message", Vec::new()),
            ("a message without a frame", message.clone()),
            ("half a message", framed(&message[..message.len() / 2])),
            ("a message of another type", framed(&[b"\x12\xff", &message[..]].concat())),
            ("a message in JSON", framed(json.as_bytes())),
            ("JSON", json.clone().into_bytes()),
            ("a message with the flag for compression", [&[1], &framed(&message)[1..]].concat()),
            ("a large message", framed(&message.repeat(400))),
        ] {
            observed.post(what, &[], body.clone()).await;
            observed.post(what, &[("content-type", "application/grpc+json")], body.clone()).await;
            observed.post(what, &[("content-type", "application/json")], body).await;
        }
        let encoded = STANDARD.encode(secret());
        observed
            .post(
                "credentials in headers",
                &[
                    ("authorization", &format!("Bearer {}", secret())),
                    ("x-hubspot-secret", &secret()),
                    ("x-hubspot-bin", &encoded),
                    ("user-agent", &secret()),
                    ("x-request-id", &secret()),
                    ("traceparent", &secret()),
                ],
                framed(&message),
            )
            .await;
        for name in ["grpc-timeout", "grpc-accept-encoding", "content-type"] {
            observed.post(name, &[(name, &secret())], framed(&message)).await;
        }
        let mut request = Request::new(creation());
        request.metadata_mut().insert("x-token", MetadataValue::try_from(secret()).unwrap());
        observed.send("credentials in metadata", request).await.unwrap();

        let received = emulator.received();
        assert_sent(received.iter().map(|request| &request.body));
        observed.end_without([&CREDENTIALS[..], &[ADOBE_SECRET]].concat()).await;
    }
}

#[tokio::test]
async fn no_failure_of_the_flow_service_leaks_a_secret() {
    for (format, http) in FORMATS.into_iter().zip(["http1", "http2"]) {
        let emulator = start_canary_emulator().await;
        let collector = Collector::start().await;
        let export = collector.settings();
        let mut settings: Vec<_> = export.iter().map(|(name, value)| (*name, &**value)).collect();
        settings.extend([("HCS_UPSTREAM_HTTP", http), SHORT_TIMEOUT]);
        let service = ServiceProcess::start(&emulator, &verbose(format, &settings)).await;
        let mut observed = Observed::new(service).await.exporting_to(collector);
        // A machine under load may take longer than this timeout.
        while observed.create("a success").await.is_err() {}

        let shapes = ["A", "B", "C", "D", "E", "empty", "html", "cut"];
        let responses = [400, 403, 404, 409, 422, 429, 500, 502, 503, 504].into_iter().flat_map(|status| {
            shapes.map(|shape| json!({"status": status, "shape": shape, "headers": {"retry-after": "0"}}))
        });
        let successes = shapes.map(|shape| json!({"status": 201, "shape": shape, "commit": true}));
        let closes = [json!({"close": "before_commit"}), json!({"close": "after_commit"})];
        for action in responses.chain(successes).chain(closes) {
            inject(&emulator, json!([{"route": CREATE, "action": action}]));
            // If the creation fails, only the output matters.
            let _ = observed.create(&action.to_string()).await;
        }

        let before = emulator.connections().len();
        inject(&emulator, json!([{"route": CREATE, "action": {"delay": "300ms"}}]));
        let body = framed(&creation().encode_to_vec());
        let code = observed.post("a short deadline", &[("grpc-timeout", "100m")], body).await;
        assert_eq!(code, Some(Code::DeadlineExceeded));
        until("the creation", || emulator.connections().len() > before).await;

        inject(&emulator, json!([{"route": CREATE, "count": 2, "action": {"status": 401, "shape": "D"}}]));
        let status = observed.create("two refused tokens").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);

        let received = emulator.received();
        assert_sent(received.iter().map(|request| &request.body));
        let tokens = tokens(&received);
        assert!(tokens.iter().any(|token| *token != tokens[0]), "there were at least two");
        let known = CREDENTIALS.map(str::to_owned).into_iter().chain([ADOBE_SECRET.to_owned()]);
        observed.end_without(known.chain(tokens)).await;
    }
}

#[tokio::test]
async fn no_failure_of_ims_leaks_a_secret() {
    for format in FORMATS {
        let wrong = Options { client_secret: "another".to_owned(), ..Options::default() };
        for (action, options) in [
            (json!(null), wrong),
            (json!({"status": 400, "shape": "A"}), Options::default()),
            (json!({"status": 429, "shape": "empty"}), Options::default()),
            (json!({"status": 500, "shape": "html"}), Options::default()),
            (json!({"status": 200, "shape": "html"}), Options::default()),
            (json!({"status": 200, "shape": "cut"}), Options::default()),
            (json!({"close": "before_commit"}), Options::default()),
        ] {
            let emulator = start_emulator(options).await;
            if !action.is_null() {
                inject(&emulator, json!([{"route": TOKEN, "count": 0, "action": action}]));
            }
            let service = ServiceProcess::start(&emulator, &verbose(format, &[SHORT_TIMEOUT])).await;
            let mut observed = Observed::new(service).await;
            observed.create(&action.to_string()).await.unwrap_err();
            observed.prints_text("no new Adobe access token").await;

            let received = emulator.received();
            let form = form_urlencoded::parse(&received[0].body);
            assert!(form.into_owned().any(|(_, value)| value == ADOBE_SECRET), "it did not arrive");
            observed.end_without([&CREDENTIALS[..], &[ADOBE_SECRET]].concat()).await;
        }
    }
}

#[tokio::test]
async fn a_ready_access_token_does_not_leak() {
    for format in FORMATS {
        let emulator = start_canary_emulator().await;
        let settings = [("HCS_CLIENT_SECRET", ""), ("HCS_ACCESS_TOKEN", ADOBE_TOKEN)];
        let service = ServiceProcess::start(&emulator, &verbose(format, &settings)).await;
        let mut observed = Observed::new(service).await;
        observed.create("a success").await.unwrap();
        inject(&emulator, json!([{"route": CREATE, "count": 2, "action": {"status": 401, "shape": "D"}}]));
        observed.create("a refused token").await.unwrap_err();
        let tokens = tokens(&emulator.received());
        assert!(tokens.len() == 3 && tokens.iter().all(|token| token == ADOBE_TOKEN), "{tokens:?}");
        observed.end_without([&CREDENTIALS[..], &[ADOBE_TOKEN]].concat()).await;
    }
}

#[tokio::test]
async fn a_flow_service_that_echoes_the_request_is_not_quoted() {
    for format in FORMATS {
        let hostile = Hostile::start(None, ADOBE_TOKEN).await;
        let upstream = hostile.settings();
        let collector = Collector::start().await;
        let export = collector.settings();
        let upstream = upstream.iter().map(|(name, value)| (*name, &**value));
        let export = export.iter().map(|(name, value)| (*name, &**value));
        let settings: Vec<_> = upstream.chain(export).chain([SHORT_TIMEOUT]).collect();
        let service = ServiceProcess::with(&verbose(format, &settings)).await;
        let mut observed = Observed::new(service).await.exporting_to(collector);
        // The fields are read in the same way for every status.
        let everywhere = FIELDS.into_iter().flat_map(|field| ECHOES.map(|echo| (400, field, echo)));
        let other_statuses = [403, 404, 422, 429, 500, 503]
            .into_iter()
            .flat_map(|status| ["headers", "message"].map(|field| (status, field, Echo::Credentials)));
        let encoded = ENCODED.into_iter().flat_map(|echo| {
            [("errorMessage", 400), ("report.detailed-message", 422), ("headers", 400)]
                .map(|(field, status)| (status, field, echo))
        });
        for (status, field, echo) in everywhere.chain(other_statuses).chain(encoded) {
            hostile.respond_with(StatusCode::from_u16(status).unwrap(), field, echo);
            observed.create(&format!("{status} with {echo:?} in {field}")).await.unwrap_err();
        }
        for echo in ECHOES {
            hostile.respond_with(StatusCode::CREATED, "id and etag", echo);
            observed.create(&format!("201 with {echo:?}")).await.unwrap_err();
        }
        for field in ["etag", "message"] {
            hostile.respond_with(StatusCode::CREATED, field, Echo::Body);
            observed.create("201 with the body").await.unwrap_err();
        }
        hostile.respond_with(StatusCode::UNAUTHORIZED, "message", Echo::Authorization);
        observed.create("401").await.unwrap_err();

        // With a request id of the caller, a list comes first.
        for (status, field, echo) in [(400, "message", Echo::Credentials), (403, "detail", Echo::Parts)] {
            hostile.respond_with(StatusCode::from_u16(status).unwrap(), field, echo);
            let request_id = Uuid::new_v4().to_string();
            let request = proto::CreateHubSpotConnectionRequest { request_id, ..creation() };
            observed.send("a search that fails", request).await.unwrap_err();
        }

        let arrived = hostile.arrived();
        assert_sent(arrived.iter().map(|request| &request.body));
        assert!(arrived.iter().any(|request| request.authorization == format!("Bearer {ADOBE_TOKEN}")));
        observed.end_without([&CREDENTIALS[..], &[ADOBE_SECRET, ADOBE_TOKEN]].concat()).await;
    }
}

#[tokio::test]
async fn an_ims_that_echoes_the_request_is_not_quoted() {
    for format in FORMATS {
        for status in [200, 400, 401, 403, 429, 500].map(|status| StatusCode::from_u16(status).unwrap()) {
            // Also a secret that looks like an error code.
            for secret in [ADOBE_SECRET, "lower_case_and_underscores_only_as_oauth_error_codes_are"] {
                let hostile = Hostile::start(Some(status), ADOBE_TOKEN).await;
                let upstream = hostile.settings();
                let mut settings: Vec<_> = upstream.iter().map(|(name, value)| (*name, &**value)).collect();
                settings.push(("HCS_CLIENT_SECRET", secret));
                let service =
                    ServiceProcess::with(&verbose(format, &[&settings[..], &[SHORT_TIMEOUT]].concat())).await;
                let mut observed = Observed::new(service).await;
                observed.create(&format!("{status} of IMS")).await.unwrap_err();
                observed.prints_text("no new Adobe access token").await;

                let arrived = hostile.arrived();
                let form = form_urlencoded::parse(arrived[0].body.as_bytes());
                assert!(form.into_owned().any(|(_, value)| value == secret), "it did not arrive");
                observed.end_without([&CREDENTIALS[..], &[secret]].concat()).await;
            }
        }
    }
}

#[tokio::test]
async fn a_rejected_configuration_does_not_leak() {
    let spaced = format!("{ADOBE_SECRET} {ADOBE_TOKEN}");
    for settings in [
        &[("HCS_CLIENT_SECRET", ADOBE_SECRET), ("HCS_ACCESS_TOKEN", ADOBE_TOKEN)][..],
        &[("HCS_CLIENT_SECRET", &spaced)],
        &[("HCS_CLIENT_SECRET_FILE", &spaced)],
        &[("HCS_ACCESS_TOKEN", &spaced)],
    ] {
        let (status, output) = Process::run(&[], settings).await;
        assert_eq!(status.code(), Some(64), "{output:?}");
        let search = search::Search::new([ADOBE_SECRET, ADOBE_TOKEN]);
        search.assert_absent("the output", &output.bytes());
    }
}
