//! `ListHubSpotTables` and `GetHubSpotTable`.

use std::time::Duration;

use hubspot_connection_service::{emulator::ReceivedRequest, proto};
use serde_json::json;
use tonic::Code;

use crate::{
    diagnosis,
    support::{Failure, TestService, salesforce},
};

const TEST: &str = "GET /connections/{id}/test";
const EXPLORE: &str = "GET /connections/{id}/explore";
const CONTACTS: &str = "Hubspot.Contacts";
/// Too short to wait for the end of a throttle.
const SHORT_TIMEOUT: [(&str, &str); 1] = [("HCS_REQUEST_TIMEOUT", "5s")];

async fn tables(service: &TestService, id: &str) -> Result<Vec<proto::HubSpotTable>, Failure> {
    let request = proto::ListHubSpotTablesRequest { id: id.to_owned(), ..Default::default() };
    let response = service.client().await.list_hub_spot_tables(request).await;
    response.map(|response| response.into_inner().tables).map_err(Failure::from)
}

async fn columns(service: &TestService, id: &str, table: &str) -> Result<Vec<proto::HubSpotColumn>, Failure> {
    let request = proto::GetHubSpotTableRequest {
        id: id.to_owned(),
        table: table.to_owned(),
        ..proto::GetHubSpotTableRequest::default()
    };
    let response = service.client().await.get_hub_spot_table(request).await;
    response.map(|response| response.into_inner().columns).map_err(Failure::from)
}

/// The requests to explore that were received.
fn explored(service: &TestService) -> Vec<ReceivedRequest> {
    let received = service.emulator.received();
    received.into_iter().filter(|request| request.path.ends_with("/explore")).collect()
}

/// The number of times that a connection itself was read.
fn reads(service: &TestService, id: &str) -> usize {
    service.requests_to("GET", &format!("/connections/{id}"))
}

#[tokio::test]
async fn the_tables_of_a_connection_are_listed() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let tables = tables(&service, &id).await.unwrap();
    let paths: Vec<_> = tables.iter().map(|table| &*table.path).collect();
    assert_eq!(paths, ["Hubspot.All_Deals", "Hubspot.Blog_Authors", "Hubspot.Blog_Comments", CONTACTS]);
    let contacts = proto::HubSpotTable {
        name: CONTACTS.to_owned(),
        path: CONTACTS.to_owned(),
        can_preview: true,
        can_fetch_schema: true,
    };
    assert_eq!(tables[3], contacts);
    // The documentation has upper case, and all uses are lower case.
    assert_eq!(explored(&service)[0].query.as_deref(), Some("objectType=root"));
}

#[tokio::test]
async fn the_columns_of_a_table_are_listed_with_their_types() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let columns = columns(&service, &id, CONTACTS).await.unwrap();
    let shown: Vec<_> =
        columns.iter().map(|c| (&*c.name, &*c.r#type, &*c.xdm_type, &*c.xdm_format)).collect();
    assert_eq!(
        shown,
        [
            ("Properties_Firstname_Value", "string", "string", ""),
            ("Properties_Lastname_Value", "string", "string", ""),
            ("Added_At", "string", "string", "date-time"),
            ("Portal_Id", "string", "string", ""),
            ("Vid", "string", "string", ""),
        ]
    );
    let query = "objectType=table&object=Hubspot.Contacts";
    assert_eq!(explored(&service)[0].query.as_deref(), Some(query));
}

#[tokio::test]
async fn a_path_arrives_unchanged_with_any_characters() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let path = " Größe & Co. / 100%+\u{1f680}?#object=x;y=\"'\\";
    let failure = columns(&service, &id, path).await.unwrap_err();
    assert_eq!(failure.row(), (Code::NotFound, "TABLE_NOT_FOUND"));
    let query = explored(&service)[0].query.clone().unwrap();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(pairs, [pair("objectType", "table"), pair("object", path)]);
    // Some servers decode a `+` as a space.
    assert!(!query.contains('+') && query.contains("%26%20Co."), "{query}");
}

