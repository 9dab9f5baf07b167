//! The bodies of the answers to `GET /connections`, read leniently: Adobe's documents disagree about
//! them.

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{
    connection::Item,
    lenient::{Object, Scalar},
    parse,
};
use crate::flow_service::{Cause, ConnectionPage, PageToken};

/// A token goes back in a URL, and longer ones are refused on the way.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Reads a page. Unknown fields do not matter, and a connection without a usable ID, version, name
/// or time of creation is left out, as is one that is to another source.
///
/// # Errors
/// Where it is no list at all, or names a next page that cannot be asked for: connections would be
/// missed.
pub(in crate::flow_service) fn read_page(body: &[u8], server_time_ms: i64) -> Result<ConnectionPage, Cause> {
    let page: Page = parse("no list of connections", body)?;
    let next = page.links.0.and_then(|links| links.next.0).and_then(|next| next.href.text());
    let next = match next.filter(|href| !href.is_empty()) {
        None => None,
        Some(href) => Some(page_token(&href).ok_or("the next page cannot be asked for")?),
    };
    let mut connections = Vec::with_capacity(page.items.len());
    let mut unreadable = Vec::new();
    for item in page.items {
        match item.0 {
            Some(item) if item.is_of_another_source() => {}
            Some(item) => match item.connection() {
                Ok(connection) => connections.push(connection),
                Err(name) => unreadable.push(name),
            },
            None => unreadable.push(None),
        }
    }
    if !unreadable.is_empty() {
        tracing::warn!(
            number = unreadable.len(),
            "the Flow Service lists connections without a usable ID, version, name or time of creation"
        );
    }
    Ok(ConnectionPage { connections, unreadable, next, server_time_ms })
}

/// Reads the token out of a link, whose other parts are not looked at: it may lead anywhere.
fn page_token(href: &str) -> Option<PageToken> {
    let (_, rest) = href.split_once("continuationToken=")?;
    // Up to the next parameter: the token itself may hold `=`, as the padding of Base64.
    let token = rest.split(['&', '#']).next()?;
    let token = percent_decode_str(token).decode_utf8().ok()?;
    (1..=LONGEST_TOKEN).contains(&token.len()).then(|| PageToken(token.into_owned()))
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Object<Item>>,
    #[serde(rename = "_links", default)]
    links: Object<Links>,
}

#[derive(Deserialize)]
struct Links {
    #[serde(default)]
    next: Object<Link>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    href: Scalar,
}

