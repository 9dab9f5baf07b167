//! Reads the replies to `GET /connections`, leniently: Adobe's documents disagree about them.

use super::item::listed;
use crate::{
    adobe::{ConnectionPage, answer::success::object, flow_service::next_page::next_page},
    error::Cause,
    json::Object,
};

/// Reads a page: every item in its order, and the readable parts of it.
///
/// # Errors
/// It is no list, or names a next page that cannot be requested: connections would be missed.
pub(crate) fn read_page(body: &[u8]) -> Result<ConnectionPage, Cause> {
    // An invalid byte must spoil one name, not the list.
    let body = String::from_utf8_lossy(body);
    let page = object("no list of connections", body.as_bytes())?;
    let items = page.array("items").ok_or("no list of connections: no items")?;
    let items = items.into_iter().map(|item| Object::parse(item.get().as_bytes()).unwrap_or_default());
    let items: Vec<_> = items.map(|item| listed(&item)).collect();
    let unreadable = items.iter().filter(|item| !item.is_of_another_source && !item.is_complete()).count();
    if unreadable > 0 {
        tracing::warn!(
            number = unreadable,
            "the Flow Service lists connections without a usable ID, version, name or time of creation"
        );
    }
    Ok(ConnectionPage { items, next: next_page(&page)? })
}

