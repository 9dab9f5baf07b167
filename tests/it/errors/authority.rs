//! Authorities that name more than one server, or none.

use std::net::SocketAddr;

use crate::support::{
    TestService, in_time,
    peer::{DATA, END_HEADERS, END_STREAM, HEADERS, Peer, frame},
};

/// A header as gRPC's C core sends it: a literal with its name, which goes into the dynamic table.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x40], string(name), string(value)].concat()
}

/// Calls twice with this authority, the second time by its index in the dynamic table. Returns which
/// frames are the first in the responses.
async fn responses(address: SocketAddr, authority: &str) -> [u8; 2] {
    let first = [
        literal(":authority", authority),
        literal(":path", "/grpc.health.v1.Health/Check"),
        literal(":method", "POST"),
        literal(":scheme", "http"),
        literal("content-type", "application/grpc"),
        literal("te", "trailers"),
    ];
    // The latest has the lowest index, and pseudo-headers come first.
    let second: Vec<u8> = (0..6).rev().map(|index| 0x80 | (62 + index)).collect();
    let mut peer = Peer::connect(address).await;
    let calls = [(1, &first.concat()), (3, &second)].map(|(number, block)| {
        [frame(HEADERS, END_HEADERS, number, block), frame(DATA, END_STREAM, number, &[0; 5])].concat()
    });
    assert!(peer.send(&calls.concat()).await);
    let mut responses = [None; 2];
    while responses.contains(&None) {
        let received = in_time("a frame", peer.receive()).await.unwrap();
        if let Some(response) = match received.stream {
            1 => Some(&mut responses[0]),
            3 => Some(&mut responses[1]),
            _ => None,
        } {
            response.get_or_insert(received.kind);
        }
    }
    responses.map(Option::unwrap)
}

#[tokio::test]
async fn an_authority_that_lists_addresses_or_is_a_path_is_served_like_any_other() {
    let service = TestService::start().await;
    // For the targets ipv4:HOST:PORT,HOST:PORT, ipv6: and unix:.
    for authority in ["127.0.0.1:1,127.0.0.1:2", "[::1]:1,[::1]:2,[::1]:3", "tmp%2Fa.sock", "service:50051"] {
        assert_eq!(responses(service.grpc, authority).await, [HEADERS; 2], "{authority}");
    }
}
