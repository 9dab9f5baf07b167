//! The first bytes of a connection: whether it is HTTP/2.
//!
//! People and load balancers try a port with HTTP/1.1. hyper's HTTP/2 server ends such a connection without a reason,
//! and its `auto` server would serve it.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// The first bytes of HTTP/2 (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// For a refused client to read the response and to close the connection: if it is reset first, the client may never show
/// the response.
const LINGER: Duration = Duration::from_secs(1);
/// What is read of its request meanwhile.
const MAX_READ: u64 = 64 * 1024;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Http2,
    Http1 {
        is_head: bool,
    },
    Unknown,
    /// It ends before its first byte, like a check whether the port is open.
    Nothing,
}

/// Reads at most the preface.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Opening> {
    let (mut bytes, mut length) = ([0; PREFACE.len()], 0);
    loop {
        let read = stream.read(&mut bytes[length..]).await?;
        length += read;
        let begin = &bytes[..length];
        if begin.is_empty() {
            return Ok(Opening::Nothing);
        }
        if begin == PREFACE {
            return Ok(Opening::Http2);
        }
        let is_method = begin.iter().all(u8::is_ascii_uppercase);
        if read == 0 || !(PREFACE.starts_with(begin) || is_method && length < PREFACE.len()) {
            return Ok(other(begin));
        }
    }
}

fn other(begin: &[u8]) -> Opening {
    let method = begin.split(|byte| *byte == b' ').next().unwrap_or_default();
    if method.len() < begin.len() && !method.is_empty() && method.iter().all(u8::is_ascii_uppercase) {
        Opening::Http1 { is_head: method == b"HEAD" }
    } else {
        Opening::Unknown
    }
}

/// Responds to HTTP/1 with what this port speaks.
pub(super) async fn refuse_http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, is_head: bool) {
    const BODY: &str = "This port speaks gRPC, which needs HTTP/2 from the first byte (with TLS: ALPN h2). \
                        Use a gRPC client. /livez, /readyz and /metrics are on the admin port \
                        (HCS_ADMIN_LISTEN).\n";
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        BODY.len()
    );
    let response = if is_head { head } else { head + BODY };
    let _ = timeout(LINGER, async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_READ), &mut tokio::io::sink()).await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opening(parts: &[&[u8]]) -> Opening {
        let (mut peer, mut stream) = tokio::io::duplex(64);
        let (opening, ()) = tokio::join!(read(&mut stream), async {
            for part in parts {
                peer.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(peer);
        });
        opening.unwrap()
    }

    #[tokio::test]
    async fn the_first_bytes_show_the_protocol_however_they_are_split() {
        let http1 = |is_head| Opening::Http1 { is_head };
        let tls: &[u8] = &[22, 3, 1, 2, 0];
        for (bytes, expected) in [
            (&PREFACE[..], Opening::Http2),
            (b"GET / HTTP/1.1\r\n", http1(false)),
            (b"HEAD / HTTP/1.1\r\n", http1(true)),
            (b"POST /a.Service/Method HTTP/1.1\r\n", http1(false)),
            (b"PUT / HTTP/1.0\r\n", http1(false)),
            (b"PRI * HTTP/1.1\r\n", http1(false)),
            (b"OPTIONS * HTTP/1.1\r\n", http1(false)),
            (b"", Opening::Nothing),
            (b"PRI", Opening::Unknown),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Opening::Unknown),
            (b"\0\0\0", Opening::Unknown),
            (b" GET", Opening::Unknown),
            (tls, Opening::Unknown),
        ] {
            let name = String::from_utf8_lossy(bytes);
            assert_eq!(opening(&[bytes]).await, expected, "{name}");
            let single: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(opening(&single).await, expected, "{name} byte by byte");
        }
    }
}
