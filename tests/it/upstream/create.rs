//! One creation sends one request.

use http::{Version, header};
use hubspot_connection_service::{
    adobe::{CallError, FlowService, ListQuery, NextStep, Refusal, Timeouts},
    domain::Stage,
    emulator,
};
use reqwest::Client;
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpListener, time::Instant};

use super::{
    SECOND, TIMEOUTS, Upstream, client, client_of, connection, http2_client, in_time, progress, sandbox,
};

async fn with_client(client: Client) -> Upstream {
    Upstream::with(client, emulator::CLIENT_ID, TIMEOUTS).await
}

#[tokio::test]
async fn the_body_is_sent_in_one_piece_with_its_length() {
    for (client, version) in [(client(), Version::HTTP_11), (http2_client(), Version::HTTP_2)] {
        let upstream = with_client(client).await;
        upstream.create("HubSpot").await.unwrap();
        let received = upstream.emulator.received();
        let post = received.iter().find(|r| r.path.ends_with("/connections")).unwrap();
        assert_eq!(post.version, version);
        assert_eq!(post.headers[header::CONTENT_LENGTH], post.body.len().to_string());
        assert!(!post.headers.contains_key(header::TRANSFER_ENCODING));
        assert!(upstream.progress.may_exist());
        assert_eq!(upstream.progress.stage(), Stage::Create);
    }
}