#[tokio::test]
async fn an_unknown_table_is_named_and_its_connection_is_not_blamed() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for table in ["Hubspot.Tickets", "hubspot.contacts"] {
        let failure = columns(&service, &id, table).await.unwrap_err();
        assert_eq!(failure.row(), (Code::NotFound, "TABLE_NOT_FOUND"));
        assert_eq!(failure.resource, Some(("table".to_owned(), table.to_owned())));
        assert!(failure.message.contains("ListHubSpotTables") && failure.forbids_retry, "{failure:?}");
    }
    // The longest valid path does not exceed the headers of an error either.
    let failure = columns(&service, &id, &"\u{1f680}".repeat(1024)).await.unwrap_err();
    assert_eq!(failure.row(), (Code::NotFound, "TABLE_NOT_FOUND"));
    assert!(failure.message.len() < 2000);
}

#[tokio::test]
async fn an_existing_table_that_cannot_be_read_is_reported_as_by_the_flow_service() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for (action, row) in [
        (json!({"status": 400, "shape": "A", "code": "1308"}), (Code::InvalidArgument, "UPSTREAM_REJECTED")),
        (
            json!({"status": 403, "shape": "A", "code": "2120"}),
            (Code::FailedPrecondition, "PLATFORM_PERMISSION_MISSING"),
        ),
        (
            json!({"status": 403, "shape": "D", "code": "403003"}),
            (Code::FailedPrecondition, "PLATFORM_CREDENTIALS_REJECTED"),
        ),
        (json!({"status": 200, "shape": "html"}), (Code::FailedPrecondition, "UPSTREAM_UNRECOGNIZED")),
        (json!({"status": 200, "shape": "A"}), (Code::Internal, "UPSTREAM_UNDECODABLE")),
    ] {
        service.inject(json!([{"route": EXPLORE, "action": action}]));
        assert_eq!(columns(&service, &id, CONTACTS).await.unwrap_err().row(), row, "{action}");
    }
    service.inject(json!([{"route": EXPLORE, "count": 0, "action": {"status": 504, "shape": "A"}}]));
    for failure in
        [columns(&service, &id, CONTACTS).await.unwrap_err(), tables(&service, &id).await.unwrap_err()]
    {
        assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
        assert_eq!(failure.metadata("upstream_status"), "504");
        assert!(failure.retry_after.is_some());
    }
}

#[tokio::test]
async fn an_invalid_path_is_refused() {
    let service = TestService::start().await;
    for table in ["", "  ", "a\nb", &"a".repeat(1025)] {
        let failure = columns(&service, "any", table).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
        assert_eq!(failure.violations[0].0, "table");
    }
    let failure = tables(&service, "").await.unwrap_err();
    assert_eq!(failure.violations[0].0, "id");
    assert_eq!(service.requests_to("GET", ""), 0);
}

#[tokio::test]
async fn another_sources_connection_is_not_found_and_not_explored() {
    let service = TestService::start().await;
    let salesforce = salesforce(&service.emulator).await;
    for id in [&*salesforce, "unknown"] {
        for failure in
            [tables(&service, id).await.unwrap_err(), columns(&service, id, "Account").await.unwrap_err()]
        {
            assert_eq!(failure.row(), (Code::NotFound, "CONNECTION_NOT_FOUND"));
            assert_eq!(failure.resource, Some(("connection".to_owned(), id.to_owned())));
        }
    }
    assert_eq!(explored(&service).len(), 0);
}

