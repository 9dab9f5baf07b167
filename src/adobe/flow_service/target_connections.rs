//! `/targetConnections`: the datasets that flows write.

use http::{Method, StatusCode};
use serde::Serialize;

use super::{
    connections::ConnectionSpec,
    parts::{LARGEST_PAGE, any_of, named, paged, read_created_id, read_marked},
    source_connections::is_same,
};
use crate::{
    adobe::{
        NewTargetConnection, PageToken, TargetSelection,
        client::{Call, Route, json},
        marker_list::MarkerPage,
        wire,
    },
    domain::{
        SandboxName,
        dataflow::{DatasetId, SchemaId, TargetConnection, TargetConnectionId},
    },
    error::Cause,
    json::Object,
};

const PATH: &str = "/targetConnections";

static CREATE: Route = Route::create_part(PATH, &["id", "etag"]);
static LIST: Route = Route::read(PATH, &["items"]);
static DELETE: Route = Route::change(Method::DELETE, "/targetConnections/{id}", StatusCode::NO_CONTENT, &[]);

pub(super) static ROUTES: [&Route; 3] = [&CREATE, &LIST, &DELETE];
/// The connection specification of the data lake: fixed, and the same for every organization.
pub(super) const DATA_LAKE_SPEC_ID: &str = "c604ff05-7f1a-43c0-8e18-33bf874cb11c";
/// The latest minor version of a schema's first major version.
pub(super) const SCHEMA_VERSION: &str = "application/vnd.adobe.xed-full+json;version=1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateTargetConnection<'a> {
    name: &'a str,
    data: Data<'a>,
    params: Params<'a>,
    connection_spec: ConnectionSpec,
}

#[derive(Serialize)]
struct Data<'a> {
    schema: SchemaVersion<'a>,
}

#[derive(Serialize)]
struct SchemaVersion<'a> {
    id: &'a str,
    version: &'static str,
}

#[derive(Serialize)]
struct Params<'a> {
    #[serde(rename = "dataSetId")]
    dataset: &'a str,
}

pub(crate) fn create<'a>(target: &NewTargetConnection<'a>) -> Call<'a, TargetConnectionId> {
    let NewTargetConnection { sandbox, name, dataset, schema } = *target;
    let body = json(&CreateTargetConnection {
        name,
        data: Data { schema: SchemaVersion { id: schema.as_str(), version: SCHEMA_VERSION } },
        params: Params { dataset: dataset.as_str() },
        connection_spec: ConnectionSpec { id: DATA_LAKE_SPEC_ID, version: "1.0" },
    });
    Call { body: Some(body), ..Call::new(&CREATE, sandbox, read_created) }
}

pub(crate) fn list<'a>(
    sandbox: &'a SandboxName,
    selection: TargetSelection<'a>,
    page: Option<&PageToken>,
) -> Call<'a, MarkerPage<TargetConnection>> {
    let mut call = Call::new(&LIST, sandbox, move |body| read_list(body, selection));
    match selection {
        TargetSelection::Name(name) => {
            call.query.push(any_of("connectionSpec.id", std::iter::once(DATA_LAKE_SPEC_ID)));
            call.query.extend(named(name));
        }
        TargetSelection::Ids(ids) => {
            call.query.push(any_of("id", ids.iter().map(TargetConnectionId::as_str)));
        }
        TargetSelection::Dataset(id) => {
            call.query.push(any_of("params.dataSetId", std::iter::once(id.as_str())));
        }
    }
    paged(&mut call, LARGEST_PAGE, page);
    call
}

pub(crate) fn delete<'a>(sandbox: &'a SandboxName, id: &'a TargetConnectionId) -> Call<'a, ()> {
    Call { id: Some(id.as_str()), ..Call::new(&DELETE, sandbox, wire::read_deleted) }
}

pub(crate) fn read_created(body: &[u8]) -> Result<TargetConnectionId, Cause> {
    read_created_id(body, TargetConnectionId::parse)
}

/// Reads a page of the list.
///
/// # Errors
/// Something in it cannot be read, and may be selected.
pub(crate) fn read_list(
    body: &[u8],
    selection: TargetSelection<'_>,
) -> Result<MarkerPage<TargetConnection>, Cause> {
    read_marked(body, |item| {
        let is_selected = match selection {
            TargetSelection::Name(name) => wire::optional_text(item, "name")?.as_deref() == Some(name),
            TargetSelection::Ids(ids) => wire::id(item, "id", TargetConnectionId::parse)
                .is_some_and(|id| ids.iter().any(|other| is_same(other.as_str(), id.as_str()))),
            TargetSelection::Dataset(id) => {
                dataset(item)?.is_some_and(|dataset| is_same(dataset.trim(), id.as_str()))
            }
        };
        if is_selected { target_connection(item).map(Some) } else { Ok(None) }
    })
}

/// The dataset that a target connection names; a target that is no dataset has none.
fn dataset(item: &Object<'_>) -> Result<Option<String>, Cause> {
    if !item.has("params") {
        return Ok(None);
    }
    wire::optional_text(&item.object("params").ok_or("a target connection with odd parameters")?, "dataSetId")
}

fn target_connection(item: &Object<'_>) -> Result<TargetConnection, Cause> {
    let id =
        wire::id(item, "id", TargetConnectionId::parse).ok_or("a target connection without a usable ID")?;
    let params = item.object("params").unwrap_or_default();
    let schema = item.object("data").and_then(|data| data.object("schema")).unwrap_or_default();
    Ok(TargetConnection {
        id,
        name: item.text("name"),
        dataset: wire::id(&params, "dataSetId", DatasetId::parse),
        schema: wire::id(&schema, "id", SchemaId::parse),
        created_at_ms: wire::milliseconds(item, "createdAt"),
    })
}
