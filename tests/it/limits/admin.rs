//! The admin port: other connections to it block neither probes nor calls.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use super::beside;
use crate::{
    server::health,
    support::{TestService, in_time},
};

#[tokio::test]
async fn silent_connections_to_the_admin_port_block_neither_probes_nor_calls() {
    let service = TestService::start().await;
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(service.admin).await.unwrap();
        // Some stop in the middle of a request.
        let partial = [&b""[..], b"GET /livez HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][number % 3];
        stream.write_all(partial).await.unwrap();
        silent.push(stream);
    }
    beside(&service, async {
        for path in ["livez", "readyz", "metrics"] {
            let response = in_time(path, reqwest::get(format!("http://{}/{path}", service.admin))).await;
            assert_eq!(response.unwrap().status(), 200, "{path}");
        }
        assert_eq!(health(service.admin, "").await.unwrap(), "SERVING");
        assert_eq!(health(service.grpc, "").await.unwrap(), "SERVING");
        // The oldest ones were closed.
        for stream in &mut silent[..200] {
            // HTTP/2 starts with its settings; a reset also ends a connection.
            let _ = in_time("the end of a connection", stream.read_to_end(&mut Vec::new())).await;
        }
    })
    .await;
}

/// The clock jumps to the next timer when nothing is running.
#[tokio::test(start_paused = true)]
async fn a_connection_to_the_admin_port_without_a_request_is_ended() {
    let service = TestService::start().await;
    let begin = Instant::now();
    for partial in [&b""[..], b"GET /livez HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(service.admin).await.unwrap();
        stream.write_all(partial).await.unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
    }
    // After a request, a connection may wait longer for the next one.
    let mut stream = TcpStream::connect(service.admin).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: service\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    assert!(heard.starts_with(b"HTTP/1.1 200 OK"), "{heard:?}");
    assert!(begin.elapsed() >= Duration::from_secs(3 * 10 + 75), "{:?}", begin.elapsed());
    assert!(begin.elapsed() <= Duration::from_secs(3 * 12 + 155), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_connection_to_the_admin_port_has_few_streams() {
    const MAX_CONCURRENT_STREAMS: &[u8] = &[0, 3, 0, 0, 0, 8];
    let service = TestService::start().await;
    let mut stream = TcpStream::connect(service.admin).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut settings = Vec::new();
    while !settings.windows(6).any(|setting| setting == MAX_CONCURRENT_STREAMS) {
        assert_ne!(in_time("the settings", stream.read_buf(&mut settings)).await.unwrap(), 0, "{settings:?}");
    }
}
