//! One creation, one request.

use http::{Version, header};
use hubspot_connection_service::{
    domain::Stage,
    emulator,
    flow_service::{CreateError, FlowService, ListQuery, NextStep, Refusal, Timeouts},
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
async fn what_cannot_leave_in_time_is_not_sent() {
    for client in [client(), http2_client()] {
        let upstream = with_client(client).await;
        let pass = upstream.pass().await;
        let created = upstream
            .flow_service
            .create_connection(&pass, &connection("prod", "HubSpot"), Instant::now(), &upstream.progress)
            .await;
        assert!(matches!(created, Err(CreateError::TooLate)), "{created:?}");
        assert!(!upstream.progress.may_exist());
        // The next one goes over the same client, and is the first to arrive.
        upstream.create("HubSpot").await.unwrap();
        assert_eq!((upstream.requests("POST"), upstream.emulator.connections().len()), (1, 1));
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let flow_service = client_of(closed);
    let (pass, progress) = (flow_service.pass(in_time()).await.unwrap(), progress());
    let created =
        flow_service.create_connection(&pass, &connection("prod", "HubSpot"), in_time(), &progress).await;
    let error = created.unwrap_err();
    assert!(matches!(error, CreateError::Unreachable(_)) && !progress.may_exist(), "{error:?}");
    assert_eq!(error.next_step(), NextStep::SendAgain(None));
}

#[tokio::test]
async fn a_connection_that_is_lost_once_the_body_was_sent_leaves_the_outcome_unknown() {
    for (moment, connections) in [("before_commit", 0), ("after_commit", 1)] {
        let upstream = Upstream::start().await;
        let error = upstream.create_hit_by(json!({"close": moment})).await;
        assert!(matches!(error, CreateError::OutcomeUnknown { problem: None, .. }), "{error:?}");
        assert_eq!(error.next_step(), NextStep::LookFor);
        assert!(upstream.progress.may_exist());
        assert_eq!((upstream.requests("POST"), upstream.emulator.connections().len()), (1, connections));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_leaves_the_outcome_unknown() {
    let timeouts = Timeouts { create: SECOND / 5, ..TIMEOUTS };
    let upstream = Upstream::with(client(), emulator::CLIENT_ID, timeouts).await;
    let error = upstream.create_hit_by(json!({"delay": "30s"})).await;
    assert!(matches!(error, CreateError::OutcomeUnknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refusal_is_certain() {
    let upstream = Upstream::start().await;
    for (action, expected) in [
        (json!({"status": 400, "code": "1413"}), Refusal::Request),
        (json!({"status": 404, "code": "2100"}), Refusal::SandboxNotFound),
        (json!({"status": 403, "code": "2120"}), Refusal::Permission),
        (json!({"status": 403, "shape": "D", "code": "403003"}), Refusal::Credentials),
        (json!({"status": 400, "shape": "cut"}), Refusal::Request),
    ] {
        let error = upstream.create_hit_by(action).await;
        assert_eq!(error.next_step(), NextStep::GiveUp);
        let CreateError::Refused { refusal, .. } = error else { panic!("{error:?}") };
        assert_eq!((refusal, upstream.progress.may_exist()), (expected, false));
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_for_the_next_pass() {
    for action in [
        json!({"status": 401, "shape": "D"}),
        json!({"status": 400, "code": "2114"}),
        json!({"status": 400, "code": "2115"}),
    ] {
        let upstream = Upstream::start().await;
        let error = upstream.create_hit_by(action.clone()).await;
        assert!(matches!(error, CreateError::TokenRefused { .. }), "{action} {error:?}");
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
    let (pass, progress) = (flow_service.pass(in_time()).await.unwrap(), progress());
    let created =
        flow_service.create_connection(&pass, &connection("prod", "HubSpot"), in_time(), &progress).await;
    peer.await.unwrap();
    assert!(matches!(created, Err(CreateError::OutcomeUnknown { .. })), "{created:?}");
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
    assert_eq!(page.connections.len(), 1);
    assert!(!format!("{page:?}").contains("canary"));
}