/// Reads the answer to a request that only counts.
///
/// # Errors
/// Where there is no number in it.
pub(in crate::flow_service) fn read_count(body: &[u8]) -> Result<u64, Cause> {
    #[derive(Deserialize)]
    struct Count {
        #[serde(default)]
        count: Scalar,
    }
    let Count { count } = parse("no count", body)?;
    let count = count.number().and_then(|count| u64::try_from(count).ok());
    count.ok_or_else(|| "no count: there is no number in it".into())
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        domain::{Connection, ConnectionId, ConnectionState, Etag, StoredCredentials},
        flow_service::wire::HUBSPOT_SPEC_ID,
    };

    fn read(page: &Value) -> ConnectionPage {
        read_page(page.to_string().as_bytes(), 7).unwrap()
    }

    fn item(change: impl FnOnce(&mut Value)) -> Value {
        let mut item = json!({
            "id": "139f6a5f-a78b-4744-9f6a-5fa78bd74431", "etag": "\"1400dd53\"", "version": "\"1400dd53\"",
            "name": "HubSpot EU", "createdAt": 1_597_973_312_000_i64, "state": "enabled",
            "connectionSpec": {"id": HUBSPOT_SPEC_ID, "version": "1.0"},
            "auth": {"specName": "Basic Authentication", "params": {"clientId": "hs", "refreshToken": "canary"}},
        });
        change(&mut item);
        item
    }

    fn names(page: &ConnectionPage) -> Vec<&str> {
        page.connections.iter().map(|connection| connection.name.as_str()).collect()
    }

    #[test]
    fn an_item_is_read_and_its_credentials_are_not() {
        let page = read(&json!({"items": [item(|item| item["createdClient"] = json!("exc_app"))]}));
        assert_eq!((page.connections.len(), page.next, page.server_time_ms), (1, None, 7));
        let expected = Connection {
            id: ConnectionId::parse("139f6a5f-a78b-4744-9f6a-5fa78bd74431").unwrap(),
            etag: Etag::parse("\"1400dd53\"").unwrap(),
            name: "HubSpot EU".to_owned(),
            description: None,
            state: Some(ConnectionState::Enabled),
            credentials: StoredCredentials {
                client_id: Some("hs".to_owned()),
                client_secret_set: false,
                access_token_set: false,
                refresh_token_set: true,
            },
            created_at_ms: 1_597_973_312_000,
            updated_at_ms: None,
            created_client: Some("exc_app".to_owned()),
        };
        assert_eq!(page.connections[0], expected);
        assert!(!format!("{:?}", page.connections).contains("canary"));
    }

    #[test]
    fn what_is_not_needed_may_be_anything() {
        for (field, value) in [
            ("description", json!(null)),
            ("description", json!(["x"])),
            ("createdClient", json!({"x": 1})),
            ("createdAt", json!("1597973312000")),
            ("auth", json!(null)),
            ("auth", json!("Basic")),
            ("auth", json!({"params": [["clientId", "canary"]]})),
            ("auth", json!({"params": {"clientId": true}})),
            ("state", json!([{}])),
        ] {
            let page = read(&json!({"items": [item(|item| item[field] = value.clone())], "_page": {}}));
            assert_eq!(page.connections[0].created_at_ms, 1_597_973_312_000, "{field} {value}");
            assert_eq!(page.connections[0].description, None);
        }
        let described = read(&json!({"items": [item(|item| item["description"] = json!("d"))]}));
        assert_eq!(described.connections[0].description.as_deref(), Some("d"));
    }

    #[test]
    fn an_item_that_cannot_be_told_apart_is_left_out_and_no_other() {
        for (field, value) in [
            ("id", json!(null)),
            ("id", json!("../x")),
            ("id", json!(5)),
            ("etag", json!("")),
            ("name", json!(["HubSpot"])),
            ("createdAt", json!(null)),
            ("createdAt", json!("yesterday")),
            ("createdAt", json!(1.5)),
            ("createdAt", json!(u64::MAX)),
        ] {
            let odd = item(|item| item[field] = value.clone());
            let fine = item(|item| item["name"] = json!("fine"));
            let page = read(&json!({"items": [odd, null, "x", 1, [], fine]}));
            assert_eq!(names(&page), ["fine"], "{field} {value}");
        }
    }

    #[test]
    fn what_another_source_has_is_left_out() {
        let other = item(|item| item["connectionSpec"]["id"] = json!("cfc0fee1-7dc0-40ef-b73e-d8b134c436f5"));
        let page = read(&json!({"items": [other, item(|_| {})]}));
        assert_eq!((page.connections.len(), page.unreadable.len()), (1, 0));
    }

    #[test]
    fn a_count_is_a_number_or_nothing() {
        for (body, count) in [
            (r#"{"count": 95}"#, Some(95)),
            (r#"{"count": "95", "items": []}"#, Some(95)),
            (r#"{"count": 0}"#, Some(0)),
            (r#"{"count": -1}"#, None),
            (r#"{"items": []}"#, None),
            ("95", None),
        ] {
            assert_eq!(read_count(body.as_bytes()).ok(), count, "{body}");
        }
    }

    #[test]
    fn what_is_no_list_is_an_error_that_quotes_nothing() {
        for body in
            ["", "{}", "null", "<html>canary", r#"{"items":"canary"}"#, r#"{"items":[{"id":"canary""#, "[]"]
        {
            let error = read_page(body.as_bytes(), 0).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{body}: {error}");
        }
        assert_eq!(read(&json!({"items": []})).connections, []);
    }

    fn token(href: &Value) -> Result<Option<String>, String> {
        let page = json!({"items": [], "_links": {"next": {"href": href}}});
        let page = read_page(page.to_string().as_bytes(), 0).map_err(|error| error.to_string())?;
        Ok(page.next.map(|PageToken(token)| token))
    }

    #[test]
    fn the_token_of_the_next_page_is_read_out_of_its_link() {
        for (href, expected) in [
            ("/connections?continuationToken=abc", "abc"),
            ("/connections?continuationToken=YWJjZA==", "YWJjZA=="),
            ("/connections?continuationToken=YWJjZA%3D%3D&limit=5", "YWJjZA=="),
            ("/connections?limit=5&continuationToken=a+b%2Fc%20d#x", "a+b/c d"),
            ("https://evil.example/steal?continuationToken=abc", "abc"),
        ] {
            assert_eq!(token(&json!(href)), Ok(Some(expected.to_owned())), "{href}");
        }
    }

    #[test]
    fn a_missing_link_is_the_end_and_an_unusable_one_an_error() {
        for end in [json!(null), json!(""), json!(5), json!([])] {
            assert_eq!(token(&end), Ok(None), "{end}");
        }
        for links in [json!({}), json!(null), json!([]), json!({"next": null}), json!({"next": "x"})] {
            assert_eq!(read(&json!({"items": [], "_links": links})).next, None);
        }
        let long = format!("?continuationToken={}", "a".repeat(LONGEST_TOKEN + 1));
        for href in ["/connections", "?continuationToken=", "?continuationToken=%FF", &long] {
            assert!(token(&json!(href)).is_err());
        }
    }

    /// Any JSON under the names that are looked for, and others.
    fn any_json() -> impl Strategy<Value = Value> {
        let name = prop::sample::select(vec![
            "items",
            "_links",
            "next",
            "href",
            "id",
            "etag",
            "name",
            "createdAt",
            "auth",
            "params",
            "clientId",
            "clientSecret",
            "state",
            "connectionSpec",
            "other",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(json!("?continuationToken=%41")),
        ];
        leaf.prop_recursive(6, 64, 8, move |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                collection::hash_map(name.clone().prop_map(str::to_owned), inner, 0..8)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = read_page(&body, 0);
        }

        #[test]
        fn no_json_makes_it_panic(items in collection::vec(any_json(), 0..4), links in any_json()) {
            let body = json!({"items": items, "_links": links}).to_string();
            if let Ok(page) = read_page(body.as_bytes(), 0) {
                prop_assert!(page.connections.len() <= items.len());
            }
        }
    }
}
