//! Streams, and unread responses: none of them ends by itself.

use std::{fs, net::SocketAddr, time::Duration};

use futures_util::stream;
use hubspot_connection_service::app::Drained;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use super::{LIST, beside, cut};
use crate::{
    server::health,
    support::{
        Failure, ServiceProcess, TestService, counted, framed,
        peer::{DATA, END_HEADERS, END_STREAM, HEADERS, Peer, SETTINGS, call, call_to, frame, get},
        start_emulator, until_counted,
    },
};

const PER_CONNECTION: usize = 32;
const PER_ADMIN_CONNECTION: usize = 4;
const REFLECTION_PER_CONNECTION: usize = 8;
const REFLECTION_PER_ADDRESS: usize = 16;
const PER_ADDRESS: usize = 1024;
const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// SETTINGS_INITIAL_WINDOW_SIZE of zero: nothing of a response but its headers may be sent.
const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];
const SHED: &str = "hubspot_connection_calls_shed_total{reason=\"max_streams\"}";

async fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

async fn watch(channel: &Channel) -> Result<Streaming<HealthCheckResponse>, Status> {
    let mut client = HealthClient::new(channel.clone());
    Ok(client.watch(HealthCheckRequest::default()).await?.into_inner())
}

async fn check(channel: &Channel) -> Result<(), Status> {
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.map(drop)
}

/// A call whose request is complete.
fn whole(stream: u32, path: &str) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, stream, &call_to(path, &[]));
    [headers, frame(DATA, END_STREAM, stream, &framed(&[]))].concat()
}

#[tokio::test]
async fn watches_beyond_those_of_a_connection_are_shed_and_checks_go_on() {
    let service = TestService::start().await;
    for (address, most) in [(service.grpc, PER_CONNECTION), (service.admin, PER_ADMIN_CONNECTION)] {
        let channel = channel(address).await;
        let mut watches = Vec::new();
        for _ in 0..most {
            watches.push(watch(&channel).await.unwrap());
        }
        let failure = Failure::from(watch(&channel).await.unwrap_err());
        assert_eq!(failure.row(), (Code::ResourceExhausted, "OVERLOADED"));
        assert!(failure.retry_after.is_some());
        check(&channel).await.unwrap();
        watches.pop();
        timeout(Duration::from_secs(20), async { while watch(&channel).await.is_err() {} }).await.unwrap();
    }
    assert!(counted(service.admin, SHED).await >= 2);
}

#[tokio::test]
async fn the_streams_of_one_address_are_limited_over_all_its_connections() {
    let service = TestService::start().await;
    let (mut channels, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..PER_ADDRESS / PER_CONNECTION {
        let channel = channel(service.grpc).await;
        for _ in 0..PER_CONNECTION {
            streams.push(watch(&channel).await.unwrap());
        }
        channels.push(channel);
    }
    let another = channel(service.grpc).await;
    let refusal = watch(&another).await.map(drop).unwrap_err();
    assert_eq!(Failure::from(refusal).row(), (Code::ResourceExhausted, "OVERLOADED"));
    // Reflection has a lower limit, since its responses are larger.
    let mut reflections = Vec::new();
    for channel in &channels[..REFLECTION_PER_ADDRESS / REFLECTION_PER_CONNECTION] {
        let mut client = ServerReflectionClient::new(channel.clone());
        for _ in 0..REFLECTION_PER_CONNECTION {
            reflections.push(client.server_reflection_info(stream::pending()).await.unwrap());
        }
    }
    for channel in [&channels[0], &another] {
        let mut client = ServerReflectionClient::new(channel.clone());
        let refusal = client.server_reflection_info(stream::pending()).await.map(drop).unwrap_err();
        assert_eq!(Failure::from(refusal).row(), (Code::ResourceExhausted, "OVERLOADED"));
    }
    drop(reflections);
    for channel in channels.iter().chain([&another]) {
        check(channel).await.unwrap();
    }
    beside(&service, async { assert_eq!(health(service.grpc, "").await.unwrap(), "SERVING") }).await;
}

#[tokio::test]
async fn many_watches_cannot_exhaust_the_memory() {
    const CONNECTIONS: usize = 100;
    let emulator = start_emulator(Default::default()).await;
    let service =
        ServiceProcess::start(&emulator, &[("HCS_LOG", "warn,hubspot_connection_service::cli=info")]).await;
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", service.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    let before = memory();
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut peer = Peer::connect(service.grpc).await;
        let watches: Vec<u8> = (0..256).flat_map(|number| whole(2 * number + 1, WATCH)).collect();
        assert!(peer.send(&watches).await && peer.is_served().await);
        peers.push(peer);
    }
    let each = (memory() - before) / CONNECTIONS;
    // A connection has 32 watches of some 9 KiB each, up to the limit of the address.
    // HTTP/2 itself keeps some 600 KiB of a connection that has had 256 calls at once.
    assert!(each < 1500, "{each} KiB for each connection");
    assert_eq!(health(service.grpc, "").await.unwrap(), "SERVING");
}

