//! `/flows`: the requests, and the bodies that create a flow.

pub(crate) mod create;
pub(crate) mod item;

use http::{Method, StatusCode};

use super::{
    connections::{HUBSPOT_SPEC_ID, page::read_count},
    parts::{any_of, named, paged},
};
use crate::{
    adobe::{
        CallError, FlowPage, FlowQuery, FlowSelection, NewFlow, PageToken,
        answer::success::object,
        client::{Call, Post, Route},
        wire,
    },
    domain::{
        Etag, SandboxName,
        dataflow::{CreatedDataflow, Dataflow, DataflowRef, SourceConnectionId, TargetConnectionId},
    },
    error::Cause,
};

const PATH: &str = "/flows";
const PATH_OF_ONE: &str = "/flows/{id}";

pub(super) static CREATE: Route = Route::create_part(PATH, &["id", "etag"]);
static LIST: Route = Route::read(PATH, &["items"]);
static COUNT: Route = Route::read(PATH, &["count"]);
static GET: Route = Route::read(PATH_OF_ONE, &["items", "flowSpec"]);
static ACTION: Route = Route::change(Method::POST, "/flows/{id}/action", StatusCode::OK, &["id", "etag"]);
static DELETE: Route = Route::change(Method::DELETE, PATH_OF_ONE, StatusCode::NO_CONTENT, &[]);

pub(super) static ROUTES: [&Route; 6] = [&CREATE, &LIST, &COUNT, &GET, &ACTION, &DELETE];

/// The specification of a flow's source.
const SOURCE_SPEC: &str = "inheritedAttributes.sourceConnections[].connectionSpec.id";
/// The base connection of a flow's source.
const BASE_CONNECTION: &str = "inheritedAttributes.sourceConnections[].baseConnection.id";

pub(crate) fn list<'a>(query: &FlowQuery<'a>, page: Option<&PageToken>) -> Call<'a, FlowPage> {
    let mut call = Call::new(&LIST, query.sandbox, item::read_page);
    let one = |path: &str, id: &str| any_of(path, std::iter::once(id));
    match query.selection {
        FlowSelection::OfHubSpot { name } => {
            call.query.push(one(SOURCE_SPEC, HUBSPOT_SPEC_ID));
            call.query.extend(name.and_then(named));
        }
        FlowSelection::OfConnection(id) => call.query.push(one(BASE_CONNECTION, id.as_str())),
        FlowSelection::OfSources(ids) => {
            call.query.push(any_of("sourceConnectionIds[]", ids.iter().map(SourceConnectionId::as_str)));
        }
        FlowSelection::OfTargets(ids) => {
            call.query.push(any_of("targetConnectionIds[]", ids.iter().map(TargetConnectionId::as_str)));
        }
        FlowSelection::OfMappingSet(id) => {
            call.query.push(one("transformations[].params.mappingId", id.as_str()));
        }
    }
    paged(&mut call, query.limit, page);
    call
}

pub(crate) fn count(sandbox: &SandboxName) -> Call<'_, u64> {
    let query = vec![any_of(SOURCE_SPEC, std::iter::once(HUBSPOT_SPEC_ID)), ("count", "true".to_owned())];
    Call { query, ..Call::new(&COUNT, sandbox, read_count) }
}

pub(crate) fn get(at: &DataflowRef) -> Call<'_, Option<Dataflow>> {
    let read = |body: &[u8]| item::read_flow(body, &at.id);
    Call { id: Some(at.id.as_str()), ..Call::new(&GET, &at.sandbox, read) }
}

pub(crate) fn set_enabled(at: &DataflowRef, enabled: bool) -> Call<'_, Option<Etag>> {
    let action = if enabled { "enable" } else { "disable" };
    let query = vec![("op", action.to_owned())];
    Call { id: Some(at.id.as_str()), query, ..Call::new(&ACTION, &at.sandbox, read_version) }
}

pub(crate) fn delete(at: &DataflowRef) -> Call<'_, ()> {
    Call { id: Some(at.id.as_str()), ..Call::new(&DELETE, &at.sandbox, wire::read_deleted) }
}

/// Whether a refusal to delete says that the flow is being deleted.
pub(crate) fn is_being_deleted(error: &CallError) -> bool {
    let code =
        error.problem().filter(|_| error.refusal().is_some()).and_then(|problem| problem.code.as_deref());
    code == Some("FLOW-1458-400")
}

/// The creation of a flow.
pub(crate) fn create<'a>(flow: &NewFlow<'a>) -> Post<'a, CreatedDataflow> {
    let NewFlow { sandbox, .. } = *flow;
    Post { route: &CREATE, sandbox, body: create::body(flow), secrets: &[], read: create::read_created }
}

/// Reads the new version in the reply to an action, which may be empty.
pub(crate) fn read_version(body: &[u8]) -> Result<Option<Etag>, Cause> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    Ok(wire::id(&object("no reply to an action", body)?, "etag", Etag::parse))
}
