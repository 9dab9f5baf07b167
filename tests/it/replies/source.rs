//! Errors of the source behind one connection: they affect only that connection.

use std::time::Duration;

use hubspot_connection_service::proto::{CreateHubSpotConnectionRequest, Verification, check::State};
use serde_json::{Value, json};
use tonic::Code;

use super::{CREATE, DELETE, EXPLORE, GET, TEST, UPDATE, assert_nothing_is_shared, call};
use crate::{
    diagnosis::{self, FAILED, states},
    support::{TestService, request},
};

/// The routes about one existing connection.
const ROUTES: [&str; 5] = [GET, TEST, EXPLORE, UPDATE, DELETE];

/// Too short to wait as long as a source asks for.
const SHORT_TIMEOUT: (&str, &str) = ("HCS_REQUEST_TIMEOUT", "5s");

fn source_error(status: u16, code: &str) -> Value {
    json!({"status": status, "code": code, "headers": {"retry-after": "40"}})
}

#[tokio::test]
async fn no_reply_of_a_source_affects_other_calls() {
    let replies = [
        (401, "CONN-1105"),
        (401, "CONNECTOR-2000"),
        (400, "CONN-2115"),
        (403, "CONN-2120"),
        (404, "CONN-1439"),
        (412, "CONN-1404"),
        (429, "CONN-1429"),
        (500, "CONN-1102"),
        (503, "CONNECTOR-1103"),
        (504, "CONNECTOR-1012"),
    ];
    for route in ROUTES {
        let service = TestService::with([SHORT_TIMEOUT]).await;
        let id = service.create().await.unwrap().id;
        for (status, code) in replies {
            service.inject(json!([{"route": route, "count": 0, "action": source_error(status, code)}]));
            for _ in 0..2 {
                let _ = call(&service, route, &id).await;
            }
        }
        service.inject(json!([]));
        assert_nothing_is_shared(&service, &id, route).await;
    }
}

#[tokio::test]
async fn a_source_without_a_code_is_one_where_the_source_is_asked() {
    for route in [TEST, EXPLORE] {
        let service = TestService::start().await;
        let id = service.create().await.unwrap().id;
        for (status, shape) in [(401, "B"), (403, "B"), (401, "E")] {
            let action = json!({"status": status, "shape": shape});
            service.inject(json!([{"route": route, "count": 0, "action": action}]));
            let _ = call(&service, route, &id).await;
        }
        service.inject(json!([]));
        assert_nothing_is_shared(&service, &id, route).await;
    }
}

#[tokio::test]
async fn a_slow_source_opens_no_breaker() {
    let service = TestService::with([("HCS_ATTEMPT_TIMEOUT", "150ms"), ("HCS_CREATE_TIMEOUT", "5s")]).await;
    let id = service.create().await.unwrap().id;
    let slow = json!({"delay": "30s"});
    service.inject(json!([
        {"route": TEST, "count": 0, "action": slow},
        {"route": EXPLORE, "count": 0, "action": slow},
    ]));
    for route in [TEST, EXPLORE, TEST] {
        let failure = call(&service, route, &id).await.unwrap_err();
        assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    }
    service.inject(json!([]));
    assert_nothing_is_shared(&service, &id, "slow").await;
}

