//! Authorities that name more than one server, or none.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{TestService, in_time};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

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
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut sent = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for (number, block) in [(1, &first.concat()), (3, &second)] {
        sent.extend(frame(HEADERS, END_HEADERS, number, block));
        sent.extend(frame(DATA, END_STREAM, number, &[0; 5]));
    }
    stream.write_all(&sent).await.unwrap();
    let mut responses = [None; 2];
    while responses.contains(&None) {
        let mut header = [0; 9];
        in_time("a frame", stream.read_exact(&mut header)).await.unwrap();
        let [length @ .., kind, _flags, _, _, _, number] = header;
        let length = length.into_iter().fold(0, |length, byte| length << 8 | usize::from(byte));
        in_time("its payload", stream.read_exact(&mut vec![0; length])).await.unwrap();
        if let Some(response) = match number {
            1 => Some(&mut responses[0]),
            3 => Some(&mut responses[1]),
            _ => None,
        } {
            response.get_or_insert(kind);
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
