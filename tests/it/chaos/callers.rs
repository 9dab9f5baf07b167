//! Callers that want connections: patient ones and naive ones.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use futures_util::{StreamExt as _, stream};
use hubspot_connection_service::{
    emulator::Emulator,
    proto::{
        CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, HubSpotCredentials,
        hub_spot_connection_service_client::HubSpotConnectionServiceClient,
    },
};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::replicas::Replicas;
use crate::support::{Failure, post_upstream, request};

/// The number of concurrent calls.
const CALLERS: usize = 20;
/// The time limit of one call.
const CALL: Duration = Duration::from_secs(5);
/// The longest pause between two calls, whatever the response asks for, …
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// … and the pause after a call without a response.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// The reasons that a caller with a request id may receive in the meantime.
pub(super) const RETRYABLE: [&str; 8] = [
    "BREAKER_OPEN",
    "DEADLINE_EXCEEDED",
    "OUTCOME_UNKNOWN",
    // The only response here that forbids a retry: two tokens in a row were refused.
    "PLATFORM_CREDENTIALS_REJECTED",
    "REQUEST_IN_PROGRESS",
    "STORE_UNAVAILABLE",
    "UPSTREAM_THROTTLED",
    "UPSTREAM_UNAVAILABLE",
];

/// The reasons of the failed calls.
pub(super) type Refusals = Mutex<BTreeMap<String, usize>>;

/// Requests, each with its own id, name and credentials.
pub(super) fn requests(count: usize) -> Vec<CreateHubSpotConnectionRequest> {
    let canary = |kind: &str| format!("CANARY/{kind}+{:X}", Uuid::new_v4().simple());
    let requests = (0..count).map(|_| CreateHubSpotConnectionRequest {
        request_id: Uuid::new_v4().to_string(),
        credentials: Some(HubSpotCredentials {
            client_id: canary("CLIENT-ID"),
            client_secret: canary("CLIENT-SECRET"),
            access_token: canary("ACCESS-TOKEN"),
            refresh_token: canary("REFRESH-TOKEN"),
        }),
        ..request()
    });
    requests.collect()
}

/// Creates all of them, each by a caller that retries with its id until it has a connection. Returns the
/// responses, and the reasons of the failed calls.
pub(super) async fn create_all(
    replicas: &Replicas<'_>,
    requests: &[CreateHubSpotConnectionRequest],
) -> (Vec<CreateHubSpotConnectionResponse>, BTreeMap<String, usize>) {
    let refusals = Refusals::default();
    let calls = requests
        .iter()
        .enumerate()
        .map(async |(index, request)| (index, create(replicas, request, &refusals).await));
    let mut responses: Vec<_> = stream::iter(calls).buffer_unordered(CALLERS).collect().await;
    responses.sort_by_key(|(index, _)| *index);
    let responses = responses.into_iter().map(|(_, response)| response).collect();
    (responses, refusals.into_inner().unwrap())
}

async fn create(
    replicas: &Replicas<'_>,
    request: &CreateHubSpotConnectionRequest,
    refusals: &Refusals,
) -> CreateHubSpotConnectionResponse {
    loop {
        let (reason, pause) = match call(replicas, request).await {
            Some(Ok(response)) => return response,
            Some(Err(status)) => reason_and_pause(status),
            None => ("NO_REPLICA".to_owned(), PAUSE),
        };
        *refusals.lock().unwrap().entry(reason).or_default() += 1;
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

/// Calls one of the replicas, if any is running.
pub(super) async fn call(
    replicas: &Replicas<'_>,
    request: &CreateHubSpotConnectionRequest,
) -> Option<Result<CreateHubSpotConnectionResponse, Status>> {
    let mut client = HubSpotConnectionServiceClient::new(replicas.any()?);
    let mut call = tonic::Request::new(request.clone());
    call.set_timeout(CALL);
    let response = timeout(CALL * 2, client.create_hub_spot_connection(call)).await;
    let response = response
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("the client does not enforce the deadline")));
    Some(response.map(tonic::Response::into_inner))
}

/// The reason of an error, and the pause before the next call.
fn reason_and_pause(status: Status) -> (String, Duration) {
    if status.get_error_details().error_info().is_none() {
        // Every error of the service has a reason: this call did not reach it.
        return (format!("transport: {:?}", status.code()), PAUSE);
    }
    let failure = Failure::from(status);
    assert!(RETRYABLE.contains(&&*failure.reason), "{failure:?}");
    let pause = failure.retry_after.unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE);
    (failure.reason, pause)
}

/// Creates all of them by callers of the Flow Service that retry the POST until one succeeds.
pub(super) async fn naively_post_all(emulator: &Emulator, requests: &[CreateHubSpotConnectionRequest]) {
    let client = reqwest::Client::builder().timeout(CALL).no_proxy().build().unwrap();
    let client = &client;
    let calls = requests.iter().map(|request| async move {
        while !naively_post(client, emulator, request).await {
            sleep(PAUSE).await;
        }
    });
    stream::iter(calls).buffer_unordered(CALLERS).collect::<()>().await;
}

async fn naively_post(
    client: &reqwest::Client,
    emulator: &Emulator,
    request: &CreateHubSpotConnectionRequest,
) -> bool {
    let Ok(response) = post_upstream(client, emulator, request).await else { return false };
    let is_success = response.status().is_success();
    let body = response.bytes().await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    is_success && body["id"].is_string()
}