#[tokio::test]
async fn the_error_names_the_source_and_what_to_do() {
    let rejected = (Code::InvalidArgument, "UPSTREAM_REJECTED");
    let throttled = (Code::ResourceExhausted, "UPSTREAM_THROTTLED");
    let failing = (Code::Unavailable, "UPSTREAM_UNAVAILABLE");
    let service = TestService::with([SHORT_TIMEOUT]).await;
    let id = service.create().await.unwrap().id;
    for route in [GET, EXPLORE, UPDATE, DELETE] {
        let is_change = route == UPDATE || route == DELETE;
        for (status, row) in [
            (400, rejected),
            (401, rejected),
            (403, rejected),
            (404, rejected),
            (429, throttled),
            (503, if is_change { (Code::Unavailable, "OUTCOME_UNKNOWN") } else { failing }),
        ] {
            let action = source_error(status, "CONN-1105");
            service.inject(json!([{"route": route, "count": 0, "action": action}]));
            let failure = call(&service, route, &id).await.unwrap_err();
            assert_eq!(failure.row(), row, "{route} {status}");
            assert_eq!(failure.metadata("upstream_code"), format!("CONN-1105-{status}"));
            assert_eq!(failure.metadata("upstream_status"), status.to_string());
            assert!(!failure.message.contains("operator"), "{failure:?}");
            assert!(!failure.message.contains("Manage Sources"), "{failure:?}");
            if row == throttled {
                assert_eq!(failure.retry_after, Some(Duration::from_secs(40)));
            }
            if row == rejected || row == failing {
                assert!(failure.message.contains("source"), "{failure:?}");
                assert!(failure.message.contains("UpdateHubSpotConnection"), "{failure:?}");
                assert!(failure.message.contains("TestHubSpotConnection"), "{failure:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_test_reports_the_error_of_the_source() {
    let service = TestService::with([SHORT_TIMEOUT]).await;
    let id = service.create().await.unwrap().id;
    for (route, check) in [(GET, 2), (TEST, 3), (EXPLORE, 4)] {
        for status in [400, 401, 403, 500, 503] {
            let action = source_error(status, "CONN-1105");
            service.inject(json!([{"route": route, "count": 0, "action": action}]));
            let result = diagnosis::test(&service, &id).await.unwrap();
            let states = states(&result);
            assert_eq!(states[check], FAILED, "{route} {status} {result:?}");
            assert!(states[..check].iter().all(|state| *state == State::Passed), "{result:?}");
            let message = &result.checks[check].message;
            assert!(message.contains(&format!("CONN-1105-{status}")), "{message}");
            assert!(message.contains("UpdateHubSpotConnection"), "{message}");
        }
        // A throttle is no verdict on the connection.
        let action = source_error(429, "CONN-1105");
        service.inject(json!([{"route": route, "count": 0, "action": action}]));
        match diagnosis::test(&service, &id).await {
            Err(failure) => assert_eq!(failure.row(), (Code::ResourceExhausted, "UPSTREAM_THROTTLED")),
            Ok(result) => assert_eq!((route, states(&result)[4]), (EXPLORE, State::Skipped)),
        }
    }
}

#[tokio::test]
async fn a_source_that_refuses_a_new_connection_fails_its_verification() {
    let service = TestService::with([SHORT_TIMEOUT]).await;
    service.inject(json!([{"route": TEST, "count": 0, "action": source_error(401, "CONN-1105")}]));
    let required = CreateHubSpotConnectionRequest { verification: Verification::Require.into(), ..request() };
    let failure = service.send(required.clone()).await.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "VERIFICATION_FAILED"));
    assert_eq!(service.emulator.connections().len(), 0);

    // A failing source may work a moment later: nothing is deleted because of it.
    service.inject(json!([{"route": TEST, "count": 0, "action": source_error(503, "CONN-1103")}]));
    let failure = service.send(required).await.unwrap_err();
    assert_eq!(failure.reason, "OUTCOME_UNKNOWN");
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn a_creation_that_the_source_refuses_created_nothing() {
    let service = TestService::with([SHORT_TIMEOUT]).await;
    for status in [400, 401, 403, 404] {
        service.inject(json!([{"route": CREATE, "count": 0, "action": source_error(status, "CONN-1105")}]));
        let failure = service.create().await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "UPSTREAM_REJECTED"), "{status}");
        assert_eq!(failure.metadata("may_exist"), "false");
        assert!(failure.message.contains("correct the credentials"), "{failure:?}");
        assert!(failure.message.contains("nothing was created"), "{failure:?}");
    }
    service.inject(json!([{"route": CREATE, "count": 0, "action": source_error(429, "CONN-1105")}]));
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::ResourceExhausted, "UPSTREAM_THROTTLED"));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(40)));
    assert_eq!(service.requests_to("POST", "/connections"), 5, "each was sent once");

    service.inject(json!([]));
    let id = service.create().await.unwrap().id;
    assert_nothing_is_shared(&service, &id, CREATE).await;
}

#[tokio::test]
async fn a_creation_during_which_the_source_fails_is_searched_for() {
    let service = TestService::with([SHORT_TIMEOUT]).await;
    for status in [500, 503, 504] {
        let mut action = source_error(status, "CONN-1103");
        action["commit"] = json!(true);
        service.inject(json!([{"route": CREATE, "action": action}]));
        service.create().await.unwrap();
    }
    let made = service.emulator.connections();
    assert_eq!((made.len(), service.requests_to("POST", "/connections")), (3, 3));
    for _ in 0..4 {
        service.inject(json!([{"route": CREATE, "count": 0, "action": source_error(503, "CONN-1103")}]));
        let failure = service.create_within("300m").await;
        assert_eq!(failure.metadata("may_exist"), "true", "{failure:?}");
    }
    service.inject(json!([]));
    assert_nothing_is_shared(&service, &made[0].id, "a creation").await;
}
