//! Finding connections by name.

use hubspot_connection_service::proto::{CreateHubSpotConnectionRequest, ListHubSpotConnectionsRequest};
use proptest::prelude::*;

use super::list;
use crate::support::{TestService, request};

/// The IDs of all connections of a name, from all pages, and the number of pages.
async fn find(service: &TestService, name: &str, page_size: i32) -> (Vec<String>, usize) {
    let (mut found, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let query = ListHubSpotConnectionsRequest {
            name: name.to_owned(),
            page_size,
            page_token,
            ..ListHubSpotConnectionsRequest::default()
        };
        let page = list(service, query).await.unwrap();
        pages += 1;
        assert!(page.connections.len() <= usize::try_from(page_size).unwrap());
        for connection in page.connections {
            assert_eq!(connection.name, name);
            found.push(connection.id);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (found, pages);
        }
    }
}

fn named(name: &str) -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { name: name.to_owned(), ..request() }
}

#[tokio::test]
async fn a_name_filter_matches_exactly_this_name() {
    let service = TestService::start().await;
    // By another client: this service would trim some of the names.
    let names = [
        "HubSpot",
        "hubspot",
        "HubSpot ",
        " HubSpot",
        "\"HubSpot\"",
        "'HubSpot'",
        "HubSpot,hubspot",
        "HubSpot, hubspot",
        "\"HubSpot\",\"hubspot\"",
        "HubSpot==hubspot",
        "==",
        "=",
        "~HubSpot",
        "50% off",
        "%48ubSpot",
        "Hub+Spot",
        "Hub Spot",
        "Hub&limit=1",
        "Hub#Spot?",
        "Hub\\Spot",
        "Hub_Spot-2",
        "ü",
        "u\u{308}",
        "\u{1f389}",
        "\u{a0}",
        "two\nlines",
        "\"",
        ",",
        "null",
        "0",
    ];
    for name in names {
        service.create_behind_its_back(&named(name)).await;
    }
    for name in names {
        let (found, pages) = find(&service, name, 10).await;
        let expected = service.emulator.connections().into_iter().find(|c| c.name == name).unwrap().id;
        assert_eq!(found, [expected], "{name:?}");
        assert!(pages <= 2, "{name:?} took {pages} pages");
    }
    for absent in ["HUBSPOT", "Hub", "HubSpot*", "%", "  HubSpot", "hubspot "] {
        assert_eq!(find(&service, absent, 10).await.0, [""; 0], "{absent:?}");
    }
}

#[tokio::test]
async fn a_name_that_looks_like_another_type_is_found_without_a_filter() {
    let service = TestService::start().await;
    let filtered = || {
        let received = service.emulator.received().into_iter();
        received.filter(|r| r.query.as_deref().is_some_and(|query| query.contains("name%3D%3D"))).count()
    };
    for name in ["true", "False", "NULL", "null", "0", "42", "-1", "1e3", "2024-01-01"] {
        let id = service.send(named(name)).await.unwrap().id;
        assert_eq!(find(&service, name, 10).await.0, [id], "{name}");
        assert_eq!(filtered(), 0, "{name}");
    }
    for (number, name) in ["HubSpot", "nulls", "e3"].into_iter().enumerate() {
        let id = service.send(named(name)).await.unwrap().id;
        assert_eq!((find(&service, name, 10).await.0, filtered()), (vec![id], number + 1), "{name}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_on_the_first_pages_is_found_by_one_call() {
    let service = TestService::start().await;
    service.create_behind_its_back(&named("the first, long ago")).await;
    for _ in 0..15 {
        service.create().await.unwrap();
    }
    let query = ListHubSpotConnectionsRequest {
        name: "the first, long ago".to_owned(),
        page_size: 1,
        ..ListHubSpotConnectionsRequest::default()
    };
    let page = list(&service, query).await.unwrap();
    assert_eq!((page.connections.len(), page.next_page_token.as_str()), (1, ""));
}

#[tokio::test]
async fn several_of_one_name_are_found_over_pages() {
    let service = TestService::start().await;
    for name in ["plain", "not, plain"] {
        for _ in 0..7 {
            service.create_behind_its_back(&named(name)).await;
            service.create().await.unwrap();
        }
        let mut expected: Vec<_> =
            service.emulator.connections().into_iter().filter(|c| c.name == name).map(|c| c.id).collect();
        expected.reverse();
        for page_size in [1, 2, 5, 100] {
            assert_eq!(find(&service, name, page_size).await.0, expected, "{name} {page_size}");
        }
    }
}

/// Arbitrary text, and text that resembles filters.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{1,30}",
        "[\"',=%&+#?~<>!\\\\ aA\u{a0}\u{2003}]{1,12}",
        "[\\p{L}\\p{M}\\p{So}]{1,20}",
    ]
}

#[test]
fn any_name_that_a_creation_accepts_is_found_again() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(TestService::start());
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(name in any_name())| {
        runtime.block_on(async {
            // Another test covers names that are refused.
            let Ok(created) = service.send(named(&name)).await else {
                let is_refusable = name.trim().is_empty()
                    || name.trim().chars().count() > 255
                    || name.trim().contains(char::is_control);
                assert!(is_refusable, "{name:?}");
                return;
            };
            let (found, _) = find(&service, name.trim(), 100).await;
            assert!(found.contains(&created.id), "{name:?}");
            let query = ListHubSpotConnectionsRequest {
                name: name.trim().to_owned(),
                count_only: true,
                ..ListHubSpotConnectionsRequest::default()
            };
            let counted = list(&service, query).await.unwrap().total_size;
            assert_eq!(usize::try_from(counted).unwrap(), found.len(), "{name:?}");
        });
    });
}
