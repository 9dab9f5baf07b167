//! Pages of an untrustworthy upstream.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::RawQuery,
    routing::{MethodRouter, get as route_get},
};
use hubspot_connection_service::{emulator::BASE_PATH, proto::ListHubSpotConnectionsRequest};
use serde_json::json;
use tonic::Code;

use super::{super::list, page_of};
use crate::support::{TestService, listen};

/// The path of a list.
const CONNECTIONS: &str = "/data/foundation/flowservice/connections";

/// A service whose Flow Service replies to lists like this.
async fn listing(connections: MethodRouter) -> TestService {
    let listener = listen().await;
    let url = format!("http://{}{BASE_PATH}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route(CONNECTIONS, connections)).into_future());
    let emulator = TestService::start().await.emulator;
    TestService::against(emulator, [("HCS_FLOW_SERVICE_URL", &*url)]).await
}

#[tokio::test]
async fn the_filter_goes_upstream_and_the_link_to_the_next_page_is_not_followed() {
    let link_target = listen().await;
    let href =
        format!("http://{}/steal?x=1&continuationToken=YWJj%2BZA==&y=2", link_target.local_addr().unwrap());
    let spec = "cc6a4487-9e91-433e-a3a3-9cf6626c1806";
    let reply = async move |RawQuery(query): RawQuery| {
        let query = query.unwrap_or_default();
        let filter = format!("property=connectionSpec.id%3D%3D{spec}");
        let is_filtered = query.starts_with(&filter) && query.contains("orderby=-createdAt&limit=3");
        let (name, links) = match query.split_once("&continuationToken=") {
            _ if !is_filtered => ("no filter", json!({})),
            None => ("first", json!({"next": {"href": href}})),
            Some((_, "YWJj%2BZA%3D%3D")) => ("second", json!({})),
            Some(_) => ("another token", json!({})),
        };
        // The service checks the source of each item itself, whatever the filter.
        let item = |name: &str, spec: &str| json!({"id": "a-1", "etag": "\"1\"", "name": name, "createdAt": 1, "connectionSpec": {"id": spec}});
        json!({"items": [item("Salesforce", "another"), item(name, spec)], "_links": links}).to_string()
    };
    let service = listing(route_get(reply)).await;
    let first = list(&service, page_of(3, "")).await.unwrap();
    let second = list(&service, page_of(3, &first.next_page_token)).await.unwrap();
    let names: Vec<_> =
        [first, second].into_iter().flat_map(|page| page.connections).map(|c| c.name).collect();
    assert_eq!(names, ["first", "second"]);
    let connection = tokio::time::timeout(std::time::Duration::ZERO, link_target.accept()).await;
    assert!(connection.is_err(), "the link was followed");
}

#[tokio::test]
async fn a_page_that_names_itself_as_the_next_one_is_not_followed_for_ever() {
    let page = json!({
        "items": [{"id": "a-1", "etag": "\"1\"", "name": "HubSpot EU", "createdAt": 1}],
        "_links": {"next": {"href": "/connections?continuationToken=again"}},
    });
    let reply = async move || page.to_string();
    let service = listing(route_get(reply)).await;
    // The token of the first page is unknown.
    let first = list(&service, page_of(1, "")).await.unwrap();
    let named = |count_only| ListHubSpotConnectionsRequest {
        name: "HubSpot".to_owned(),
        count_only,
        ..Default::default()
    };
    for query in [page_of(1, &first.next_page_token), named(false), named(true)] {
        let failure = list(&service, query.clone()).await.unwrap_err();
        assert_eq!(failure.row(), (Code::Internal, "UPSTREAM_UNDECODABLE"), "{query:?}");
    }
}

#[tokio::test]
async fn a_cycle_of_pages_is_not_followed_for_ever() {
    type Pages = fn(&str, usize) -> (String, String);
    let pages: [(&str, Pages); 4] = [
        ("two that name each other", |page, _| match page {
            "a" => ("2".to_owned(), "b".to_owned()),
            "b" => ("3".to_owned(), "a".to_owned()),
            _ => ("1".to_owned(), "a".to_owned()),
        }),
        ("three that name each other", |page, _| match page {
            "a" => ("2".to_owned(), "b".to_owned()),
            "b" => ("3".to_owned(), "c".to_owned()),
            "c" => ("4".to_owned(), "a".to_owned()),
            _ => ("1".to_owned(), "a".to_owned()),
        }),
        ("one under ever new names", |_, number| ("1".to_owned(), format!("t{number}"))),
        ("one without a readable ID under ever new names", |_, number| {
            ("../".to_owned(), format!("t{number}"))
        }),
    ];
    for (what, pages) in pages {
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let reply = async move |RawQuery(query): RawQuery| {
            let query = query.unwrap_or_default();
            let page = query.split_once("&continuationToken=").map_or("", |(_, token)| token);
            let (id, next) = pages(page, counter.fetch_add(1, Ordering::Relaxed));
            json!({
                "items": [{"id": id, "etag": "1", "name": "HubSpot EU", "createdAt": 1}],
                "_links": {"next": {"href": format!("/connections?continuationToken={next}")}},
            })
            .to_string()
        };
        let service = listing(route_get(reply)).await;
        for count_only in [false, true] {
            requests.store(0, Ordering::Relaxed);
            let query = ListHubSpotConnectionsRequest {
                name: "HubSpot".to_owned(),
                count_only,
                ..Default::default()
            };
            let failure = list(&service, query).await.unwrap_err();
            assert_eq!(failure.row(), (Code::Internal, "UPSTREAM_UNDECODABLE"), "{what}");
            assert!(requests.load(Ordering::Relaxed) <= 5, "{what}");
        }
    }
}

#[tokio::test]
async fn an_unusable_item_is_skipped_and_hides_no_other() {
    let fine = json!({"id": "a-1", "etag": "1", "name": "HubSpot EU", "createdAt": 1});
    let page = json!({"items": [null, "x", [], {"id": "a-2", "etag": "1", "name": "HubSpot EU"}, fine]});
    let reply = async move || page.to_string();
    let service = listing(route_get(reply)).await;
    for query in
        [page_of(0, ""), ListHubSpotConnectionsRequest { name: "HubSpot EU".to_owned(), ..page_of(0, "") }]
    {
        let ids: Vec<_> =
            list(&service, query).await.unwrap().connections.into_iter().map(|c| c.id).collect();
        assert_eq!(ids, ["a-1"]);
    }
}
