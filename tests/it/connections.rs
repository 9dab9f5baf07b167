//! An existing connection: find, read, change and delete it, also when replies are lost.

mod delete;
mod get;
mod list;
mod lost_updates;
mod names;
mod update;

use http::Method;
use hubspot_connection_service::{
    emulator::{Emulator, LedgerEntry, ReceivedRequest},
    proto::{
        DeleteHubSpotConnectionRequest, GetHubSpotConnectionRequest, HubSpotConnection, HubSpotCredentials,
        ListHubSpotConnectionsRequest, ListHubSpotConnectionsResponse, UpdateHubSpotConnectionRequest,
    },
};
use serde_json::Value;
use tonic::Response;

use crate::support::{Failure, TestService, send_upstream};

const GET: &str = "GET /connections/{id}";
const LIST: &str = "GET /connections";
const UPDATE: &str = "PATCH /connections/{id}";
const DELETE: &str = "DELETE /connections/{id}";

/// An ID of no connection.
const MISSING_ID: &str = "5b1ec3c3-0000-4000-8000-000000000000";
/// The time limit of a call without a response.
const SHORT_TIMEOUT: (&str, &str) = ("HCS_REQUEST_TIMEOUT", "900ms");

async fn get(service: &TestService, id: &str) -> Result<HubSpotConnection, Failure> {
    get_in(service, id, "").await
}

async fn get_in(service: &TestService, id: &str, sandbox: &str) -> Result<HubSpotConnection, Failure> {
    let request = GetHubSpotConnectionRequest { id: id.to_owned(), sandbox_name: sandbox.to_owned() };
    let response = service.client().await.get_hub_spot_connection(request).await;
    response.map(|response| response.into_inner().connection.unwrap()).map_err(Failure::from)
}

async fn list(
    service: &TestService,
    request: ListHubSpotConnectionsRequest,
) -> Result<ListHubSpotConnectionsResponse, Failure> {
    let response = service.client().await.list_hub_spot_connections(request).await;
    response.map(Response::into_inner).map_err(Failure::from)
}

/// Changes a connection, and returns its new version.
async fn update(service: &TestService, request: UpdateHubSpotConnectionRequest) -> Result<String, Failure> {
    let id = request.id.clone();
    let response = service.client().await.update_hub_spot_connection(request).await;
    let response = response.map(Response::into_inner).map_err(Failure::from)?;
    assert_eq!(response.id, id);
    Ok(response.etag)
}

async fn delete(service: &TestService, id: &str) -> Result<(), Failure> {
    send_delete(service, DeleteHubSpotConnectionRequest { id: id.to_owned(), ..Default::default() }).await
}

async fn delete_allowing_missing(service: &TestService, id: &str) -> Result<(), Failure> {
    let request =
        DeleteHubSpotConnectionRequest { id: id.to_owned(), allow_missing: true, ..Default::default() };
    send_delete(service, request).await
}

async fn send_delete(service: &TestService, request: DeleteHubSpotConnectionRequest) -> Result<(), Failure> {
    service.client().await.delete_hub_spot_connection(request).await.map(drop).map_err(Failure::from)
}

/// Credentials that differ from those of created connections.
fn other_credentials() -> HubSpotCredentials {
    HubSpotCredentials {
        client_id: "new-client-id".to_owned(),
        client_secret: "new-client-secret".to_owned(),
        access_token: "new-access-token".to_owned(),
        refresh_token: "new-refresh-token".to_owned(),
    }
}

/// The credentials of a connection in the Flow Service.
async fn stored_params(emulator: &Emulator, id: &str) -> Value {
    let read = send_upstream(emulator, Method::GET, &format!("/connections/{id}"), None).await;
    read["items"][0]["auth"]["params"].clone()
}

/// A connection in the Flow Service.
fn stored(service: &TestService, id: &str) -> Option<LedgerEntry> {
    service.emulator.connections().into_iter().find(|connection| connection.id == id)
}

/// The requests with this method for a single connection.
fn requests(service: &TestService, method: &str, id: &str) -> Vec<ReceivedRequest> {
    let path_end = format!("/connections/{id}");
    let received = service.emulator.received().into_iter();
    received.filter(|request| request.method == method && request.path.ends_with(&path_end)).collect()
}

/// The error of a call about a connection that is missing, or not HubSpot's.
fn assert_not_found(failure: &Failure, id: &str) {
    assert_eq!(failure.row(), (tonic::Code::NotFound, "CONNECTION_NOT_FOUND"), "{failure:?}");
    assert_eq!(failure.resource, Some(("connection".to_owned(), id.to_owned())));
    assert!(failure.message.contains("ListHubSpotConnections") && failure.forbids_retry, "{failure:?}");
}

/// Waits for this many requests with this method for a connection. Yields the only thread of the test, so
/// that nothing else happens in between.
async fn until_requested(service: &TestService, method: &str, id: &str, times: usize) {
    while requests(service, method, id).len() < times {
        tokio::task::yield_now().await;
    }
}
