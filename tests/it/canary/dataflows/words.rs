//! Words of HubSpot and of Data Prep that the service quotes: in errors, in violations and in runs.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode};
use hubspot_connection_service::{
    emulator::{Options, Outcome, PlannedRun},
    proto::{
        self, CreateHubSpotConnectionRequest, HubSpotCredentials,
        hub_spot_dataflow_service_client::HubSpotDataflowServiceClient,
    },
};
use serde_json::{Value, json};

use super::{
    TIMEOUT, assert_records_without,
    upstream::{issued, kind, settings},
};
use crate::{
    canary::{
        FORMATS,
        evidence::{ADOBE_SECRET, Observed, creation as connection},
        hostile::{ENCODED, Echo, json_response},
        verbose,
    },
    chaos::redis::SharedRedis,
    dataflow_calls::creation,
    support::{
        FINGERPRINT_KEY, ServiceProcess,
        collector::Collector,
        replacing_proxy::{Fate, ReplacingProxy},
        start_emulator,
    },
};

/// A token in the form that IMS issues.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsIng1dSI6Imltc19uYTEta2V5LWF0LTEuY2VyIn0.eyJpZCI6IjE3MTI2NTQ0MjEwNTZfYzRjN2E1ZDEtOWYyYiJ9.QmF5ZXMtc2lnLTAxMjM0NTY3ODktYWJjZGVm";
/// Credentials in the forms that HubSpot issues. The first one is shown on purpose.
const CREDENTIALS: [&str; 4] = [
    "8f1f6c0e-52a1-4d0e-9d53-6d1fb1d3e2a7",
    "2b7d1a94-c3e5-4f60-8a17-90d2f4b6c8e1",
    "CJTa9sKVMBIQAQMAAAAAAEgAAAAAAAAg2uHtCyDq",
    "na1-4c8d-91e2-7f0a6b3c5d1e9f8a",
];
const FLOWS: &str = "POST /flowservice/flows";
const SOURCES: &str = "POST /flowservice/sourceConnections";
const EXPLORE: &str = "GET /flowservice/connections/{id}/explore";
const VALIDATE: &str = "POST /conversion/mappingSets/validate";

/// The kind of requests that get a reply with a text.
type Said = Option<(&'static str, String)>;

fn reply(said: &Said, request: &Request<Bytes>) -> Option<Fate> {
    let (kind, text) = said.as_ref().filter(|(said, _)| *said == kind(request))?;
    let (status, body) = if *kind == VALIDATE {
        let set: Value = serde_json::from_slice(request.body()).unwrap();
        let wrong = json!({"status": "FAILED", "errors": [{"message": text}]});
        let wrong = set["mappings"].as_array()?.iter().map(|_| &wrong);
        (200, json!({"validationResponse": wrong.collect::<Vec<_>>()}))
    } else {
        let report = json!({"detailed-message": text});
        let kind = "https://ns.adobe.com/aep/errors/CONN-1105-400";
        let legacy = json!({"type": kind, "report": report, "errorMessage": text, "errorDetails": text});
        (400, legacy)
    };
    Some(Fate::Answered(json_response(StatusCode::from_u16(status).unwrap(), &body, None)))
}

#[tokio::test]
async fn no_words_of_others_about_a_dataflow_show_a_credential() {
    for format in FORMATS {
        let options = Options {
            client_secret: ADOBE_SECRET.to_owned(),
            access_token: TOKEN.to_owned(),
            ..Options::default()
        };
        let (emulator, said) = (start_emulator(options).await, Arc::<Mutex<Said>>::default());
        let shared = Arc::clone(&said);
        let proxy = ReplacingProxy::start(&emulator, move |request| {
            let replaced = issued(TOKEN, request).or_else(|| reply(&shared.lock().unwrap(), request));
            replaced.unwrap_or(Fate::Forwarded)
        });
        let (urls, redis) = (settings(&proxy.await), SharedRedis::start().await);
        let collector = Collector::start().await;
        let export = collector.settings();
        let settings = urls.iter().chain(&export).map(|(name, value)| (*name, &**value));
        let mut settings: Vec<_> = settings.chain([TIMEOUT]).collect();
        if let Some(redis) = &redis {
            settings.extend([("HCS_REDIS_URL", redis.url()), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY)]);
        }
        let service = ServiceProcess::with(&verbose(format, &settings)).await;
        let mut client = HubSpotDataflowServiceClient::new(service.channel().await);
        let mut observed = Observed::new(service).await.exporting_to(collector);
        let [client_id, client_secret, access_token, refresh_token] = CREDENTIALS.map(str::to_owned);
        let credentials = Some(HubSpotCredentials { client_id, client_secret, access_token, refresh_token });
        let request = CreateHubSpotConnectionRequest { credentials, ..connection() };
        let connection = observed.send("a connection", request).await.unwrap().id;
        let created = client.create_hub_spot_dataflow(creation(&connection, "Contacts")).await;
        let id = observed.note("a dataflow", created).unwrap().id;

        let secrets = || CREDENTIALS.into_iter().skip(1).chain([ADOBE_SECRET, TOKEN]);
        let quoted: Vec<_> = secrets().filter(|secret| *secret != ADOBE_SECRET).collect();
        for (number, echo) in [Echo::Credentials, Echo::Parts].into_iter().chain(ENCODED).enumerate() {
            let text = format!("HubSpot: 401 Unauthorized ({})", echo.encoded(&quoted));
            for kind in [EXPLORE, SOURCES, FLOWS, VALIDATE] {
                *said.lock().unwrap() = Some((kind, text.clone()));
                let request = creation(&connection, &format!("Contacts {number} {kind}"));
                let what = format!("{echo:?} in {kind}");
                let failed = client.create_hub_spot_dataflow(request).await;
                let failure = observed.note(&what, failed).unwrap_err();
                assert!(failure.message().contains("[redacted]"), "{what}: {failure:?}");
                assert!(failure.message().contains("Unauthorized"), "{what}: {failure:?}");
            }
            for outcome in [Outcome::FailedCopy, Outcome::Partial, Outcome::FailedIngest] {
                let run = PlannedRun { message: Some(text.clone()), ..PlannedRun::once(&id, outcome) };
                emulator.make_runs(&[run]).unwrap();
            }
            let of = id.clone();
            let request =
                proto::ListHubSpotDataflowRunsRequest { id: of.clone(), page_size: 3, ..Default::default() };
            let runs = client.list_hub_spot_dataflow_runs(request).await;
            let runs = observed.note(&format!("runs with {echo:?}"), runs).unwrap().runs;
            let mut errors = runs.iter().flat_map(|run| &run.errors);
            assert!(errors.all(|error| error.message.contains("[redacted]")), "{runs:?}");
            let get = proto::GetHubSpotDataflowRequest { id: of, ..Default::default() };
            let read = client.get_hub_spot_dataflow(get).await;
            observed.note("the last run", read).unwrap();
        }
        drop(client);
        observed.end_without(secrets()).await;
        if let Some(redis) = redis {
            assert_records_without(&redis, secrets()).await;
        }
    }
}
