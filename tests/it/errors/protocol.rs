//! The requirements of gRPC: methods, media types, compression.

use std::process::Stdio;

use hubspot_connection_service::{
    grpc::SERVICE_NAME,
    proto::{
        CreateHubSpotConnectionRequest, hub_spot_connection_service_client::HubSpotConnectionServiceClient,
    },
};
use prost::Message as _;
use tokio::{io::AsyncWriteExt as _, process::Command};
use tonic::{Code, Status, codec::CompressionEncoding, transport::Channel};

use crate::support::{Failure, TestService, counted, framed, post, request};

const CREATE: &str = "CreateHubSpotConnection";

/// A message with the flag for compression.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut framed = framed(message);
    framed[0] = 1;
    framed
}

async fn gzip(bytes: Vec<u8>) -> Vec<u8> {
    let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let write = tokio::spawn(async move { input.write_all(&bytes).await });
    let output = gzip.wait_with_output().await.unwrap();
    write.await.unwrap().unwrap();
    output.stdout
}

#[tokio::test]
async fn a_request_may_be_compressed_with_gzip() {
    let service = TestService::start().await;
    let channel = Channel::from_shared(format!("http://{}", service.grpc)).unwrap().connect().await.unwrap();
    let mut client = HubSpotConnectionServiceClient::new(channel)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let created = client.create_hub_spot_connection(request()).await.unwrap().into_inner();
    assert_eq!(created.id, service.emulator.connections()[0].id);
}

#[tokio::test]
async fn a_compressed_request_is_no_larger_than_any_other_once_it_is_read() {
    let service = TestService::start().await;
    let large = |size| CreateHubSpotConnectionRequest { description: "x".repeat(size), ..request() };
    for (size, row) in [
        (60_000, (Code::InvalidArgument, "INVALID_REQUEST")),
        (66_000, (Code::ResourceExhausted, "REQUEST_TOO_LARGE")),
        (50_000_000, (Code::ResourceExhausted, "REQUEST_TOO_LARGE")),
    ] {
        let body = compressed(&gzip(large(size).encode_to_vec()).await);
        let (_, failure) = service.post(&[("grpc-encoding", "gzip")], body).await;
        assert_eq!(failure.unwrap().row(), row, "{size}");
    }
    for broken in [&b"no gzip"[..], b"\x1f\x8b\x08", b""] {
        let (_, failure) = service.post(&[("grpc-encoding", "gzip")], compressed(broken)).await;
        assert_eq!(failure.unwrap().row(), (Code::InvalidArgument, "INVALID_REQUEST"), "{broken:?}");
    }
    // A message of a compressed call may be uncompressed.
    let message = framed(&request().encode_to_vec());
    assert!(service.post(&[("grpc-encoding", "gzip")], message).await.1.is_none());
}

#[tokio::test]
async fn other_compressions_are_refused_with_a_list_of_the_supported_ones() {
    let service = TestService::start().await;
    for encoding in ["deflate", "zstd", "snappy", "br", "GZIP", "gzip,identity", ""] {
        let body = compressed(&request().encode_to_vec());
        let response = post(service.grpc, &[("grpc-encoding", encoding)], body).await;
        assert_eq!(response.headers()["grpc-accept-encoding"], "gzip,identity", "{encoding}");
        let failure = Failure::from(Status::from_header_map(response.headers()).unwrap());
        assert_eq!(failure.row(), (Code::Unimplemented, "INVALID_REQUEST"));
        assert!(failure.message.contains(encoding) && failure.message.contains("gzip"), "{failure:?}");
    }
    let refused = "hubspot_connection_requests_refused_total{reason=\"encoding\"}";
    assert_eq!(counted(service.admin, refused).await, 7);
    assert_eq!(service.emulator.connections().len(), 0);
}

/// The code is that of gRPC's compression document.
#[tokio::test]
async fn a_message_that_is_compressed_by_no_known_means_is_an_error_of_the_protocol() {
    let service = TestService::start().await;
    for headers in [&[][..], &[("grpc-encoding", "identity")]] {
        let (_, failure) = service.post(headers, compressed(&request().encode_to_vec())).await;
        let failure = failure.unwrap();
        assert_eq!(failure.row(), (Code::Internal, "INVALID_REQUEST"));
        assert!(failure.message.contains("grpc-encoding"), "{failure:?}");
    }
    // An invalid flag.
    let mut body = framed(&request().encode_to_vec());
    body[0] = 7;
    let (_, failure) = service.post(&[], body).await;
    assert_eq!(failure.unwrap().row(), (Code::InvalidArgument, "INVALID_REQUEST"));
}

#[tokio::test]
async fn media_types_ignore_case_and_space() {
    let service = TestService::start().await;
    for content_type in [
        "application/grpc",
        "Application/GRPC+Proto; charset=utf-8",
        "APPLICATION/GRPC",
        "application/grpc ; a=b",
        "application/grpc+proto",
    ] {
        let body = framed(&request().encode_to_vec());
        let (status, failure) = service.post(&[("content-type", content_type)], body).await;
        assert_eq!((status, failure.is_none()), (200, true), "{content_type}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_refused_with_a_list_of_the_services() {
    let service = TestService::start().await;
    let without_reflection = TestService::with([("HCS_REFLECTION", "false")]).await;
    let long = format!("/{}/Method", "a".repeat(5000));
    for (service, path, part) in [
        (&service, &*format!("/{SERVICE_NAME}/NoSuchMethod"), "NoSuchMethod"),
        (&service, "/hubspot_connection.v2.HubSpotConnectionService/CreateHubSpotConnection", CREATE),
        (&service, "/grpc.health.v1.Health/List", "Health/List"),
        (&service, "/CreateHubSpotConnection", CREATE),
        (&service, "/", SERVICE_NAME),
        (&service, &long, SERVICE_NAME),
        (&without_reflection, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "HCS_REFLECTION"),
    ] {
        let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
        let call = client.post(format!("http://{}{path}", service.grpc)).header("te", "trailers");
        let response =
            call.header("content-type", "application/grpc").body(framed(&[])).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let failure = Failure::from(Status::from_header_map(response.headers()).unwrap());
        assert_eq!(failure.row(), (Code::Unimplemented, "INVALID_REQUEST"), "{path}");
        assert!(failure.message.contains(part) && failure.message.len() < 500, "{path}: {failure:?}");
    }
    let refused = "hubspot_connection_requests_refused_total{reason=\"unknown_method\"}";
    assert_eq!(counted(service.admin, refused).await, 6);
}
