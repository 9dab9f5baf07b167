//! Peers that exceed a limit, each beside a client whose calls all succeed.
//!
//! Timeouts (no preface, no first call, no further call) are tested with a paused clock, beside the
//! limits.

mod admin;
mod opening;
mod streams;

use std::time::Duration;

use hubspot_connection_service::proto::{CreateHubSpotConnectionRequest, ListHubSpotConnectionsRequest};
use tokio::{net::TcpStream, time::timeout};
use tonic::Code;

use crate::support::{
    Failure, TestService, counted, framed,
    peer::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, Peer, RST_STREAM, Received,
        SETTINGS, WINDOW_UPDATE, call, frame,
    },
    request,
};

const LIST: &str = "ListHubSpotConnections";
/// The error code of a stream that was not started (RFC 9113, section 7).
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
/// The first byte of a header block with status 200 (RFC 7541, appendix A); 431 has no such byte.
const STATUS_200: u8 = 0x88;

/// Attacks the service while another client calls it, and continues with the same connection afterwards.
async fn beside<T>(service: &TestService, attack: impl Future<Output = T>) -> T {
    let mut client = service.client().await;
    let list = ListHubSpotConnectionsRequest::default();
    let calls = async {
        loop {
            client.list_hub_spot_connections(list.clone()).await.unwrap();
        }
    };
    let result = tokio::select! {
        result = timeout(Duration::from_secs(60), attack) => result.unwrap(),
        () = calls => unreachable!(),
    };
    client.list_hub_spot_connections(list).await.unwrap();
    result
}

/// The number of connections that were cut at a limit.
async fn cut(service: &TestService, limit: &str) -> usize {
    let text = reqwest::get(format!("http://{}/metrics", service.admin)).await.unwrap().text().await.unwrap();
    let line = format!("hubspot_connection_connections_cut_total{{reason=\"{limit}\"}} ");
    text.lines().find_map(|l| l.strip_prefix(&line)).map_or(0, |number| number.parse().unwrap())
}

/// Waits for the response to a call: its headers, which are the whole response of a refused call.
async fn end_of(peer: &mut Peer, stream: u32) -> Received {
    loop {
        let received = peer.receive().await.unwrap();
        if received.stream == stream && received.flags & END_STREAM != 0 {
            return received;
        }
    }
}

fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// A call that has started and whose message never arrives.
fn unfinished_call(number: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream(number), &call(LIST, &[]))
}

fn cancel(number: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8])
}

#[tokio::test]
async fn a_flood_of_frames_that_are_no_calls_is_cut() {
    let service = TestService::start().await;
    let floods = [
        ("pings", 60_000, frame(PING, 0, 0, &[0; 8])),
        ("settings", 110_000, frame(SETTINGS, 0, 0, &[])),
        ("priorities", 70_000, frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0])),
        ("window updates", 80_000, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown frames", 110_000, frame(0xfa, 0, 0, &[])),
    ];
    for (number, (kind, least, hostile)) in floods.into_iter().enumerate() {
        let mut peer = Peer::connect(service.grpc).await;
        let sent = beside(&service, peer.flood(1000, 2 * least, |_| hostile.clone())).await.unwrap();
        // The limit counts bytes, which include pings of the test.
        assert!(sent.abs_diff(least) <= least / 5, "{kind} {sent}");
        assert_eq!(cut(&service, "flood").await, number + 1, "{kind}");
    }
}

#[tokio::test]
async fn connections_that_cancel_calls_at_once_are_cut() {
    let service = TestService::start().await;
    let mut peer = Peer::connect(service.grpc).await;
    let both = |number| [unfinished_call(number), cancel(number)].concat();
    let sent = beside(&service, peer.flood(100, 10_000, both)).await.unwrap();
    assert!(sent <= 1100, "{sent}");
}

