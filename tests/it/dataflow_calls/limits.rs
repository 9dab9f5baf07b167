//! Calls about dataflows share the limits of all calls, and both services are announced.

use hubspot_connection_service::{
    grpc::{DATAFLOW_SERVICE_NAME, SERVICE_NAME},
    proto,
};
use serde_json::json;
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::{Setup, client, creation};
use crate::{
    server::health,
    support::{Failure, TestService, until},
};

const OVERLOADED: (Code, &str) = (Code::ResourceExhausted, "OVERLOADED");

#[tokio::test]
async fn calls_beyond_the_limit_are_shed_whatever_their_service() {
    let mut setup = Setup::over(TestService::with([("HCS_MAX_IN_FLIGHT", "1")]).await).await;
    let id = setup.create("Contacts").await.id;
    setup.service.inject(json!([{"route": "GET /flows/{id}", "action": {"delay": "5s"}}]));
    let mut slow = client(setup.service.grpc).await;
    let get = proto::GetHubSpotDataflowRequest { id: id.clone(), ..Default::default() };
    let before = setup.service.requests_to("GET", &id);
    let slow = tokio::spawn(async move { slow.get_hub_spot_dataflow(get).await });
    until("the slow call", || setup.service.requests_to("GET", &id) > before).await;
    for failure in [
        setup.get(&id).await.map(drop).unwrap_err(),
        setup.pause(&id).await.map(drop).unwrap_err(),
        setup.delete(&id, true).await.map(drop).unwrap_err(),
        setup.runs(super::runs::of(&id)).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(failure.row(), OVERLOADED);
        assert!(failure.retry_after.is_some());
    }
    let list = proto::ListHubSpotConnectionsRequest::default();
    let failure = setup.service.client().await.list_hub_spot_connections(list).await.unwrap_err();
    assert_eq!(Failure::from(failure).row(), OVERLOADED);
    // Creations have a limit of their own.
    setup.create("Deals").await;
    assert_eq!(health(setup.service.grpc, DATAFLOW_SERVICE_NAME).await.unwrap(), "SERVING");
    slow.await.unwrap().unwrap();
    setup.get(&id).await.unwrap();
}

#[tokio::test]
async fn creations_of_both_kinds_share_a_limit() {
    let setup = Setup::over(TestService::with([("HCS_MAX_IN_FLIGHT", "1")]).await).await;
    setup.service.inject(json!([{"route": "POST /flows", "action": {"delay": "4s"}}]));
    let mut slow = client(setup.service.grpc).await;
    let request = creation(&setup.connection, "Contacts");
    let slow = tokio::spawn(async move { slow.create_hub_spot_dataflow(request).await });
    until("the flow", || setup.service.requests_to("POST", "/flows") > 0).await;
    assert_eq!(setup.service.create().await.unwrap_err().row(), OVERLOADED);
    let mut other = setup.client.clone();
    let request = creation(&setup.connection, "Deals");
    let failure = Failure::from(other.create_hub_spot_dataflow(request).await.unwrap_err());
    assert_eq!(failure.row(), OVERLOADED);
    slow.await.unwrap().unwrap();
    setup.service.create().await.unwrap();
    assert_eq!(setup.ledger().flows, 1);
}

#[tokio::test]
async fn both_services_are_healthy_and_listed_by_reflection() {
    let service = TestService::start().await;
    for name in [SERVICE_NAME, DATAFLOW_SERVICE_NAME] {
        assert_eq!(health(service.grpc, name).await.unwrap(), "SERVING");
    }
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", service.grpc)).unwrap();
    let mut client = ServerReflectionClient::new(endpoint.connect().await.unwrap());
    let asked = futures_util::stream::iter([ask]);
    let mut replies = client.server_reflection_info(asked).await.unwrap().into_inner();
    let reply = replies.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = reply else { panic!("{reply:?}") };
    let names: Vec<_> = listed.service.iter().map(|service| &*service.name).collect();
    assert!(names.contains(&SERVICE_NAME) && names.contains(&DATAFLOW_SERVICE_NAME), "{names:?}");
}
