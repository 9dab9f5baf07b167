//! The texts of failed runs, which come from Adobe, the connector and HubSpot: cleaned, cut and without credentials.

use hubspot_connection_service::{
    emulator::{Options, Outcome, PlannedRun},
    proto::{HubSpotCredentials, HubSpotDataflowRun, ListHubSpotDataflowRunsRequest},
};
use prost::Message;

use super::{Setup, client, creation, runs::of};
use crate::support::{ServiceProcess, request, start_emulator};

/// Credentials in the forms that HubSpot issues.
const CREDENTIALS: [&str; 4] = [
    "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7",
    "2b7d1a94-c3e5-4f60-8a17-90d2f4b6c8e1",
    "CJTa9sKVMBIQAQMAAAAAAEgAAAAAAAAg2uHtCyDq",
    "na1-4c8d-91e2-7f0a6b3c5d1e9f8a",
];

impl Setup {
    /// Makes a run that fails with this text, and returns it.
    async fn failed_with(&mut self, id: &str, text: &str) -> HubSpotDataflowRun {
        let planned =
            PlannedRun { message: Some(text.to_owned()), ..PlannedRun::once(id, Outcome::FailedCopy) };
        self.run(planned).await;
        self.runs(of(id)).await.unwrap().0.remove(0)
    }
}

#[tokio::test]
async fn a_text_is_on_one_line_and_cut_in_the_middle() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    let run = setup.failed_with(&id, "the\ncopy\r\n\tfailed\u{1b}[31m\0").await;
    assert!(run.errors.iter().all(|error| error.message == "the copy failed [31m"), "{run:?}");
    let long = format!("begin {} end", "some words ".repeat(2000));
    let run = setup.failed_with(&id, &long).await;
    for error in &run.errors {
        let text = &error.message;
        assert!(text.starts_with("begin") && text.ends_with("end") && text.len() <= 500, "{text}");
    }
}

#[tokio::test]
async fn a_copy_that_fails_for_another_reason_does_not_blame_the_credentials() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    for (text, is_suspected) in [
        ("HubSpot: 401 Unauthorized", true),
        ("the refresh token is invalid, expired or revoked", true),
        ("the copy failed", true),
        ("HubSpot: 429, you have reached your secondly limit", false),
        ("the read timed out", false),
        ("Hubspot.Contacts does not exist", false),
    ] {
        let run = setup.failed_with(&id, text).await;
        let is_shown = run.errors.iter().any(|error| error.credentials_suspected);
        assert_eq!(is_shown, is_suspected, "{text}: {run:?}");
    }
}

#[tokio::test]
async fn a_text_that_repeats_secrets_shows_none_of_them() {
    let emulator = start_emulator(Options::default()).await;
    let settings = [("HCS_LOG", "trace"), ("HCS_LOG_FORMAT", "text"), ("NO_COLOR", "1")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let [client_id, client_secret, access_token, refresh_token] = CREDENTIALS.map(str::to_owned);
    let credentials = Some(HubSpotCredentials { client_id, client_secret, access_token, refresh_token });
    let connection = service
        .client()
        .await
        .create_hub_spot_connection(hubspot_connection_service::proto::CreateHubSpotConnectionRequest {
            credentials,
            ..request()
        })
        .await
        .unwrap()
        .into_inner()
        .id;
    let mut caller = client(service.grpc).await;
    let id =
        caller.create_hub_spot_dataflow(creation(&connection, "Contacts")).await.unwrap().into_inner().id;
    // The token of Adobe's that the service uses.
    let received = emulator.received();
    let authorization = received.last().unwrap().headers["authorization"].to_str().unwrap();
    let adobe = authorization.trim_start_matches("Bearer ").to_owned();
    let secrets: Vec<_> = CREDENTIALS[1..].iter().copied().chain([&*adobe]).collect();
    let encode = |secret: &str| secret.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    for secret in &secrets {
        for text in [
            format!("HubSpot: 401 Unauthorized with {secret}."),
            format!("Bearer {secret}"),
            format!("Authorization=Bearer%20{secret}&x"),
            format!("{{\"access_token\":\"{secret}\"}}"),
            format!("clientSecret={secret};refreshToken={secret}"),
            format!("{}{secret}{}", "word ".repeat(60), " word".repeat(400)),
            encode(secret),
        ] {
            for outcome in [Outcome::FailedCopy, Outcome::Partial, Outcome::FailedIngest] {
                let planned = PlannedRun { message: Some(text.clone()), ..PlannedRun::once(&id, outcome) };
                emulator.make_runs(&[planned]).unwrap();
            }
        }
    }
    let (mut runs, mut page_token) = (Vec::new(), String::new());
    loop {
        let list = ListHubSpotDataflowRunsRequest { page_size: 100, page_token, ..of(&id) };
        let listed = caller.list_hub_spot_dataflow_runs(list).await.unwrap().into_inner();
        runs.extend(listed.runs);
        page_token = listed.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(runs.len(), 4 * 7 * 3);
    assert!(runs.iter().all(|run| !run.errors.is_empty()));
    let get = hubspot_connection_service::proto::GetHubSpotDataflowRequest { id, ..Default::default() };
    let read = caller.get_hub_spot_dataflow(get).await.unwrap().into_inner();
    let (_, output) = service.stop().await;
    let log = output.bytes();
    assert!(!log.is_empty());
    let shown: Vec<u8> =
        runs.iter().flat_map(Message::encode_to_vec).chain(read.encode_to_vec()).chain(log).collect();
    let shown = String::from_utf8_lossy(&shown);
    for secret in &secrets {
        for form in [(*secret).to_owned(), encode(secret)] {
            assert!(!shown.contains(&form), "{form}");
        }
        // Nor most of one.
        let half = &secret[..secret.len() * 2 / 3];
        assert!(!shown.contains(half), "{half}");
    }
}
