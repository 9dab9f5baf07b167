//! The effects of calls on each other: the throttle gate, the circuit breaker and the retry budget.
//!
//! The tests advance the clock of the process instead of waiting.

use std::time::Duration;

use hubspot_connection_service::adobe::{CallError, FlowService, ListQuery};
use serde_json::json;
use tokio::time::{self, Instant};

use super::{CREATE, LIST, SECOND, Upstream, in_time, sandbox};

/// Advances the clock while no request is running.
async fn pass_time(duration: Duration) {
    time::pause();
    time::advance(duration).await;
    time::resume();
}

#[tokio::test]
async fn after_a_throttle_no_call_is_sent_before_its_time() {
    let upstream = Upstream::start().await;
    let early_permit = upstream.permit().await;
    let throttle = json!({"status": 429, "shape": "D", "headers": {"retry-after": "30"}});
    let error = upstream.create_hit_by(throttle).await;
    let CallError::Throttled { retry_after, problem: Some(problem) } = &error else { panic!("{error:?}") };
    assert_eq!((*retry_after, problem.status), (Some(30 * SECOND), 429));

    // Creations, those that already have their pass, and reads: none is sent, and none waits in vain.
    let start = Instant::now();
    let refused = upstream.flow_service.permit(in_time()).await.unwrap_err();
    let too_early = upstream.create_with(&early_permit, "HubSpot").await.unwrap_err();
    for error in [refused, too_early] {
        let CallError::Throttled { retry_after: Some(rest), problem: None } = error else {
            panic!("{error:?}")
        };
        assert!((20 * SECOND..=30 * SECOND).contains(&rest), "{rest:?}");
    }
    let read =
        upstream.flow_service.list_connections(&ListQuery::all(&sandbox("prod")), None, in_time()).await;
    assert!(matches!(read, Err(CallError::Throttled { problem: None, .. })), "{read:?}");
    assert!(start.elapsed() < 5 * SECOND);
    assert_eq!((upstream.requests("POST"), upstream.requests("GET")), (1, 0));

    pass_time(30 * SECOND).await;
    upstream.create("HubSpot").await.unwrap();
}

#[tokio::test]
async fn a_throttle_that_ends_before_the_deadline_is_waited_for() {
    let upstream = Upstream::start().await;
    // Without a retry time it is a second.
    upstream.create_hit_by(json!({"status": 429, "shape": "D"})).await;
    let start = Instant::now();
    upstream.create("HubSpot").await.unwrap();
    assert!(start.elapsed() > SECOND / 2);
    assert_eq!(upstream.requests("POST"), 2);
}

#[tokio::test]
async fn the_breaker_opens_after_failures_and_a_later_success_closes_it() {
    let upstream = Upstream::start().await;
    upstream.inject(CREATE, 5, json!({"close": "before_commit"}));
    for _ in 0..5 {
        upstream.create("HubSpot").await.unwrap_err();
    }
    let error = upstream.flow_service.permit(in_time()).await.unwrap_err();
    assert!(matches!(error, CallError::BreakerOpen { .. }), "{error:?}");
    let read =
        upstream.flow_service.list_connections(&ListQuery::all(&sandbox("prod")), None, in_time()).await;
    assert!(matches!(read, Err(CallError::BreakerOpen { .. })), "{read:?}");
    assert_eq!((upstream.requests("POST"), upstream.requests("GET")), (5, 0));

    pass_time(5 * SECOND).await;
    let probe = upstream.permit().await;
    assert!(upstream.flow_service.permit(in_time()).await.is_err());
    upstream.create_with(&probe, "HubSpot").await.unwrap();
    upstream.create("HubSpot").await.unwrap();
}

#[tokio::test]
async fn an_abandoned_probe_permits_the_next_one() {
    let upstream = Upstream::start().await;
    upstream.inject(LIST, 5, json!({"status": 503}));
    for _ in 0..2 {
        let _ =
            upstream.flow_service.list_connections(&ListQuery::all(&sandbox("prod")), None, in_time()).await;
    }
    assert!(upstream.flow_service.permit(in_time()).await.is_err());
    pass_time(5 * SECOND).await;

    upstream.inject(CREATE, 1, json!({"delay": "30s"}));
    let probe = upstream.permit().await;
    let cancelled = time::timeout(SECOND / 10, upstream.create_with(&probe, "HubSpot")).await;
    assert!(cancelled.is_err());
    drop(probe);
    upstream.create("HubSpot").await.unwrap();
}

#[tokio::test]
async fn refusals_and_throttles_do_not_open_the_breaker() {
    let upstream = Upstream::start().await;
    upstream.inject(CREATE, 25, json!({"status": 400, "code": "1413"}));
    for _ in 0..25 {
        upstream.create("HubSpot").await.unwrap_err();
    }
    upstream.inject(CREATE, 25, json!({"status": 429, "shape": "D", "headers": {"retry-after": "0"}}));
    for _ in 0..25 {
        upstream.create("HubSpot").await.unwrap_err();
    }
    upstream.create("HubSpot").await.unwrap();
}

#[tokio::test]
async fn a_late_token_is_reported_as_one() {
    let slow = json!({"delay": "30s"});
    let upstream = Upstream::with_faults(json!([{"route": "POST /ims/token/v3", "action": slow}])).await;
    let soon = || Instant::now() + SECOND / 10;
    let error = upstream.flow_service.permit(soon()).await.unwrap_err();
    assert!(matches!(error, CallError::NoTokenInTime), "{error:?}");
    let read = upstream.flow_service.list_connections(&ListQuery::all(&sandbox("prod")), None, soon()).await;
    assert!(matches!(read, Err(CallError::NoTokenInTime)), "{read:?}");
}

#[tokio::test]
async fn an_impatient_caller_does_not_open_the_breaker() {
    let upstream = Upstream::start().await;
    upstream.permit().await;
    upstream.inject(LIST, 0, json!({"delay": "30s"}));
    for _ in 0..6 {
        let deadline = Instant::now() + SECOND / 20;
        upstream
            .flow_service
            .list_connections(&ListQuery::all(&sandbox("prod")), None, deadline)
            .await
            .unwrap_err();
    }
    upstream.create("HubSpot").await.unwrap();
}

#[tokio::test]
async fn retries_end_with_the_budget_and_the_deadline() {
    let upstream = Upstream::start().await;
    let retry_in =
        |attempt, asked, limit| upstream.flow_service.retry_in(attempt, asked, Instant::now() + limit);
    assert_eq!(retry_in(1, Some(10 * SECOND), 10 * SECOND), None);
    let wait = retry_in(1, Some(10 * SECOND), 11 * SECOND).unwrap();
    assert!((10 * SECOND..=10 * SECOND + SECOND / 10).contains(&wait), "{wait:?}");

    let retries = (0..100).filter(|_| retry_in(1, None, SECOND).is_some()).count();
    assert!((9..=11).contains(&retries), "{retries}");
    assert_eq!(retry_in(1, None, SECOND), None);
}
