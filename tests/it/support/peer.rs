//! A peer that speaks HTTP/2 frame by frame, so that it can do what no client does.

use std::net::SocketAddr;

use hubspot_connection_service::grpc::SERVICE_NAME;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A frame (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a call, with every field a literal (RFC 7541, section 6.2.2).
pub(crate) fn call(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    call_to(&format!("/{SERVICE_NAME}/{method}"), more)
}

/// The same for another service.
pub(crate) fn call_to(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "service")];
    let fields = fields.iter().chain(&[("content-type", "application/grpc"), ("te", "trailers")]).chain(more);
    block(fields)
}

/// The header block of a request without a body.
pub(crate) fn get(path: &str) -> Vec<u8> {
    block([(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "service")].iter())
}

fn block<'a>(fields: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Vec<u8> {
    fields.flat_map(|(name, value)| [vec![0], literal(name), literal(value)].concat()).collect()
}

fn literal(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => bytes.push(length),
        _ => {
            let mut rest = text.len() - 127;
            bytes.push(127);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
    }
    bytes.extend(text.as_bytes());
    bytes
}

/// The received frames: their kind, flags, stream and payload.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) struct Peer {
    stream: TcpStream,
    pings: u64,
    /// The frames that arrived while a ping was waited for, except pings and settings.
    pub(crate) received: Vec<Received>,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[]).await
    }

    /// The same with a setting.
    pub(crate) async fn connect_with(address: SocketAddr, setting: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, setting)).await.unwrap();
        Self { stream, pings: 0, received: Vec::new() }
    }

    /// Sends frames; returns whether that was possible.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Whether the service still responds: it has read everything that was sent before.
    pub(crate) async fn is_served(&mut self) -> bool {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        if !self.send(&frame(PING, 0, 0, &payload)).await {
            return false;
        }
        while let Some(received) = self.receive().await {
            match received.kind {
                PING if received.flags == ACK && received.payload == payload => return true,
                PING | SETTINGS => {}
                GOAWAY => return false,
                _ => self.received.push(received),
            }
        }
        false
    }

    /// The next frame, or `None` at the end.
    pub(crate) async fn receive(&mut self) -> Option<Received> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Received { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Sends the frames that `frames` makes of each number from 0, this many at once, until the
    /// connection is cut; returns how many were sent. It gives up after `most`.
    pub(crate) async fn flood(
        &mut self,
        at_once: u32,
        most: u32,
        frames: impl Fn(u32) -> Vec<u8>,
    ) -> Option<u32> {
        for sent in (0..most).step_by(at_once as usize) {
            let batch: Vec<u8> = (sent..sent + at_once).flat_map(&frames).collect();
            if !self.send(&batch).await || !self.is_served().await {
                return Some(sent + at_once);
            }
        }
        None
    }
}