/// The clock jumps to the next timer when nothing is running.
#[tokio::test(start_paused = true)]
async fn an_idle_reflection_stream_is_ended() {
    let service = TestService::start().await;
    let begin = Instant::now();
    let mut client = ServerReflectionClient::new(channel(service.grpc).await);
    let mut idle = client.server_reflection_info(stream::pending()).await.unwrap().into_inner();
    assert_eq!(idle.message().await.unwrap_err().code(), Code::Unavailable);
    assert!((60..65).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_a_message_is_ended() {
    let service = TestService::start().await;
    let mut peer = Peer::connect(service.grpc).await;
    let begin = Instant::now();
    for path in [WATCH, CHECK] {
        let number = if path == WATCH { 1 } else { 3 };
        assert!(peer.send(&frame(HEADERS, END_HEADERS, number, &call_to(path, &[]))).await);
        super::end_of(&mut peer, number).await;
    }
    assert!((20..24).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_no_responses_is_cut() {
    let service = TestService::start().await;
    let list = [frame(HEADERS, END_HEADERS, 1, &call(LIST, &[])), frame(DATA, END_STREAM, 1, &framed(&[]))];
    for request in [list.concat(), whole(1, CHECK)] {
        let mut peer = Peer::connect_with(service.grpc, NO_WINDOW).await;
        let begin = Instant::now();
        assert!(peer.send(&request).await);
        // It does everything else that keeps a connection alive.
        while let Some(received) = peer.receive().await {
            if received.kind == super::PING && received.flags == 0 {
                peer.send(&frame(super::PING, 1, 0, &received.payload)).await;
            }
        }
        assert!((60..130).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    }
    tokio::time::resume();
    assert_eq!(cut(&service, "unread").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_no_responses_of_the_admin_port_is_cut() {
    let service = TestService::start().await;
    let mut peer = Peer::connect_with(service.admin, NO_WINDOW).await;
    let begin = Instant::now();
    // A watch alone would keep the connection alive.
    let metrics = frame(HEADERS, END_HEADERS | END_STREAM, 3, &get("/metrics"));
    assert!(peer.send(&[whole(1, WATCH), metrics].concat()).await);
    while let Some(received) = peer.receive().await {
        if received.kind == super::PING && received.flags == 0 {
            peer.send(&frame(super::PING, 1, 0, &received.payload)).await;
        }
    }
    assert!((60..130).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    tokio::time::resume();
    assert_eq!(cut(&service, "unread").await, 1);
}

#[tokio::test]
async fn streams_end_with_a_status_when_their_connection_reaches_its_age() {
    let service = TestService::with([("HCS_MAX_CONNECTION_AGE", "1s")]).await;
    let channel = channel(service.grpc).await;
    let mut watch = watch(&channel).await.unwrap();
    watch.message().await.unwrap().unwrap();
    let mut client = ServerReflectionClient::new(channel);
    let mut idle = client.server_reflection_info(stream::pending()).await.unwrap().into_inner();
    for status in [watch.message().await.unwrap_err(), idle.message().await.unwrap_err()] {
        let failure = Failure::from(status);
        assert_eq!(failure.row(), (Code::Unavailable, "OVERLOADED"));
        assert!(failure.message.contains("maximum age") && failure.retry_after.is_some(), "{failure:?}");
    }
    assert_eq!(service.stop().await, Drained::Completely);
}

#[tokio::test]
async fn peers_that_are_gone_or_read_nothing_do_not_delay_the_drain() {
    let service = TestService::with([("HCS_DRAIN_TIMEOUT", "600s")]).await;
    let mut peers = Vec::new();
    // None of them acknowledges the ping with which HTTP/2 ends a connection.
    for setting in [&b""[..], NO_WINDOW] {
        let mut peer = Peer::connect_with(service.grpc, setting).await;
        assert!(peer.send(&[whole(1, WATCH), frame(SETTINGS, 1, 0, &[])].concat()).await);
        assert!(peer.is_served().await);
        peers.push(peer);
    }
    peers.push(Peer::connect(service.grpc).await);
    let drained = timeout(Duration::from_secs(20), service.stop()).await.unwrap();
    assert_eq!(drained, Drained::Completely);
}

#[tokio::test]
async fn a_stream_returns_its_permit_however_it_ends() {
    let service = TestService::start().await;
    let mut peer = Peer::connect(service.grpc).await;
    for round in 0..3_u32 {
        for number in 0..32 {
            let stream = 2 * (64 * round + number) + 1;
            assert!(peer.send(&whole(stream, WATCH)).await);
        }
        assert!(peer.is_served().await);
        for number in 0..32 {
            let stream = 2 * (64 * round + number) + 1;
            assert!(peer.send(&frame(super::RST_STREAM, 0, stream, &[0, 0, 0, 8])).await);
        }
        assert!(peer.is_served().await);
    }
    drop(peer);
    until_counted(service.admin, SHED, 0).await;
}
