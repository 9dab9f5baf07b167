//! One request makes one connection, from the point of view of callers.

mod lost;
mod store;

use hubspot_connection_service::{
    emulator::ORG_ID,
    proto::{CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse},
};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    chaos::redis::SharedRedis,
    support::{FINGERPRINT_KEY, Failure, TestService, in_time, request_with_id},
};

const CREATE: &str = "POST /connections";
const LIST: &str = "GET /connections";

/// Every list belongs to a search for a lost creation.
pub(crate) const NO_SEARCH_FIRST: (&str, &str) = ("HCS_SEARCH_FIRST", "never");

/// The settings of a service with this store.
fn shared(redis: &SharedRedis) -> [(&'static str, &str); 2] {
    [("HCS_REDIS_URL", redis.url()), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY)]
}

/// The key of the record of a request.
fn record(request: &CreateHubSpotConnectionRequest) -> String {
    format!("hcs:{{{ORG_ID}}}:request:{}", request.request_id)
}

/// Retries a request until its outcome is known.
pub(crate) async fn retry_until_known(
    service: &TestService,
    request: &CreateHubSpotConnectionRequest,
) -> Result<CreateHubSpotConnectionResponse, Failure> {
    in_time("the outcome", async {
        loop {
            match service.send(request.clone()).await {
                Err(failure) if failure.reason == "OUTCOME_UNKNOWN" => {}
                outcome => return outcome,
            }
        }
    })
    .await
}

/// A creation whose reply is lost, and whose search fails.
fn lost_for_good(commit: bool) -> Value {
    let close = if commit { "after_commit" } else { "before_commit" };
    json!([
        {"route": CREATE, "action": {"close": close}},
        {"route": LIST, "count": 0, "action": {"status": 503, "shape": "empty"}},
    ])
}

#[tokio::test]
async fn a_retry_gets_the_first_response_even_when_the_connection_is_gone() {
    let service = TestService::start().await;
    let request = request_with_id();
    let first = service.send(request.clone()).await.unwrap();
    assert_eq!((&first.request_id, first.replayed), (&request.request_id, false));

    let upper_case = CreateHubSpotConnectionRequest {
        request_id: request.request_id.to_uppercase(),
        sandbox_name: "prod".to_owned(),
        ..request.clone()
    };
    for retried in [request.clone(), upper_case] {
        let retried = service.send(retried).await.unwrap();
        assert_eq!((&retried.id, &retried.etag, retried.replayed), (&first.id, &first.etag, true));
    }
    service.emulator.reset();
    assert_eq!(service.send(request).await.unwrap().id, first.id);
    assert_eq!(service.requests_to("POST", "/connections"), 0, "not since the reset");
}