#[tokio::test]
async fn connections_that_cancel_calls_after_their_start_are_cut() {
    let service = TestService::start().await;
    let mut peer = Peer::connect(service.grpc).await;
    let attack = async {
        for number in 0..10_000 {
            if !peer.send(&unfinished_call(number)).await || !peer.is_served().await {
                return Some(number);
            }
            peer.send(&cancel(number)).await;
        }
        None
    };
    let sent = beside(&service, attack).await.unwrap();
    assert!((1000..=1010).contains(&sent), "{sent}");
    assert_eq!(cut(&service, "resets").await, 1);
}

#[tokio::test]
async fn data_without_data_is_cut() {
    let service = TestService::start().await;
    let mut peer = Peer::connect(service.grpc).await;
    peer.send(&unfinished_call(0)).await;
    let sent = beside(&service, peer.flood(10, 10_000, |_| frame(DATA, 0, 1, &[]))).await.unwrap();
    assert!(sent <= 1000, "{sent}");
}

#[tokio::test]
async fn headers_without_end_are_cut() {
    for part in [&b""[..], &[0; 1], &[0; 16_000]] {
        let service = TestService::start().await;
        let mut peer = Peer::connect(service.grpc).await;
        let attack = async {
            peer.send(&frame(HEADERS, 0, 1, &call(LIST, &[]))).await;
            let mut sent = 0_u32;
            // No other frame may come between them, so that no ping shows whether they are read.
            while peer.send(&frame(CONTINUATION, 0, 1, part)).await {
                sent += 1;
                tokio::task::yield_now().await;
            }
            sent
        };
        let sent = beside(&service, attack).await;
        assert!(sent <= 10_000, "{sent}");
    }
}

