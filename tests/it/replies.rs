//! The origin of an error reply, and its scope: Adobe's verdict on this service, a connector's error
//! about one connection, or the reply of an intermediary in Adobe's place.

mod intermediary;
mod own_request;
mod source;

use hubspot_connection_service::proto::{
    DeleteHubSpotConnectionRequest, GetHubSpotConnectionRequest, GetHubSpotTableRequest,
    ListHubSpotConnectionsRequest, ListHubSpotTablesRequest, TestHubSpotConnectionRequest,
    UpdateHubSpotConnectionRequest,
};

use crate::support::{Failure, TestService, credentials, metrics, request};

const CREATE: &str = "POST /connections";
const LIST: &str = "GET /connections";
const GET: &str = "GET /connections/{id}";
const UPDATE: &str = "PATCH /connections/{id}";
const DELETE: &str = "DELETE /connections/{id}";
const TEST: &str = "GET /connections/{id}/test";
const EXPLORE: &str = "GET /connections/{id}/explore";
const TOKEN: &str = "POST /ims/token/v3";

const UNRECOGNIZED: &str = "UPSTREAM_UNRECOGNIZED";

/// Makes the call that ends with a request to this route, and a second one.
async fn call(service: &TestService, route: &str, id: &str) -> Result<(), Failure> {
    let mut client = service.client().await;
    let id = id.to_owned();
    let result = match route {
        CREATE => client.create_hub_spot_connection(request()).await.err(),
        LIST => client.list_hub_spot_connections(ListHubSpotConnectionsRequest::default()).await.err(),
        GET => {
            let get = GetHubSpotConnectionRequest { id, ..Default::default() };
            client.get_hub_spot_connection(get).await.err()
        }
        UPDATE => {
            let credentials = Some(credentials());
            let update = UpdateHubSpotConnectionRequest { id, credentials, ..Default::default() };
            client.update_hub_spot_connection(update).await.err()
        }
        DELETE => {
            let delete = DeleteHubSpotConnectionRequest { id, allow_missing: true, ..Default::default() };
            client.delete_hub_spot_connection(delete).await.err()
        }
        TEST => {
            let test = TestHubSpotConnectionRequest { id, ..Default::default() };
            client.test_hub_spot_connection(test).await.err()
        }
        EXPLORE => {
            let tables = ListHubSpotTablesRequest { id: id.clone(), ..Default::default() };
            let tables = client.list_hub_spot_tables(tables).await.err();
            let columns =
                GetHubSpotTableRequest { id, table: "Hubspot.Contacts".to_owned(), ..Default::default() };
            let columns = client.get_hub_spot_table(columns).await.err();
            assert_eq!(tables.as_ref().map(|t| t.code()), columns.as_ref().map(|c| c.code()));
            columns
        }
        _ => panic!("{route}"),
    };
    match result {
        None => Ok(()),
        Some(status) => Err(Failure::from(status)),
    }
}

/// Fails unless the state that all calls share is unchanged: one token, an open gate, a closed breaker
/// and an untouched budget.
async fn assert_nothing_is_shared(service: &TestService, id: &str, what: &str) {
    for route in [CREATE, LIST, GET, TEST, EXPLORE] {
        call(service, route, id).await.unwrap_or_else(|failure| panic!("{what} {route}: {failure:?}"));
    }
    assert_eq!(service.requests_to("POST", "/ims/token/v3"), 1, "{what}");
    let text = metrics(service.admin).await;
    for quiet in [
        "hubspot_connection_breaker_open{service=\"flow_service\"} 0",
        "hubspot_connection_breaker_opened_total 0",
        "hubspot_connection_throttle_gate_closed{service=\"flow_service\"} 0",
        "hubspot_connection_upstream_throttled_total 0",
        "hubspot_connection_upstream_retries_refused_total 0",
        "hubspot_connection_adobe_token_valid 1",
    ] {
        assert!(text.lines().any(|line| line == quiet), "{what}: no {quiet:?} in {text}");
    }
}
