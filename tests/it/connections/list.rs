//! Finding connections, page by page.

mod upstream;

use std::collections::BTreeMap;

use http::Method;
use hubspot_connection_service::proto::{
    CreateHubSpotConnectionRequest, ListHubSpotConnectionsRequest, ListHubSpotConnectionsResponse,
};
use serde_json::json;
use tonic::Code;

use super::{LIST, SHORT_TIMEOUT, delete, list};
use crate::support::{TestService, request, salesforce, send_upstream};

fn ids(page: &ListHubSpotConnectionsResponse) -> Vec<&str> {
    page.connections.iter().map(|connection| connection.id.as_str()).collect()
}

/// Creates connections and returns their IDs, the newest first.
async fn create(service: &TestService, number: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..number {
        ids.push(service.create().await.unwrap().id);
    }
    ids.reverse();
    ids
}

fn page_of(page_size: i32, page_token: &str) -> ListHubSpotConnectionsRequest {
    ListHubSpotConnectionsRequest { page_size, page_token: page_token.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn the_hubspot_connections_of_a_sandbox_are_listed_newest_first() {
    let service = TestService::start().await;
    assert_eq!(list(&service, page_of(0, "")).await.unwrap(), ListHubSpotConnectionsResponse::default());
    salesforce(&service.emulator).await;
    let created = create(&service, 3).await;
    let in_dev = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..request() };
    let in_dev = service.send(in_dev).await.unwrap().id;

    let page = list(&service, page_of(0, "")).await.unwrap();
    assert_eq!(ids(&page), created);
    assert_eq!((page.next_page_token.as_str(), page.total_size), ("", 0));
    // The same fields as a single read.
    for connection in page.connections {
        assert_eq!(super::get(&service, &connection.id).await.unwrap(), connection);
    }
    let query = ListHubSpotConnectionsRequest { sandbox_name: "dev".to_owned(), ..Default::default() };
    let page = list(&service, query).await.unwrap();
    assert_eq!(ids(&page), [in_dev]);
    assert_eq!(page.connections[0].sandbox_name, "dev");
}

#[tokio::test]
async fn a_page_is_as_large_as_asked_for() {
    let service = TestService::start().await;
    let created = create(&service, 101).await;
    for (page_size, length) in [(0, 50), (1, 1), (7, 7), (50, 50), (100, 100), (101, 100), (i32::MAX, 100)] {
        let page = list(&service, page_of(page_size, "")).await.unwrap();
        assert_eq!(ids(&page), created[..length]);
        assert!(!page.next_page_token.is_empty());
    }
    for page_size in [-1, i32::MIN] {
        let failure = list(&service, page_of(page_size, "")).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
        assert_eq!(failure.violations[0].0, "page_size");
    }
}

#[tokio::test]
async fn a_page_token_continues_on_any_replica_and_with_any_page_size() {
    let service = TestService::start().await;
    let replica = TestService::against(service.emulator.clone(), []).await;
    let created = create(&service, 6).await;
    let first = list(&service, page_of(2, "")).await.unwrap();
    let second = list(&replica, page_of(3, &first.next_page_token)).await.unwrap();
    let third = list(&service, page_of(0, &second.next_page_token)).await.unwrap();
    assert_eq!([ids(&first), ids(&second), ids(&third)].concat(), created);
    assert_eq!(third.next_page_token, "");
    // A page can be requested again.
    assert_eq!(list(&service, page_of(3, &first.next_page_token)).await.unwrap(), second);
}

#[tokio::test]
async fn a_token_that_is_broken_or_of_another_query_is_refused() {
    let service = TestService::start().await;
    create(&service, 3).await;
    let token = list(&service, page_of(1, "")).await.unwrap().next_page_token;
    let requests_before = service.requests_to("GET", "/connections");
    let mut queries: Vec<_> = [
        "x".to_owned(),
        "AAAA".to_owned(),
        format!("{token}A"),
        format!(" {token}"),
        token[..token.len() - 2].to_owned(),
        token.to_lowercase(),
        "ü".repeat(9),
        "x".repeat(20_000),
    ]
    .map(|broken| page_of(1, &broken))
    .into();
    queries.extend([
        ListHubSpotConnectionsRequest { name: "HubSpot".to_owned(), ..page_of(1, &token) },
        ListHubSpotConnectionsRequest { sandbox_name: "dev".to_owned(), ..page_of(1, &token) },
        ListHubSpotConnectionsRequest { count_only: true, ..page_of(0, &token) },
    ]);
    for query in queries {
        let failure = list(&service, query.clone()).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"), "{query:?}");
        assert_eq!(failure.violations.len(), 1);
        assert_eq!(failure.violations[0].0, "page_token", "{query:?}");
        assert!(failure.message.len() < 500);
    }
    assert_eq!(service.requests_to("GET", "/connections"), requests_before);
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let service = TestService::start().await;
    let query = ListHubSpotConnectionsRequest {
        sandbox_name: "Prod".to_owned(),
        count_only: true,
        ..page_of(-1, "x")
    };
    let failure = list(&service, query).await.unwrap_err();
    let fields: Vec<_> = failure.violations.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["sandbox_name", "page_size", "page_token"]);
    let query = ListHubSpotConnectionsRequest { sandbox_name: "qa".to_owned(), ..Default::default() };
    let failure = list(&service, query).await.unwrap_err();
    assert_eq!(failure.row(), (Code::PermissionDenied, "SANDBOX_NOT_ALLOWED"));
}