#[tokio::test]
async fn a_request_id_with_other_content_is_refused() {
    let service = TestService::start().await;
    let request = request_with_id();
    let created = service.send(request.clone()).await.unwrap();
    let mut other_secret = request.clone();
    other_secret.credentials.as_mut().unwrap().client_secret = "another".to_owned();
    let other_name = CreateHubSpotConnectionRequest { name: "another".to_owned(), ..request.clone() };
    let no_description = CreateHubSpotConnectionRequest { description: String::new(), ..request.clone() };
    // An id names one creation in the organization.
    let elsewhere = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..request.clone() };
    for (other, differs) in [
        (other_name.clone(), "name"),
        (no_description, "description"),
        (other_secret.clone(), "credentials.client_secret"),
        (elsewhere, "sandbox_name"),
        (
            CreateHubSpotConnectionRequest { name: other_name.name, ..other_secret },
            "name,credentials.client_secret",
        ),
    ] {
        let failure = service.send(other).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
        assert_eq!(failure.metadata("request_id"), request.request_id);
        assert_eq!(failure.metadata("differs"), differs);
        assert_eq!(failure.metadata("connection_id"), created.id);
        assert!(failure.message.contains("UpdateHubSpotConnection"), "{failure:?}");
    }
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn a_request_id_is_refused_after_the_default_sandbox_has_changed() {
    let Some(redis) = SharedRedis::start().await else { return };
    let shared = shared(&redis);
    let service = TestService::with(shared).await;
    let request = request_with_id();
    let created = service.send(request.clone()).await.unwrap();
    let emulator = service.emulator.clone();
    service.stop().await;

    let service = TestService::against(emulator, [shared[0], shared[1], ("HCS_SANDBOX", "dev")]).await;
    let failure = service.send(request).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(failure.metadata("differs"), "sandbox_name");
    assert_eq!(failure.metadata("connection_id"), created.id);
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn a_retry_may_have_a_fresh_access_token() {
    let service = TestService::start().await;
    let request = request_with_id();
    let created = service.send(request.clone()).await.unwrap();
    let mut refreshed = request;
    refreshed.credentials.as_mut().unwrap().access_token = "another-access-token".to_owned();
    let retried = service.send(refreshed).await.unwrap();
    assert_eq!((retried.id, retried.replayed), (created.id, true));
}

#[tokio::test]
async fn callers_that_share_a_creation_have_their_own_deadlines() {
    let slow_token = json!([{"route": "POST /ims/token/v3", "action": {"delay": "1s"}}]);
    let service = TestService::with_faults(slow_token, []).await;
    let request = request_with_id();
    let (short, long) = tokio::join!(service.send_within(&request, "500m"), service.send(request.clone()));
    assert_eq!(short.code, Code::DeadlineExceeded);
    assert_eq!(long.unwrap().request_id, request.request_id);
    assert_eq!(service.requests_to("POST", "/connections"), 1);
}

#[tokio::test]
async fn concurrent_calls_with_one_request_id_create_one_connection() {
    let service = TestService::start().await;
    service.inject(json!([{"route": CREATE, "action": {"delay": "500ms"}}]));
    let request = request_with_id();
    let calls = (0..10).map(|_| service.send(request.clone()));
    let responses = futures_util::future::join_all(calls).await;
    let ids: std::collections::BTreeSet<_> =
        responses.iter().map(|response| &response.as_ref().unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(responses.iter().filter(|response| !response.as_ref().unwrap().replayed).count(), 1);
    assert_eq!(service.requests_to("POST", "/connections"), 1);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let service = TestService::start().await;
    service.inject(json!([{"route": CREATE, "action": {"status": 400, "shape": "A", "code": "1999"}}]));
    let request = request_with_id();
    let failure = service.send(request.clone()).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "UPSTREAM_REJECTED"));
    let mut corrected = request;
    corrected.description = "corrected".to_owned();
    assert!(!service.send(corrected).await.unwrap().replayed);
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_anything_is_sent_creates_nothing() {
    let slow_token = json!([{"route": "POST /ims/token/v3", "action": {"delay": "700ms"}}]);
    let service = TestService::with_faults(slow_token, []).await;
    let failure = service.create_within("200m").await;
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("adobe_token", "false"));
    // Once another call gets the token, the first creation would have been sent, too.
    service.create().await.unwrap();
    let emulator = service.emulator.clone();
    service.stop().await;
    assert_eq!(emulator.connections().len(), 1);
}

#[tokio::test]
async fn equal_names_are_created_side_by_side() {
    let service = TestService::with([NO_SEARCH_FIRST]).await;
    service.inject(json!([
        {"route": CREATE, "action": {"close": "before_commit"}},
        {"route": LIST, "count": 0, "action": {"delay": "30s"}},
    ]));
    let lost = request_with_id();
    let same_name = CreateHubSpotConnectionRequest { request_id: String::new(), ..lost.clone() };
    assert_eq!(service.send_within(&lost, "900m").await.code, Code::DeadlineExceeded);
    service.send(same_name).await.unwrap();
}