/// Reads the reply to a request that only counts.
pub(crate) fn read_count(body: &[u8]) -> Result<u64, Cause> {
    let count = object("no count", body)?.integer("count").and_then(|count| u64::try_from(count).ok());
    count.ok_or_else(|| "no count: there is no number in it".into())
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        adobe::{ListedConnection, flow_service::connections::HUBSPOT_SPEC_ID},
        domain::{ConnectionId, ConnectionState, Etag, StoredCredentials},
    };

    fn read(page: &Value) -> ConnectionPage {
        read_page(page.to_string().as_bytes()).unwrap()
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

    #[test]
    fn an_item_is_read_without_its_credentials() {
        let page = read(&json!({"items": [item(|item| item["createdClient"] = json!("exc_app"))]}));
        let expected = ListedConnection {
            id: ConnectionId::parse("139f6a5f-a78b-4744-9f6a-5fa78bd74431").ok(),
            etag: Etag::parse("\"1400dd53\"").ok(),
            name: Some("HubSpot EU".to_owned()),
            description: None,
            state: Some(ConnectionState::Enabled),
            credentials: StoredCredentials {
                client_id: Some("hs".to_owned()),
                client_secret_set: false,
                access_token_set: false,
                refresh_token_set: true,
            },
            created_at_ms: Some(1_597_973_312_000),
            updated_at_ms: None,
            created_client: Some("exc_app".to_owned()),
            is_of_another_source: false,
        };
        assert!(!format!("{page:?}").contains("canary"));
        assert_eq!((page.items, page.next), (vec![expected], None));
    }

    #[test]
    fn an_unneeded_field_may_have_any_value() {
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
            assert_eq!(page.items[0].created_at_ms, Some(1_597_973_312_000), "{field} {value}");
            assert_eq!(page.items[0].description, None);
        }
        let described = read(&json!({"items": [item(|item| item["description"] = json!("d"))]}));
        assert_eq!(described.items[0].description.as_deref(), Some("d"));
    }

    #[test]
    fn an_unusable_item_keeps_its_position_and_its_readable_parts() {
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
            let mut expected = read(&json!({"items": [item(|_| {}), item(|_| {})]})).items;
            match field {
                "id" => expected[0].id = None,
                "etag" => expected[0].etag = None,
                "name" => expected[0].name = None,
                _ => expected[0].created_at_ms = None,
            }
            expected[1].name = Some("fine".to_owned());
            expected.splice(1..1, vec![ListedConnection::default(); 4]);
            let page = read(&json!({"items": [odd, null, "x", 1, [], fine]}));
            assert_eq!(page.items, expected, "{field} {value}");
            assert_eq!(page.items.into_iter().filter_map(ListedConnection::readable).count(), 1);
        }
    }

    #[test]
    fn a_connection_to_another_source_is_marked() {
        for (spec, is_of_another_source) in [
            (json!("cfc0fee1-7dc0-40ef-b73e-d8b134c436f5"), true),
            (json!(HUBSPOT_SPEC_ID.to_uppercase()), false),
            (json!(format!(" {HUBSPOT_SPEC_ID} ")), false),
            (json!(""), false),
            (json!(null), false),
            (json!(5), false),
        ] {
            let page = read(&json!({"items": [item(|item| item["connectionSpec"]["id"] = spec.clone())]}));
            let [listed] = &page.items[..] else { panic!("{page:?}") };
            assert_eq!(listed.is_of_another_source, is_of_another_source, "{spec}");
            assert_eq!(listed.clone().readable().is_none(), is_of_another_source, "{spec}");
        }
    }

    #[test]
    fn a_count_is_a_number_or_nothing() {
        for (body, count) in [
            (r#"{"count": 95}"#, Some(95)),
            (r#"{"count": "95", "items": []}"#, Some(95)),
            (r#"{"count": 0}"#, Some(0)),
            (r#"{"count": -1}"#, None),
            (r#"{"count": 95.0}"#, Some(95)),
            (r#"{"count": 9.5e1}"#, Some(95)),
            (r#"{"count": 95.5}"#, None),
            (r#"{"count": [95]}"#, None),
            (r#"{"count": null}"#, None),
            (r#"{"count": 95, "count": 0}"#, None),
            (r#"{"items": []}"#, None),
            ("[95]", None),
            (r#"[{"count": 95}]"#, None),
            (r#"[["count", 95]]"#, None),
            ("[]", None),
            ("95", None),
        ] {
            assert_eq!(read_count(body.as_bytes()).ok(), count, "{body}");
        }
    }

    #[test]
    fn a_reply_that_is_no_list_is_an_error_that_quotes_nothing() {
        for body in [
            "",
            "{}",
            "null",
            "<html>canary",
            r#"{"items":"canary"}"#,
            r#"{"items":[{"id":"canary""#,
            r#"{"items":null}"#,
            r#"{"items":{}}"#,
            r#"{"items":{"0":{"id":"canary"}}}"#,
            r#"{"Items":[]}"#,
            r#"{"items":[],"items":[{"id":"canary"}]}"#,
            r#"{"connections":[]}"#,
            r#"{"items":[]}{"items":[]}"#,
            r#"{"items":[],}"#,
            "[]",
            "[[]]",
            "[[],{}]",
            r#"[{"items":[]}]"#,
            r#"[["items",[]]]"#,
            "0",
            "\"\"",
        ] {
            let error = read_page(body.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{body}: {error}");
        }
        assert_eq!(read(&json!({"items": []})).items, []);
    }

    #[test]
    fn a_damaged_item_neither_affects_nor_hides_another() {
        let fine = item(|_| {}).to_string();
        let id = "139f6a5f-a78b-4744-9f6a-5fa78bd74431";
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let odd = [
            format!(r#"{{"id": "{id}", "name": "\ud800"}}"#),
            format!(r#"{{"id": "{id}", "name": "a", "name": "b"}}"#),
            format!(r#"{{"id": "{id}", "createdAt": 1e999}}"#),
            format!(r#"{{"id": "{id}", "name": {deep}}}"#),
            format!(r#"{{"id": "{id}", "x": {deep}}}"#),
            format!(r#"{{"id": " {id} ", "connectionSpec": [["id"]]}}"#),
            format!(r#"{{"id": "{id}", "auth": {{"params": {{"clientId": "a", "clientId": "b"}}}}}}"#),
        ];
        let read_id = ConnectionId::parse(id).ok();
        for odd in odd {
            let page = format!("\u{feff}{{\"items\": [{odd}, [], [{fine}], {fine}]}}");
            let items = read_page(page.as_bytes()).unwrap().items;
            let ids: Vec<_> = items.iter().map(|item| item.id.clone()).collect();
            assert_eq!(ids, [read_id.clone(), None, None, read_id.clone()]);
            assert_eq!(items[0], ListedConnection { id: read_id.clone(), ..ListedConnection::default() });
        }
        let page = [br#"{"items": [{"name": "caf"#, &b"\xe9"[..], br#"", "id": "a-1"}]}"#].concat();
        let items = read_page(&page).unwrap().items;
        assert_eq!(items[0].name.as_deref(), Some("caf\u{fffd}"));
        assert!(items[0].id.is_some());
    }

    #[test]
    fn a_time_may_be_written_in_several_ways() {
        for time in ["1597973312000", "1597973312000.0", r#""1597973312000""#, "1.597973312e12"] {
            let page = format!(r#"{{"items": [{{"createdAt": {time}}}]}}"#);
            assert_eq!(read_page(page.as_bytes()).unwrap().items[0].created_at_ms, Some(1_597_973_312_000));
        }
    }

    /// Any JSON under the names that are read, and others.
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
            let _ = read_page(&body);
        }

        #[test]
        fn no_json_makes_it_panic(items in collection::vec(any_json(), 0..4), links in any_json()) {
            let body = json!({"items": items, "_links": links}).to_string();
            if let Ok(page) = read_page(body.as_bytes()) {
                prop_assert_eq!(page.items.len(), items.len());
            }
        }
    }
}