#[tokio::test]
async fn a_lasting_connection_is_listed_once_while_others_are_created_and_deleted() {
    let service = TestService::start().await;
    let (mut kept, mut temporary) = (Vec::new(), Vec::new());
    for number in 0..250 {
        kept.push(service.create().await.unwrap().id);
        if number % 20 == 0 {
            temporary.push(service.create().await.unwrap().id);
        }
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let (mut token, mut pages) = (String::new(), 0);
    loop {
        let page = list(&service, page_of(25, &token)).await.unwrap();
        assert!(!page.connections.is_empty() && page.connections.len() <= 25);
        for id in ids(&page) {
            *seen.entry(id.to_owned()).or_default() += 1;
        }
        pages += 1;
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        service.create().await.unwrap();
        // Connections that were already listed, even as the last one of a page, and others that were not.
        let last = page.connections.last().unwrap().id.clone();
        if temporary.contains(&last) {
            temporary.retain(|id| *id != last);
            delete(&service, &last).await.unwrap();
        }
        for id in
            [temporary.pop(), (!temporary.is_empty()).then(|| temporary.remove(0))].into_iter().flatten()
        {
            delete(&service, &id).await.unwrap();
        }
    }
    assert!(pages >= 10);
    for id in &kept {
        assert_eq!(seen.get(id), Some(&1));
    }
    assert!(seen.values().all(|times| *times == 1));
}

#[tokio::test]
async fn count_only_counts_connections_instead_of_listing_them() {
    let service = TestService::start().await;
    salesforce(&service.emulator).await;
    let twins = request();
    for _ in 0..2 {
        service.create_behind_its_back(&twins).await;
    }
    create(&service, 3).await;
    let odd = CreateHubSpotConnectionRequest { name: "a, \"b\"".to_owned(), ..request() };
    service.create_behind_its_back(&odd).await;
    for (name, sandbox_name, total_size) in [
        ("", "", 6),
        ("", "dev", 0),
        (&*twins.name, "", 2),
        (&twins.name, "dev", 0),
        ("a, \"b\"", "", 1),
        ("a", "", 0),
        ("Salesforce", "", 0),
    ] {
        let query = ListHubSpotConnectionsRequest {
            sandbox_name: sandbox_name.to_owned(),
            name: name.to_owned(),
            count_only: true,
            ..Default::default()
        };
        let counted = list(&service, query).await.unwrap();
        let expected = ListHubSpotConnectionsResponse { total_size, ..Default::default() };
        assert_eq!(counted, expected, "{name:?} {sandbox_name:?}");
    }
}

#[tokio::test]
async fn all_connections_of_a_name_are_counted_across_pages() {
    let service = TestService::start().await;
    let odd = CreateHubSpotConnectionRequest { name: "one, two".to_owned(), ..request() };
    for _ in 0..130 {
        service.create_behind_its_back(&odd).await;
    }
    let query = ListHubSpotConnectionsRequest { name: odd.name, count_only: true, ..Default::default() };
    assert_eq!(list(&service, query).await.unwrap().total_size, 130);
}

#[tokio::test]
async fn a_list_fails_as_a_read_does() {
    for (action, row) in [
        (json!({"status": 503}), (Code::Unavailable, "UPSTREAM_UNAVAILABLE")),
        (json!({"status": 200, "shape": "html"}), (Code::FailedPrecondition, "UPSTREAM_UNRECOGNIZED")),
        (json!({"status": 200, "shape": "A"}), (Code::Internal, "UPSTREAM_UNDECODABLE")),
        (json!({"status": 404, "code": "2100"}), (Code::NotFound, "SANDBOX_NOT_FOUND")),
        (json!({"status": 403, "code": "2120"}), (Code::FailedPrecondition, "PLATFORM_PERMISSION_MISSING")),
        (json!({"status": 400, "code": "1452"}), (Code::FailedPrecondition, "UPSTREAM_REJECTED")),
        (json!({"status": 400, "code": "1999"}), (Code::InvalidArgument, "UPSTREAM_REJECTED")),
        // No single connection was requested.
        (json!({"status": 404, "shape": "A"}), (Code::InvalidArgument, "UPSTREAM_REJECTED")),
        (json!({"status": 404, "shape": "B"}), (Code::InvalidArgument, "UPSTREAM_REJECTED")),
        (json!({"delay": "30s"}), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")),
    ] {
        for count_only in [false, true] {
            let service = TestService::with([SHORT_TIMEOUT]).await;
            service.inject(json!([{"route": LIST, "count": 0, "action": action}]));
            let query = ListHubSpotConnectionsRequest { count_only, ..Default::default() };
            let failure = list(&service, query).await.unwrap_err();
            assert_eq!(failure.row(), row, "{action}");
            assert!(row.0 != Code::DeadlineExceeded || failure.metadata("stage") == "read", "{failure:?}");
        }
    }
}

#[tokio::test]
async fn connections_of_other_clients_are_listed_with_their_known_fields() {
    let service = TestService::start().await;
    let body = json!({
        "name": "\u{1f389} by hand ",
        "auth": {"specName": "Basic Authentication", "params": {
            "clientId": "c", "clientSecret": "", "accessToken": "canary", "refreshToken": "canary",
        }},
        "connectionSpec": {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"},
    });
    send_upstream(&service.emulator, Method::POST, "/connections", Some(body)).await;
    let page = list(&service, page_of(0, "")).await.unwrap();
    let connection = &page.connections[0];
    assert_eq!((connection.name.as_str(), connection.description.as_str()), ("\u{1f389} by hand ", ""));
    assert!(!connection.client_secret_set && connection.access_token_set && connection.refresh_token_set);
    assert!(!format!("{page:?}").contains("canary"));
}
