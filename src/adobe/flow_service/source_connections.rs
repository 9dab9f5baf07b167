//! `/sourceConnections`: the tables that flows read.

use http::{Method, StatusCode};
use serde::Serialize;

use super::{
    connections::{ConnectionSpec, HUBSPOT_SPEC, HUBSPOT_SPEC_ID},
    parts::{LARGEST_PAGE, any_of, named, paged, read_created_id, read_marked},
};
use crate::{
    adobe::{
        NewSourceConnection, PageToken, Selection, TableParameter,
        client::{Call, Route, json},
        marker_list::MarkerPage,
        wire,
    },
    domain::{
        ConnectionId, SandboxName,
        dataflow::{SourceConnection, SourceConnectionId},
    },
    error::Cause,
    json::Object,
};

const PATH: &str = "/sourceConnections";

static CREATE: Route = Route::create_part(PATH, &["id", "etag"]);
static LIST: Route = Route::read(PATH, &["items"]);
static DELETE: Route = Route::change(Method::DELETE, "/sourceConnections/{id}", StatusCode::NO_CONTENT, &[]);

pub(super) static ROUTES: [&Route; 3] = [&CREATE, &LIST, &DELETE];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateSourceConnection<'a> {
    name: &'a str,
    base_connection_id: &'a str,
    data: Data,
    params: Params<'a>,
    connection_spec: ConnectionSpec,
}

#[derive(Serialize)]
struct Data {
    format: &'static str,
}

/// Adobe's HubSpot tutorial calls the table `path`, and those of other sources call it `tableName`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table_name: Option<&'a str>,
}

pub(crate) fn create<'a>(source: &NewSourceConnection<'a>) -> Call<'a, SourceConnectionId> {
    let NewSourceConnection { sandbox, name, connection, table, parameter } = *source;
    let table = Some(table.as_str());
    let (path, table_name) = match parameter {
        TableParameter::Path => (table, None),
        TableParameter::TableName => (None, table),
        TableParameter::Both => (table, table),
    };
    let body = json(&CreateSourceConnection {
        name,
        base_connection_id: connection.as_str(),
        data: Data { format: "tabular" },
        params: Params { path, table_name },
        connection_spec: HUBSPOT_SPEC,
    });
    Call { body: Some(body), ..Call::new(&CREATE, sandbox, read_created) }
}

pub(crate) fn list<'a>(
    sandbox: &'a SandboxName,
    selection: Selection<'a, SourceConnectionId>,
    page: Option<&PageToken>,
) -> Call<'a, MarkerPage<SourceConnection>> {
    let mut call = Call::new(&LIST, sandbox, move |body| read_list(body, selection));
    match selection {
        Selection::Name(name) => {
            call.query.push(any_of("connectionSpec.id", std::iter::once(HUBSPOT_SPEC_ID)));
            call.query.extend(named(name));
        }
        Selection::Ids(ids) => call.query.push(any_of("id", ids.iter().map(SourceConnectionId::as_str))),
    }
    paged(&mut call, LARGEST_PAGE, page);
    call
}

pub(crate) fn delete<'a>(sandbox: &'a SandboxName, id: &'a SourceConnectionId) -> Call<'a, ()> {
    Call { id: Some(id.as_str()), ..Call::new(&DELETE, sandbox, wire::read_deleted) }
}

pub(crate) fn read_created(body: &[u8]) -> Result<SourceConnectionId, Cause> {
    read_created_id(body, SourceConnectionId::parse)
}

/// Reads a page of the list.
///
/// # Errors
/// Something in it cannot be read, and may be selected.
pub(crate) fn read_list(
    body: &[u8],
    selection: Selection<'_, SourceConnectionId>,
) -> Result<MarkerPage<SourceConnection>, Cause> {
    read_marked(body, |item| {
        let is_selected = match selection {
            Selection::Name(name) => wire::optional_text(item, "name")?.as_deref() == Some(name),
            Selection::Ids(ids) => wire::id(item, "id", SourceConnectionId::parse)
                .is_some_and(|id| ids.iter().any(|other| is_same(other.as_str(), id.as_str()))),
        };
        if is_selected { source_connection(item).map(Some) } else { Ok(None) }
    })
}

/// Whether two IDs are the same.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn source_connection(item: &Object<'_>) -> Result<SourceConnection, Cause> {
    let id =
        wire::id(item, "id", SourceConnectionId::parse).ok_or("a source connection without a usable ID")?;
    let params = item.object("params").unwrap_or_default();
    let spec = item.object("connectionSpec").and_then(|spec| spec.text("id"));
    let base = item.object("inheritedAttributes").and_then(|inherited| inherited.object("baseConnection"));
    let inherited = || wire::id(&base.unwrap_or_default(), "id", ConnectionId::parse);
    Ok(SourceConnection {
        id,
        name: item.text("name"),
        connection: wire::id(item, "baseConnectionId", ConnectionId::parse).or_else(inherited),
        table: params.text("path").or_else(|| params.text("tableName")),
        is_of_hubspot: spec.map(|id| is_same(id.trim(), HUBSPOT_SPEC_ID)),
        created_at_ms: wire::milliseconds(item, "createdAt"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn named(body: &Value) -> Result<Vec<SourceConnection>, Cause> {
        let page = read_list(body.to_string().as_bytes(), Selection::Name("n"))?;
        Ok(page.items.into_iter().filter_map(|item| item.matching).collect())
    }

    #[test]
    fn only_what_has_exactly_the_name_is_selected() {
        let items = json!({"items": [
            {"id": "1", "name": "n", "params": {"tableName": "t"}, "baseConnectionId": "c",
             "connectionSpec": {"id": HUBSPOT_SPEC_ID.to_uppercase()}},
            {"id": "2", "name": "n2"}, {"id": "3"},
        ]});
        let found = named(&items).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].table.as_deref(), found[0].is_of_hubspot), (Some("t"), Some(true)));
    }

    #[test]
    fn what_may_be_selected_and_cannot_be_read_is_an_error() {
        for item in [
            json!(null),
            json!([]),
            json!({"name": "n"}),
            json!({"id": "../x", "name": "n"}),
            json!({"id": "1", "name": 5}),
        ] {
            assert!(named(&json!({"items": [item]})).is_err(), "{item}");
        }
        for body in
            [json!({}), json!([]), json!({"items": null}), json!({"items": [], "_links": {"next": {}}})]
        {
            assert!(named(&body).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = (read_list(&body, Selection::Name("n")), read_created(&body));
        }
    }
}
