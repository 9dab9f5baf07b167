//! The ports: health, reflection, the end of the process.

use std::{net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream};
use hubspot_connection_service::{
    app::Drained,
    grpc::{DATAFLOW_SERVICE_NAME, SERVICE_NAME},
    proto,
};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{
    v1::{
        ExtensionRequest, ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    v1alpha,
};

use crate::support::{Failure, TestService, request};

/// The status that a port reports for a name.
pub(crate) async fn health(address: SocketAddr, name: &str) -> Result<String, Code> {
    let mut client = HealthClient::new(channel(address).await);
    let request = HealthCheckRequest { service: name.to_owned() };
    let response = client.check(request).await.map_err(|status| status.code())?;
    Ok(response.into_inner().status().as_str_name().to_owned())
}

async fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

async fn get(address: SocketAddr, path: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{address}{path}")).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn both_ports_report_the_health_of_the_process_and_of_the_services() {
    let service = TestService::start().await;
    for address in [service.grpc, service.admin] {
        for name in ["", SERVICE_NAME, DATAFLOW_SERVICE_NAME] {
            assert_eq!(health(address, name).await.unwrap(), "SERVING", "{address} {name:?}");
        }
        assert_eq!(health(address, "other.Service").await, Err(Code::NotFound));
    }
    assert_eq!(get(service.admin, "/livez").await, 200);
    assert_eq!(get(service.admin, "/readyz").await, 200);
    assert_eq!(get(service.admin, "/other").await, 404);
}

#[tokio::test]
async fn readiness_does_not_depend_on_adobe() {
    let service = TestService::with([
        ("HCS_IMS_URL", "http://127.0.0.1:1/ims/token/v3"),
        ("HCS_FLOW_SERVICE_URL", "http://127.0.0.1:1/data/foundation/flowservice"),
        ("HCS_REQUEST_TIMEOUT", "900ms"),
    ])
    .await;
    service.create().await.unwrap_err();
    assert_eq!(get(service.admin, "/readyz").await, 200);
    assert_eq!(health(service.grpc, SERVICE_NAME).await.unwrap(), "SERVING");
}

#[tokio::test]
async fn a_stopping_service_reports_it_while_it_still_accepts() {
    let service = TestService::with([("HCS_DRAIN_DELAY", "2s")]).await;
    let (grpc, admin) = (service.grpc, service.admin);
    let mut client = service.client().await;
    let emulator = service.emulator.clone();
    let stopping = service.begin_to_stop();
    while health(grpc, "").await.unwrap() == "SERVING" {}
    assert_eq!(health(admin, SERVICE_NAME).await.unwrap(), "NOT_SERVING");
    assert_eq!((get(admin, "/readyz").await, get(admin, "/livez").await), (503, 200));
    client.create_hub_spot_connection(request()).await.unwrap();
    assert_eq!(stopping.await.unwrap(), Drained::Completely);
    assert_eq!(emulator.connections().len(), 1);
    assert!(TcpStream::connect(grpc).await.is_err());
}

#[tokio::test]
async fn a_drain_finishes_calls_and_ends_watches_and_silent_connections() {
    let service = TestService::start().await;
    let (grpc, emulator) = (service.grpc, service.emulator.clone());
    let _silent = TcpStream::connect(grpc).await.unwrap();
    let mut watch = HealthClient::new(channel(grpc).await)
        .watch(HealthCheckRequest { service: SERVICE_NAME.to_owned() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status().as_str_name(), "SERVING");

    service.inject(json!([{"route": "POST /connections", "action": {"delay": "1s"}}]));
    let mut client = service.client().await;
    let call = tokio::spawn(async move { client.create_hub_spot_connection(request()).await });
    while service.requests_to("POST", "/connections") == 0 {
        tokio::task::yield_now().await;
    }
    let drained = service.stop().await;
    assert_eq!(drained, Drained::Completely);
    assert_eq!(call.await.unwrap().unwrap().into_inner().id, emulator.connections()[0].id);
    assert_eq!(watch.message().await.unwrap().unwrap().status().as_str_name(), "NOT_SERVING");
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn streams_that_only_the_caller_would_end_do_not_delay_the_drain() {
    let service = TestService::with([("HCS_DRAIN_TIMEOUT", "600s")]).await;
    let channel = channel(service.grpc).await;
    let mut watch = HealthClient::new(channel.clone())
        .watch(HealthCheckRequest { service: SERVICE_NAME.to_owned() })
        .await
        .unwrap()
        .into_inner();
    watch.message().await.unwrap().unwrap();
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut idle = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(tokio_stream([ask]).chain(stream::pending()))
        .await
        .unwrap()
        .into_inner();
    next(&mut idle).await;
    let mut silent = v1alpha::server_reflection_client::ServerReflectionClient::new(channel)
        .server_reflection_info(stream::pending())
        .await
        .unwrap()
        .into_inner();

    let drained = timeout(Duration::from_secs(20), service.stop()).await.unwrap();
    assert_eq!(drained, Drained::Completely);
    assert_eq!(watch.message().await.unwrap().unwrap().status().as_str_name(), "NOT_SERVING");
    for status in [
        watch.message().await.unwrap_err(),
        idle.message().await.unwrap_err(),
        silent.message().await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("stopping"), "{status:?}");
    }
}

#[tokio::test]
async fn health_and_reflection_take_no_larger_messages_than_the_service() {
    let service = TestService::start().await;
    let channel = channel(service.grpc).await;
    let large = || HealthCheckRequest { service: "x".repeat(65_536) };
    let mut health = HealthClient::new(channel.clone());
    for refusal in [
        health.check(large()).await.map(drop).unwrap_err(),
        health.watch(large()).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(Failure::from(refusal).row(), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
    }
    let admin = HealthClient::new(self::channel(service.admin).await).check(large()).await.unwrap_err();
    assert_eq!(admin.code(), Code::OutOfRange);

    // A stream that cannot be read any further ends with the same error, and others continue.
    let ask = |host: String| ServerReflectionRequest {
        host,
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let requests = tokio_stream([ask("x".repeat(65_536))]).chain(stream::pending());
    let mut responses = client.server_reflection_info(requests).await.unwrap().into_inner();
    let failure = Failure::from(responses.message().await.unwrap_err());
    assert_eq!(failure.row(), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
    let mut responses =
        client.server_reflection_info(tokio_stream([ask("x".repeat(65_000))])).await.unwrap().into_inner();
    // A response does not repeat an invalid host.
    let response = responses.message().await.unwrap().unwrap();
    assert!(response.valid_host.len() < 253 && response.original_request.unwrap().host.len() < 253);
}

#[tokio::test]
async fn a_drain_waits_for_abandoned_creations_within_its_limit() {
    let service = TestService::start().await;
    let emulator = service.emulator.clone();
    service.inject(json!([{"route": "POST /connections", "action": {"delay": "1s"}}]));
    service.create_within("100m").await;
    assert_eq!(service.stop().await, Drained::Completely);
    assert_eq!(emulator.connections().len(), 1);

    let service = TestService::with([("HCS_DRAIN_TIMEOUT", "100ms")]).await;
    let _emulator = service.emulator.clone();
    service.inject(json!([{"route": "POST /connections", "action": {"delay": "30s"}}]));
    service.create_within("100m").await;
    assert_eq!(service.stop().await, Drained::TimedOut);
}

#[tokio::test]
async fn reflection_serves_the_service_with_its_options_and_comments() {
    let service = TestService::start().await;
    let mut client = ServerReflectionClient::new(channel(service.grpc).await);
    let ask = |message_request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let requests = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("hubspot_connection.v1.HubSpotCredentials".to_owned()),
        MessageRequest::FileByFilename("google/protobuf/timestamp.proto".to_owned()),
        MessageRequest::FileContainingSymbol("google.rpc.BadRequest".to_owned()),
        MessageRequest::FileContainingSymbol("hubspot_connection.v1.ErrorReason".to_owned()),
    ]
    .map(ask);
    let mut responses = client.server_reflection_info(tokio_stream(requests)).await.unwrap().into_inner();

    let MessageResponse::ListServicesResponse(list) = next(&mut responses).await else { panic!() };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for expected in [SERVICE_NAME, DATAFLOW_SERVICE_NAME, "grpc.health.v1.Health"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }

    let MessageResponse::FileDescriptorResponse(messages) = next(&mut responses).await else { panic!() };
    let MessageResponse::FileDescriptorResponse(timestamp) = next(&mut responses).await else { panic!() };
    let mut pool = DescriptorPool::new();
    pool.decode_file_descriptor_proto(&*timestamp.file_descriptor_proto[0]).unwrap();
    pool.decode_file_descriptor_proto(&*messages.file_descriptor_proto[0]).unwrap();
    let credentials = pool.get_message_by_name("hubspot_connection.v1.HubSpotCredentials").unwrap();
    for (field, is_redacted) in
        [("client_id", false), ("client_secret", true), ("access_token", true), ("refresh_token", true)]
    {
        let options = credentials.get_field_by_name(field).unwrap().options();
        let redact = options.get_field_by_name("debug_redact").and_then(|value| value.as_bool());
        assert_eq!(redact.unwrap_or_default(), is_redacted, "{field}");
    }
    let source = credentials.parent_file_descriptor_proto().source_code_info.clone().unwrap();
    let comments: Vec<_> = source.location.iter().filter_map(|l| l.leading_comments.as_deref()).collect();
    assert!(comments.iter().any(|comment| comment.contains("Required. The client secret")));

    let MessageResponse::FileDescriptorResponse(_) = next(&mut responses).await else { panic!() };
    let MessageResponse::FileDescriptorResponse(_) = next(&mut responses).await else { panic!() };
}

async fn next(
    responses: &mut tonic::Streaming<tonic_reflection::pb::v1::ServerReflectionResponse>,
) -> MessageResponse {
    responses.message().await.unwrap().unwrap().message_response.unwrap()
}

fn tokio_stream<T: Send + 'static, const N: usize>(
    items: [T; N],
) -> impl futures_util::Stream<Item = T> + Send + 'static {
    stream::iter(items)
}

/// The expected response to each of these: a file, or the code of an error.
fn outcome(response: MessageResponse) -> Result<usize, i32> {
    match response {
        MessageResponse::FileDescriptorResponse(files) => Ok(files.file_descriptor_proto.len()),
        MessageResponse::AllExtensionNumbersResponse(numbers) => Ok(numbers.extension_number.len()),
        MessageResponse::ErrorResponse(error) => {
            assert!(!error.error_message.is_empty());
            Err(error.error_code)
        }
        MessageResponse::ListServicesResponse(list) => Ok(list.service.len()),
    }
}

#[tokio::test]
async fn an_unknown_symbol_is_an_error_response_and_the_reflection_stream_continues() {
    const NOT_FOUND: Result<usize, i32> = Err(5);
    const INVALID_ARGUMENT: Result<usize, i32> = Err(3);
    let extension = |containing_type: &str| ExtensionRequest {
        containing_type: containing_type.to_owned(),
        extension_number: 50_000,
    };
    let requests = [
        (Some(MessageRequest::FileContainingSymbol("no.such.Symbol".to_owned())), NOT_FOUND),
        (Some(MessageRequest::FileByFilename("no/such.proto".to_owned())), NOT_FOUND),
        (Some(MessageRequest::FileContainingExtension(extension("google.protobuf.Timestamp"))), NOT_FOUND),
        (Some(MessageRequest::AllExtensionNumbersOfType("no.such.Type".to_owned())), NOT_FOUND),
        (Some(MessageRequest::AllExtensionNumbersOfType("google.rpc.ErrorInfo".to_owned())), Ok(0)),
        (Some(MessageRequest::FileContainingSymbol(String::new())), NOT_FOUND),
        (Some(MessageRequest::FileContainingSymbol("x".repeat(60_000))), NOT_FOUND),
        (None, INVALID_ARGUMENT),
        (Some(MessageRequest::FileContainingSymbol(SERVICE_NAME.to_owned())), Ok(1)),
        (
            Some(MessageRequest::FileContainingSymbol(format!("{SERVICE_NAME}.CreateHubSpotConnection"))),
            Ok(1),
        ),
    ];
    let service = TestService::start().await;
    let channel = channel(service.grpc).await;
    let asked = requests.each_ref().map(|(message_request, _)| ServerReflectionRequest {
        host: "h".to_owned(),
        message_request: message_request.clone(),
    });
    let mut client = ServerReflectionClient::new(channel.clone());
    let mut responses =
        client.server_reflection_info(tokio_stream(asked.clone())).await.unwrap().into_inner();
    for (asked, (_, expected)) in asked.iter().zip(&requests) {
        let response = responses.message().await.unwrap().unwrap();
        assert_eq!((&*response.valid_host, response.original_request.as_ref()), ("h", Some(asked)));
        assert_eq!(outcome(response.message_response.unwrap()), *expected, "{asked:?}");
    }
    assert_eq!(responses.message().await.unwrap(), None);

    // The older version has the same messages.
    let asked = asked.map(|asked| v1alpha::ServerReflectionRequest::decode(&*asked.encode_to_vec()).unwrap());
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut responses = client.server_reflection_info(tokio_stream(asked)).await.unwrap().into_inner();
    for (_, expected) in &requests {
        let response = responses.message().await.unwrap().unwrap();
        let response =
            tonic_reflection::pb::v1::ServerReflectionResponse::decode(&*response.encode_to_vec()).unwrap();
        assert_eq!(outcome(response.message_response.unwrap()), *expected);
    }
}

#[tokio::test]
async fn the_older_reflection_service_works_too_and_both_can_be_disabled() {
    use v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };
    let ask = || {
        tokio_stream([ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        }])
    };
    let service = TestService::start().await;
    let mut client = ServerReflectionClient::new(channel(service.grpc).await);
    let mut responses = client.server_reflection_info(ask()).await.unwrap().into_inner();
    assert!(responses.message().await.unwrap().is_some());

    let service = TestService::with([("HCS_REFLECTION", "false")]).await;
    let mut client = ServerReflectionClient::new(channel(service.grpc).await);
    let status = client.server_reflection_info(ask()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[test]
fn every_method_without_side_effects_declares_it() {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let services = [SERVICE_NAME, DATAFLOW_SERVICE_NAME].map(|name| pool.get_service_by_name(name).unwrap());
    let levels: Vec<_> = services
        .iter()
        .flat_map(|service| service.methods())
        .map(|method| {
            let options = method.options();
            let level = options.get_field_by_name("idempotency_level");
            (method.name().to_owned(), level.and_then(|level| level.as_enum_number()).unwrap_or_default())
        })
        .collect();
    const UNKNOWN: i32 = 0;
    const NO_SIDE_EFFECTS: i32 = 1;
    const IDEMPOTENT: i32 = 2;
    let expected = [
        ("CreateHubSpotConnection", UNKNOWN),
        ("GetHubSpotConnection", NO_SIDE_EFFECTS),
        ("ListHubSpotConnections", NO_SIDE_EFFECTS),
        ("UpdateHubSpotConnection", UNKNOWN),
        ("DeleteHubSpotConnection", IDEMPOTENT),
        ("TestHubSpotConnection", NO_SIDE_EFFECTS),
        ("ListHubSpotTables", NO_SIDE_EFFECTS),
        ("GetHubSpotTable", NO_SIDE_EFFECTS),
        ("CreateHubSpotDataflow", UNKNOWN),
        ("GetHubSpotDataflow", NO_SIDE_EFFECTS),
        ("ListHubSpotDataflows", NO_SIDE_EFFECTS),
        ("PauseHubSpotDataflow", IDEMPOTENT),
        ("ResumeHubSpotDataflow", IDEMPOTENT),
        ("DeleteHubSpotDataflow", IDEMPOTENT),
        ("ListHubSpotDataflowRuns", NO_SIDE_EFFECTS),
    ];
    assert_eq!(levels, expected.map(|(name, level)| (name.to_owned(), level)));
}