#[tokio::test]
async fn a_call_with_too_large_metadata_is_refused_and_far_too_large_ones_are_cut() {
    let service = TestService::start().await;
    let with_headers = |number, kib: usize| {
        let block = call(LIST, &[("x-large", &"x".repeat(kib * 1024))]);
        let mut parts = block.chunks(16_000);
        let first = frame(HEADERS, END_STREAM, stream(number), parts.next().unwrap());
        let rest =
            parts.map(|part| frame(CONTINUATION, 0, stream(number), part)).collect::<Vec<_>>().concat();
        [first, rest, frame(CONTINUATION, END_HEADERS, stream(number), &[])].concat()
    };
    let mut peer = Peer::connect(service.grpc).await;
    beside(&service, async {
        // The service refuses a block a little beyond its limit; HTTP/2 refuses the rest.
        for (number, kib, is_call) in [(0, 15, true), (1, 17, true), (2, 60, true), (3, 65, false)] {
            assert!(peer.send(&with_headers(number, kib)).await);
            let response = end_of(&mut peer, stream(number)).await;
            assert_eq!(response.payload[0] == STATUS_200, is_call, "{kib} {response:?}");
        }
        peer.send(&with_headers(4, 1024)).await;
        assert!(!peer.is_served().await);
    })
    .await;
    let refused = "hubspot_connection_requests_refused_total{reason=\"metadata\"}";
    assert_eq!(counted(service.admin, refused).await, 2);
    let (_, failure) = service.post(&[("x-large", &"x".repeat(17 * 1024))], framed(&[])).await;
    let failure = failure.unwrap();
    assert_eq!(failure.row(), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
    assert!(failure.message.contains("metadata"), "{failure:?}");
}

#[tokio::test]
async fn more_calls_at_once_than_one_client_may_have_are_refused_and_the_others_go_on() {
    let service = TestService::start().await;
    let mut peer = Peer::connect(service.grpc).await;
    beside(&service, async {
        let calls: Vec<u8> = (0..300).flat_map(unfinished_call).collect();
        assert!(peer.send(&calls).await);
        // A ping can be acknowledged before earlier frames are handled.
        while peer.received.len() < 300 - 256 {
            assert!(peer.is_served().await);
        }
        assert!(peer.is_served().await);
    })
    .await;
    let refused: Vec<_> = peer.received.iter().filter(|received| received.kind == RST_STREAM).collect();
    assert_eq!(refused.len(), 300 - 256);
    assert!(refused.iter().all(|refusal| refusal.payload == REFUSED_STREAM && refusal.stream > 2 * 256));

    // A client that continues like this is cut.
    let sent =
        beside(&service, peer.flood(100, 10_000, |number| unfinished_call(number + 300))).await.unwrap();
    assert!(sent <= 1100, "{sent}");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_it_is_read() {
    let service = TestService::start().await;
    let (_, failure) = beside(&service, service.post(&[], framed(&[0; 65_537]))).await;
    assert_eq!(failure.unwrap().row(), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));

    // The length alone is sufficient.
    let mut peer = Peer::connect(service.grpc).await;
    beside(&service, async {
        peer.send(&[unfinished_call(0), frame(DATA, 0, 1, &[0, 0xff, 0xff, 0xff, 0xff])].concat()).await;
        end_of(&mut peer, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_with_far_too_large_messages_gets_an_error_each_time_and_keeps_its_connection() {
    let service = TestService::start().await;
    let mut client = service.client().await;
    for _ in 0..8 {
        let large = CreateHubSpotConnectionRequest { description: "x".repeat(4 << 20), ..request() };
        let failure = Failure::from(client.create_hub_spot_connection(large).await.unwrap_err());
        assert_eq!(failure.row(), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
        client.list_hub_spot_connections(ListHubSpotConnectionsRequest::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_message_costs_its_deadline_and_no_more() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "900ms")]).await;
    let mut peer = Peer::connect(service.grpc).await;
    beside(&service, async {
        // One has its own deadline; the other one sends a part of its message.
        peer.send(&frame(HEADERS, END_HEADERS, 1, &call(LIST, &[("grpc-timeout", "100m")]))).await;
        end_of(&mut peer, 1).await;
        peer.send(&[unfinished_call(1), frame(DATA, 0, 3, &framed(&[0; 100])[..20])].concat()).await;
        end_of(&mut peer, 3).await;
    })
    .await;
}

#[tokio::test]
async fn idle_connections_do_not_block_other_clients() {
    let service = TestService::start().await;
    let mut connections = Vec::new();
    for _ in 0..500 {
        connections.push(Peer::connect(service.grpc).await);
    }
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(TcpStream::connect(service.grpc).await.unwrap());
    }
    beside(&service, async {
        for connection in &mut connections {
            assert!(connection.is_served().await);
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_with_many_calls_and_large_messages_is_never_cut() {
    let service = TestService::start().await;
    let client = service.client().await;
    // The longest message that is checked, and a response that costs nothing.
    let large = || ListHubSpotConnectionsRequest {
        page_token: "x".repeat(60 * 1024),
        ..ListHubSpotConnectionsRequest::default()
    };
    let clients = (0..64).map(|_| {
        let mut client = client.clone();
        async move {
            for _ in 0..32 {
                let refusal = client.list_hub_spot_connections(large()).await.unwrap_err();
                assert_eq!(Failure::from(refusal).row(), (Code::InvalidArgument, "INVALID_REQUEST"));
            }
        }
    });
    futures_util::future::join_all(clients).await;
    for limit in ["flood", "resets"] {
        assert_eq!(cut(&service, limit).await, 0, "{limit}");
    }
}

#[tokio::test]
async fn small_unread_messages_are_not_a_flood() {
    let service = TestService::start().await;
    let mut peer = Peer::connect(service.grpc).await;
    let unread = |number| {
        let headers = frame(HEADERS, END_HEADERS, stream(number), &call("NoSuchMethod", &[]));
        let message = frame(DATA, 0, stream(number), &framed(&[0; 20]));
        [headers, message, frame(DATA, END_STREAM, stream(number), &[])].concat()
    };
    assert_eq!(peer.flood(10, 3000, unread).await, None);
}