#[tokio::test]
async fn a_creation_that_cannot_start_in_time_is_not_sent() {
    for client in [client(), http2_client()] {
        let upstream = with_client(client).await;
        let permit = upstream.permit().await;
        let created = upstream
            .flow_service
            .create_connection(
                &permit,
                &connection("prod", "HubSpot"),
                None,
                Instant::now(),
                &upstream.progress,
            )
            .await;
        assert!(matches!(created, Err(CallError::TooLate)), "{created:?}");
        assert!(!upstream.progress.may_exist());
        // The next one uses the same client, and is the first to arrive.
        upstream.create("HubSpot").await.unwrap();
        assert_eq!((upstream.requests("POST"), upstream.emulator.connections().len()), (1, 1));
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let flow_service = client_of(closed);
    let (permit, progress) = (flow_service.permit(in_time()).await.unwrap(), progress());
    let created = flow_service
        .create_connection(&permit, &connection("prod", "HubSpot"), None, in_time(), &progress)
        .await;
    let error = created.unwrap_err();
    assert!(matches!(error, CallError::Unreachable(_)) && !progress.may_exist(), "{error:?}");
    assert_eq!(error.next_step(), NextStep::Retry(None));
}

#[tokio::test]
async fn a_connection_that_is_lost_once_the_body_was_sent_leaves_the_outcome_unknown() {
    for (moment, connections) in [("before_commit", 0), ("after_commit", 1)] {
        let upstream = Upstream::start().await;
        let error = upstream.create_hit_by(json!({"close": moment})).await;
        assert!(matches!(error, CallError::Unavailable { problem: None, .. }), "{error:?}");
        assert_eq!(error.next_step(), NextStep::Search);
        assert!(upstream.progress.may_exist());
        assert_eq!((upstream.requests("POST"), upstream.emulator.connections().len()), (1, connections));
    }
}

#[tokio::test]
async fn a_reply_that_never_arrives_leaves_the_outcome_unknown() {
    let timeouts = Timeouts { create: SECOND / 5, ..TIMEOUTS };
    let upstream = Upstream::with(client(), emulator::CLIENT_ID, timeouts).await;
    let error = upstream.create_hit_by(json!({"delay": "30s"})).await;
    assert!(matches!(error, CallError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refusal_is_certain() {
    let upstream = Upstream::start().await;
    for (action, expected) in [
        (json!({"status": 400, "code": "1999"}), Refusal::Request),
        (json!({"status": 400, "code": "1413"}), Refusal::OwnRequest),
        (json!({"status": 404, "code": "2100"}), Refusal::SandboxNotFound),
        (json!({"status": 403, "code": "2120"}), Refusal::Permission),
        (json!({"status": 403, "shape": "D", "code": "403003"}), Refusal::Credentials),
        (json!({"status": 400, "shape": "B"}), Refusal::Request),
        (json!({"status": 422, "shape": "C"}), Refusal::Request),
        (json!({"status": 415, "shape": "E"}), Refusal::OwnRequest),
        // No connection exists yet that it could be about.
        (json!({"status": 412, "shape": "B"}), Refusal::OwnRequest),
        (json!({"status": 404, "code": "1439"}), Refusal::OwnRequest),
    ] {
        let error = upstream.create_hit_by(action).await;
        assert_eq!(error.next_step(), NextStep::GiveUp);
        let CallError::Refused { refusal, .. } = error else { panic!("{error:?}") };
        assert_eq!((refusal, upstream.progress.may_exist()), (expected, false));
    }
}

#[tokio::test]
async fn a_reply_that_is_not_adobes_refusal_leaves_the_outcome_unknown() {
    // A status that neither the Flow Service nor its gateway uses for a refusal, in any shape.
    let statuses = [402, 405, 406, 407, 408, 409, 410, 411, 413, 414, 416, 417, 418, 421, 423, 424, 425, 426];
    let statuses = statuses.into_iter().chain([428, 431, 444, 451, 460, 499, 500, 502, 503, 504, 520, 599]);
    let statuses = statuses.chain([300, 302, 307, 308]);
    let others = statuses.flat_map(|status| ["A", "empty"].map(|shape| (status, shape)));
    // A status of a refusal, from an intermediary.
    let refusals = [400, 401, 403, 404, 412, 415, 422, 429];
    let anybodys = refusals.into_iter().flat_map(|s| ["html", "empty", "cut"].map(|shape| (s, shape)));
    // A success without a connection in it.
    let successes =
        [200, 201, 202].into_iter().flat_map(|s| ["html", "empty", "cut"].map(|shape| (s, shape)));
    let replies: Vec<_> = others.chain(anybodys).chain(successes).collect();
    // More failures in a row would open the circuit breaker.
    for replies in replies.chunks(4) {
        let upstream = Upstream::start().await;
        for (status, shape) in replies {
            let error = upstream.create_hit_by(json!({"status": status, "shape": shape})).await;
            assert_eq!(error.next_step(), NextStep::Search, "{status} {shape}");
            let problem = error.problem().unwrap_or_else(|| panic!("{error:?}"));
            assert_eq!((problem.status, upstream.progress.may_exist()), (*status, true), "{shape}");
        }
    }
}

#[tokio::test]
async fn a_refusal_by_an_intermediary_does_not_open_the_breaker() {
    let upstream = Upstream::start().await;
    for _ in 0..25 {
        upstream.create_hit_by(json!({"status": 403, "shape": "html"})).await;
    }
    upstream.create("HubSpot").await.unwrap();
}

#[tokio::test]
async fn a_refused_token_is_replaced_for_the_next_call() {
    for action in [
        json!({"status": 401, "shape": "D"}),
        json!({"status": 400, "code": "2114"}),
        json!({"status": 400, "code": "2115"}),
    ] {
        let upstream = Upstream::start().await;
        let error = upstream.create_hit_by(action.clone()).await;
        assert!(matches!(error, CallError::TokenRefused { .. }), "{action} {error:?}");
        assert_eq!(error.next_step(), NextStep::RefreshToken);
        assert!(!upstream.progress.may_exist());

        upstream.create("HubSpot").await.unwrap();
        let received = upstream.emulator.received();
        let posts: Vec<_> = received.iter().filter(|r| r.path.ends_with("/connections")).collect();
        assert_eq!(posts.len(), 2);
        assert_ne!(posts[0].headers[header::AUTHORIZATION], posts[1].headers[header::AUTHORIZATION]);
    }
}

#[tokio::test]
async fn a_peer_that_closes_without_reading_the_body_leaves_the_outcome_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow_service = client_of(listener.local_addr().unwrap());
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
    });
    let (permit, progress) = (flow_service.permit(in_time()).await.unwrap(), progress());
    let created = flow_service
        .create_connection(&permit, &connection("prod", "HubSpot"), None, in_time(), &progress)
        .await;
    peer.await.unwrap();
    assert!(matches!(created, Err(CallError::Unavailable { .. })), "{created:?}");
    assert!(progress.may_exist());
}

#[tokio::test]
async fn no_credential_is_printed_with_an_error() {
    let upstream = Upstream::start().await;
    for action in [json!({"status": 400, "code": "1413"}), json!({"close": "after_commit"})] {
        let error = upstream.create_hit_by(action).await;
        assert!(!format!("{error:?} {:?}", upstream.flow_service).contains("canary"));
    }
    let page = upstream
        .flow_service
        .list_connections(&ListQuery::all(&sandbox("prod")), None, in_time())
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1);
    assert!(!format!("{page:?}").contains("canary"));
}
