//! Clients that do not speak HTTP/2.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::beside;
use crate::support::{TestService, counted, in_time, until_counted};

/// The response to these bytes, until the end of the connection.
async fn response_to(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut response = Vec::new();
    in_time("the end of the connection", stream.read_to_end(&mut response)).await.unwrap();
    String::from_utf8(response).unwrap()
}

fn refused(reason: &str) -> String {
    format!("hubspot_connection_requests_refused_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn an_http_1_client_gets_a_response_that_explains_grpc() {
    let service = TestService::start().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: service\r\n\r\n",
        "POST /hubspot_connection.v1.HubSpotConnectionService/GetHubSpotConnection HTTP/1.1\r\nhost: s\r\n\
         content-length: 5\r\n\r\n\0\0\0\0\0",
        "PRI * HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let response = beside(&service, response_to(service.grpc, request.as_bytes())).await;
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{request}: {response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(body.contains("gRPC") && body.contains("HTTP/2"), "{body}");
    }
    let head = response_to(service.grpc, b"HEAD / HTTP/1.1\r\nhost: service\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(counted(service.admin, &refused("http1")).await, 5);

    // Also a client that parses it as HTTP.
    let response = reqwest::get(format!("http://{}/", service.grpc)).await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("gRPC"));
}

#[tokio::test]
async fn a_client_that_does_not_speak_http_is_cut_and_counted() {
    let service = TestService::start().await;
    for bytes in [&b"\x16\x03\x01\x02\0\x01\0"[..], b"\0\0\0\0", b"SSH-2.0-OpenSSH_9.2\r\n"] {
        assert_eq!(beside(&service, response_to(service.grpc, bytes)).await, "");
    }
    assert_eq!(counted(service.admin, &refused("not_http")).await, 3);
}

#[tokio::test]
async fn a_port_check_is_not_an_event() {
    let service = TestService::start().await;
    drop(TcpStream::connect(service.grpc).await.unwrap());
    let reset = TcpStream::connect(service.grpc).await.unwrap();
    reset.set_zero_linger().unwrap();
    drop(reset);
    let idle = |reason: &str| format!("hubspot_connection_connections_idle_total{{reason=\"{reason}\"}}");
    until_counted(service.admin, &idle("probe"), 2).await;
    for reason in ["http1", "not_http"] {
        assert_eq!(counted(service.admin, &refused(reason)).await, 0);
    }
}
