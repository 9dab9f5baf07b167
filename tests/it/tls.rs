//! TLS on the gRPC port.

mod files;

use rustls::version::{TLS12, TLS13};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use crate::{
    server,
    support::{
        Mount, TestService,
        certificates::{Authority, HELLO, Pair, TlsClient, serial},
        counted, in_time, request, until_counted,
    },
};

/// A service with TLS, and the authority of its certificate.
struct WithTls {
    service: TestService,
    authority: Authority,
    _files: Mount,
}

/// The TLS files of a Secret.
pub(crate) fn files<'a>(server: &'a Pair, client_ca: &'a str) -> [(&'static str, &'a str); 3] {
    [("tls.crt", &server.certificate_pem), ("tls.key", &server.key_pem), ("ca.crt", client_ca)]
}

impl WithTls {
    async fn start() -> Self {
        let authority = Authority::new("servers");
        let files = Mount::new(&files(&authority.server(1), ""));
        let (certificate, key) = (files.path("tls.crt"), files.path("tls.key"));
        let settings = [("HCS_TLS_CERT_FILE", &*certificate), ("HCS_TLS_KEY_FILE", &*key)];
        Self { service: TestService::with(settings).await, authority, _files: files }
    }
}

/// The counter of handshakes that failed for this reason.
pub(crate) fn failures(reason: &str) -> String {
    format!("hubspot_connection_tls_handshake_failures_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn the_metrics_report_when_the_certificate_expires() {
    let tls = WithTls::start().await;
    let expiry = "hubspot_connection_tls_certificate_expiry_timestamp_seconds{certificate=\"server\"}";
    // The beginning of the year 2200.
    assert_eq!(counted(tls.service.admin, expiry).await, 7_258_118_400);
}

#[tokio::test]
async fn either_version_of_tls_is_spoken() {
    let tls = WithTls::start().await;
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::speaking(&[version], &["h2"], &tls.authority, None);
        let response = client.client(tls.service.grpc).create_hub_spot_connection(request()).await;
        assert!(!response.unwrap().into_inner().id.is_empty(), "{version:?}");
        let stream = client.hears(tls.service.grpc).await.unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(version.version));
        assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(serial(&stream), 1);
    }
    assert_eq!(tls.service.emulator.connections().len(), 2);
}

#[tokio::test]
async fn a_client_without_tls_gets_nothing() {
    let tls = WithTls::start().await;
    let mut stream = TcpStream::connect(tls.service.grpc).await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    let mut heard = Vec::new();
    // At most a TLS alert: the connection may also be reset.
    let _ = in_time("the end of the connection", stream.read_to_end(&mut heard)).await;
    assert!(heard.len() <= 7 && heard.first().is_none_or(|kind| *kind == 0x15), "{heard:?}");
    until_counted(tls.service.admin, &failures("not_tls"), 1).await;
}

#[tokio::test]
async fn a_client_with_only_http_1_gets_a_response_that_explains_grpc() {
    let tls = WithTls::start().await;
    let client = TlsClient::speaking(&[&TLS13], &["http/1.1"], &tls.authority, None);
    let mut stream = client.connect(tls.service.grpc).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut response = String::new();
    in_time("the response", stream.read_to_string(&mut response)).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 400 ") && response.contains("gRPC"), "{response}");
    until_counted(tls.service.admin, "hubspot_connection_requests_refused_total{reason=\"http1\"}", 1).await;
}

#[tokio::test]
async fn a_client_with_only_another_protocol_is_refused() {
    let tls = WithTls::start().await;
    let client = TlsClient::speaking(&[&TLS13], &["spdy/3"], &tls.authority, None);
    client.hears(tls.service.grpc).await.unwrap_err();
    until_counted(tls.service.admin, &failures("no_http2"), 1).await;
}

#[tokio::test]
async fn a_client_that_names_no_protocol_is_served() {
    let tls = WithTls::start().await;
    let client = TlsClient::speaking(&[&TLS13], &[], &tls.authority, None);
    let stream = client.hears(tls.service.grpc).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    client.client(tls.service.grpc).create_hub_spot_connection(request()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_is_counted() {
    let tls = WithTls::start().await;
    let client = TlsClient::new(&Authority::new("others"), None);
    client.hears(tls.service.grpc).await.unwrap_err();
    until_counted(tls.service.admin, &failures("refused_by_peer"), 1).await;
}

#[tokio::test]
async fn a_client_that_disconnects_during_the_handshake_is_counted() {
    let tls = WithTls::start().await;
    let mut stream = TcpStream::connect(tls.service.grpc).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await.unwrap();
    drop(stream);
    until_counted(tls.service.admin, &failures("aborted"), 1).await;
}

/// Load balancers do it every few seconds.
#[tokio::test]
async fn a_port_check_is_not_a_failed_handshake() {
    let tls = WithTls::start().await;
    drop(TcpStream::connect(tls.service.grpc).await.unwrap());
    let reset = TcpStream::connect(tls.service.grpc).await.unwrap();
    reset.set_zero_linger().unwrap();
    drop(reset);
    // Also one that reads the certificate.
    drop(TlsClient::new(&tls.authority, None).connect(tls.service.grpc).await.unwrap());
    let probes = "hubspot_connection_connections_idle_total{reason=\"probe\"}";
    until_counted(tls.service.admin, probes, 3).await;
    let text = crate::support::metrics(tls.service.admin).await;
    let failures = text.lines().filter(|line| line.contains("tls_handshake_failures_total{"));
    assert!(failures.clone().count() > 5 && failures.clone().all(|line| line.ends_with(" 0")), "{text}");
}

#[tokio::test]
async fn stalled_handshakes_do_not_block_other_clients() {
    let tls = WithTls::start().await;
    let mut stalled = Vec::new();
    for started in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"].into_iter().cycle().take(100) {
        let mut stream = TcpStream::connect(tls.service.grpc).await.unwrap();
        stream.write_all(started).await.unwrap();
        stalled.push(stream);
    }
    let client = TlsClient::new(&tls.authority, None);
    let response = client.client(tls.service.grpc).create_hub_spot_connection(request()).await;
    response.unwrap();
    // The stalled connections are still open.
    for stream in &stalled {
        let mut byte = [0];
        assert_eq!(stream.try_read(&mut byte).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    assert_eq!(counted(tls.service.admin, &failures("timeout")).await, 0);
}

/// The clock stops while anything is running, and otherwise jumps to the next timer.
#[tokio::test(start_paused = true)]
async fn a_stalled_handshake_is_cut_after_ten_seconds() {
    let tls = WithTls::start().await;
    let begin = Instant::now();
    let mut stream = TcpStream::connect(tls.service.grpc).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await.unwrap();
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    // The clock may jump before the connection is accepted.
    let waited = begin.elapsed().as_secs();
    assert!((10..=12).contains(&waited) && heard.is_empty(), "{waited} {heard:?}");
    tokio::time::resume();
    until_counted(tls.service.admin, &failures("timeout"), 1).await;
}

#[tokio::test]
async fn the_admin_port_stays_plaintext() {
    let tls = WithTls::start().await;
    assert_eq!(server::health(tls.service.admin, "").await.unwrap(), "SERVING");
    assert!(crate::support::metrics(tls.service.admin).await.contains("\nhubspot_connection_build_info{"));
}
