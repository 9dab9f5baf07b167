//! Flows: what moves a source connection's rows into a target connection's dataset, and when.

mod action;
mod create;
mod flow;
mod mapping;
mod options;
mod patch;
mod schedule;
mod transformations;

use super::{
    collection::Record,
    flow_service::{self, find, known_parameters_only},
    problem::Problem,
    reply::Reply,
    routes::{Call, Endpoint},
    runs,
    state::State,
};
pub use flow::FlowEntry;
pub(super) use flow::{Flow, ledger, set_state};
pub(super) use schedule::Frequency;

/// Reading one evaluates its schedule first, for the last run.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("POST /flows", create::create),
    Endpoint::tenant("GET /flows", |call, state| {
        runs::make_due(state);
        flow_service::list::<Flow>(call, state)
    }),
    Endpoint::tenant("GET /flows/{id}", |call, state| {
        runs::make_due(state);
        flow_service::get::<Flow>(call, state)
    }),
    Endpoint::tenant("PATCH /flows/{id}", patch::patch),
    Endpoint::tenant("DELETE /flows/{id}", delete),
    Endpoint::tenant("POST /flows/{id}/action", action::action),
];

/// Deletes a flow, whatever its version. Everything that it uses stays, and so do its runs.
///
/// # Errors
/// 404 in the legacy shape for an unknown id, 400 in a state that does not allow it.
fn delete(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    runs::make_due(state);
    check_state(find(call, state)?, "delete", 1458)?;
    state.flows.remove(&call.tenant, call.id);
    Ok(Reply::empty(state.settings.delete_status))
}

/// Rejects a change or a deletion in a state that does not allow it.
///
/// # Errors
/// 1420-400 in a transition, or `finalizing` and 400 while the flow is being deleted already.
fn check_state(flow: &Record<Flow>, operation: &str, finalizing: u16) -> Result<(), Problem> {
    match &*flow.content.state {
        "enabled" | "disabled" | "draft" => Ok(()),
        state @ "delete-finalizing" => {
            let detail = format!("Operation {operation} cannot be applied in state {state}.");
            Err(Problem::invalid(finalizing, detail))
        }
        state => Err(Problem::invalid(1420, format!("The current state {state} cannot be updated."))),
    }
}