#[tokio::test]
async fn a_connection_that_was_proven_to_be_to_hubspot_is_not_read_again() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for _ in 0..3 {
        tables(&service, &id).await.unwrap();
        columns(&service, &id, CONTACTS).await.unwrap();
    }
    assert_eq!((reads(&service, &id), explored(&service).len()), (1, 6));
    // In another sandbox it is another connection.
    let request = proto::ListHubSpotTablesRequest { id: id.clone(), sandbox_name: "dev".to_owned() };
    let status = service.client().await.list_hub_spot_tables(request).await.unwrap_err();
    assert_eq!(Failure::from(status).row(), (Code::NotFound, "CONNECTION_NOT_FOUND"));

    // The proof does not show whether it still exists.
    service.emulator.reset();
    for failure in
        [tables(&service, &id).await.unwrap_err(), columns(&service, &id, CONTACTS).await.unwrap_err()]
    {
        assert_eq!(failure.row(), (Code::NotFound, "CONNECTION_NOT_FOUND"));
    }
}

#[tokio::test]
async fn a_failed_proof_is_not_remembered() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let failing = json!({"status": 500, "shape": "A"});
    service.inject(json!([{"route": "GET /connections/{id}", "count": 0, "action": failing}]));
    let failure = tables(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert_eq!(explored(&service).len(), 0);
    service.inject(json!([]));
    tables(&service, &id).await.unwrap();
}

#[tokio::test]
async fn a_failure_of_hubspot_does_not_block_creations() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let failing = json!({"status": 500, "shape": "A"});
    service.inject(json!([
        {"route": EXPLORE, "count": 0, "action": failing},
        {"route": TEST, "count": 0, "action": failing},
    ]));
    for _ in 0..6 {
        assert_eq!(tables(&service, &id).await.unwrap_err().code, Code::Unavailable);
        assert_eq!(diagnosis::test(&service, &id).await.unwrap_err().code, Code::Unavailable);
    }
    assert!(explored(&service).len() >= 6 && service.requests_to("GET", "/test") >= 6);
    service.create().await.unwrap();
}

#[tokio::test]
async fn a_throttle_by_hubspot_affects_one_call_and_one_by_adobe_affects_all() {
    for (shape, is_adobes) in [("A", false), ("B", false), ("D", true)] {
        for route in [TEST, EXPLORE] {
            let service = TestService::with(SHORT_TIMEOUT).await;
            let id = service.create().await.unwrap().id;
            let throttle = json!({"status": 429, "shape": shape, "headers": {"retry-after": "40"}});
            service.inject(json!([{"route": route, "count": 0, "action": throttle}]));
            let failure = if route == TEST {
                diagnosis::test(&service, &id).await.unwrap_err()
            } else {
                tables(&service, &id).await.unwrap_err()
            };
            assert_eq!(failure.row(), (Code::ResourceExhausted, "UPSTREAM_THROTTLED"), "{shape} {route}");
            assert_eq!(failure.retry_after, Some(Duration::from_secs(40)));
            if is_adobes {
                let failure = service.create().await.unwrap_err();
                assert_eq!(failure.row(), (Code::ResourceExhausted, "UPSTREAM_THROTTLED"));
            } else {
                service.create().await.unwrap();
            }
        }
    }
    // A code with another meaning, with the same status from any source.
    let service = TestService::with(SHORT_TIMEOUT).await;
    let id = service.create().await.unwrap().id;
    let throttle = json!({"status": 429, "shape": "D", "code": "429001", "headers": {"retry-after": "40"}});
    service.inject(json!([{"route": EXPLORE, "count": 0, "action": throttle}]));
    assert_eq!(tables(&service, &id).await.unwrap_err().reason, "UPSTREAM_THROTTLED");
    service.create().await.unwrap();
}

#[tokio::test]
async fn a_deadline_exceeded_while_exploring_is_reported_as_one() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "500ms")]).await;
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": EXPLORE, "count": 0, "action": {"delay": "30s"}}]));
    for failure in
        [tables(&service, &id).await.unwrap_err(), columns(&service, &id, CONTACTS).await.unwrap_err()]
    {
        assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
        assert_eq!(failure.metadata("stage"), "read");
    }
}
