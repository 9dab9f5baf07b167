//! Callers that may only read, and callers that may write.

use hubspot_connection_service::proto;
use tonic::{Code, Status};

use super::{Client, client, creation, deletion};
use crate::support::{
    Failure, TestService, listen, request,
    tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, bearing, claims},
};

type Outcome = (&'static str, Result<(), Status>);

async fn read_all(client: &mut Client, token: &str, id: &str) -> [Outcome; 3] {
    let id = id.to_owned();
    let get = proto::GetHubSpotDataflowRequest { id: id.clone(), ..Default::default() };
    let list = proto::ListHubSpotDataflowsRequest::default();
    let runs = proto::ListHubSpotDataflowRunsRequest { id, ..Default::default() };
    [
        ("get", client.get_hub_spot_dataflow(bearing(token, get)).await.map(drop)),
        ("list", client.list_hub_spot_dataflows(bearing(token, list)).await.map(drop)),
        ("runs", client.list_hub_spot_dataflow_runs(bearing(token, runs)).await.map(drop)),
    ]
}

async fn write_all(client: &mut Client, token: &str, connection: &str, id: &str) -> [Outcome; 5] {
    let create = creation(connection, "Another");
    let check =
        proto::CreateHubSpotDataflowRequest { validate_only: true, ..creation(connection, "Checked") };
    let pause = proto::PauseHubSpotDataflowRequest { id: id.to_owned(), ..Default::default() };
    let resume = proto::ResumeHubSpotDataflowRequest { id: id.to_owned(), ..Default::default() };
    let delete = deletion(id, false);
    [
        ("create", client.create_hub_spot_dataflow(bearing(token, create)).await.map(drop)),
        ("validate_only", client.create_hub_spot_dataflow(bearing(token, check)).await.map(drop)),
        ("pause", client.pause_hub_spot_dataflow(bearing(token, pause)).await.map(drop)),
        ("resume", client.resume_hub_spot_dataflow(bearing(token, resume)).await.map(drop)),
        ("delete", client.delete_hub_spot_dataflow(bearing(token, delete)).await.map(drop)),
    ]
}

#[tokio::test]
async fn a_caller_that_may_read_does_not_write_and_another_may_nothing() {
    let key = TokenKey::es256("key");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    let service = TestService::with([
        ("HCS_JWT_ISSUER", ISSUER),
        ("HCS_JWT_AUDIENCE", AUDIENCE),
        ("HCS_JWT_JWKS_URL", &*keys.url),
        ("HCS_CALLERS", "jwt:writer=write,jwt:reader=read"),
    ])
    .await;
    let [writer, reader, stranger] =
        ["writer", "reader", "stranger"].map(|subject| key.sign(&claims(subject)));
    let connection = service.client().await.create_hub_spot_connection(bearing(&writer, request())).await;
    let connection = connection.unwrap().into_inner().id;
    let mut client = client(service.grpc).await;
    let id = client.create_hub_spot_dataflow(bearing(&writer, creation(&connection, "Contacts"))).await;
    let id = id.unwrap().into_inner().id;

    for (method, outcome) in read_all(&mut client, &reader, &id).await {
        outcome.unwrap_or_else(|status| panic!("{method}: {status:?}"));
    }
    let sent = service.emulator.received().len();
    let refused = write_all(&mut client, &reader, &connection, &id).await.into_iter();
    let refused = refused.chain(read_all(&mut client, &stranger, &id).await);
    for (method, outcome) in refused.chain(write_all(&mut client, &stranger, &connection, &id).await) {
        let failure = Failure::from(outcome.unwrap_err());
        assert_eq!(failure.row(), (Code::PermissionDenied, "CALLER_NOT_ALLOWED"), "{method}");
    }
    let get = proto::GetHubSpotDataflowRequest { id: id.clone(), ..Default::default() };
    let anonymous = Failure::from(client.get_hub_spot_dataflow(get).await.unwrap_err());
    assert_eq!(anonymous.row(), (Code::Unauthenticated, "CALLER_UNAUTHENTICATED"));
    assert_eq!(service.emulator.received().len(), sent);

    for (method, outcome) in write_all(&mut client, &writer, &connection, &id).await {
        outcome.unwrap_or_else(|status| panic!("{method}: {status:?}"));
    }
    assert_eq!(service.emulator.ledger().flows, 1);
}
