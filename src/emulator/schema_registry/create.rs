//! `POST /tenant/{kind}`

use http::{HeaderValue, StatusCode, header};

use super::{Kind, XdmResource, check};
use crate::emulator::{
    platform::{client, json_object},
    problem::Problem,
    reply::Reply,
    routes::Call,
    state::State,
};

/// Creates a schema or a field group.
///
/// # Errors
/// 400 for the first mistake in the body, and for a title that exists: its error names the resource that has it.
pub(super) fn create(kind: Kind, call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let resource = XdmResource { kind, body: json_object(call)?, client: client(call) };
    check::check(&resource, &call.tenant, &state.xdm_resources)?;
    let record = state.xdm_resources.create(&call.tenant, resource);
    let reply = Reply::json(StatusCode::CREATED, &record.document);
    match HeaderValue::try_from(&record.id) {
        Ok(location) => Ok(reply.with_header(header::LOCATION, location)),
        Err(_) => Ok(reply),
    }
}
