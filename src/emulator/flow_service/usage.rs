//! Connections that a flow can use.

use super::{FlowServiceResource, find, known_parameters_only};
use crate::emulator::{flows::Flow, problem::Problem, reply::Reply, routes::Call, state::State};

/// A source or target connection.
pub(in crate::emulator) trait UsedByFlows: FlowServiceResource {
    fn is_used_by(flow: &Flow, id: &str) -> bool;
}

/// `DELETE /{NAME}/{id}`: deletes a connection, whatever its version.
///
/// # Errors
/// 404 in the legacy shape for an unknown id, 1447-400 while a flow uses it, unless the settings allow that.
pub(in crate::emulator) fn delete_unused<R: UsedByFlows>(
    call: &Call<'_>,
    state: &mut State,
) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    find::<R>(call, state)?;
    let id = call.id;
    let uses = |flow: &Flow| R::is_used_by(flow, id);
    if state.settings.protect_used_connections && state.flows_of(&call.tenant, uses).next().is_some() {
        return Err(Problem::invalid(1447, format!("Found active flows containing id {id}.")));
    }
    R::collection_mut(state).remove(&call.tenant, id);
    Ok(Reply::empty(state.settings.delete_status))
}
