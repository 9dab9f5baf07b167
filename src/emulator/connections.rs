//! Base connections.

mod connection;
mod create;
mod explore;
mod params;
mod patch;

use http::StatusCode;
use serde_json::json;

use super::{
    collection::Record,
    flow_service::{self, find, known_parameters_only},
    problem::Problem,
    reply::Reply,
    routes::{Call, Endpoint},
    state::State,
};
pub use connection::LedgerEntry;
pub(super) use connection::{Connection, ledger, set_state};

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("POST /connections", create::create),
    Endpoint::tenant("GET /connections", flow_service::list::<Connection>),
    Endpoint::tenant("GET /connections/{id}", flow_service::get::<Connection>),
    Endpoint::tenant("PATCH /connections/{id}", patch::patch),
    Endpoint::tenant("DELETE /connections/{id}", delete),
    Endpoint::tenant("GET /connections/{id}/test", test),
    Endpoint::tenant("GET /connections/{id}/explore", explore::explore),
];

/// Deletes a connection, whatever its version: no `If-Match` is documented here.
///
/// # Errors
/// 404 in the legacy shape for an unknown id, 400 in a state that does not allow it and while flows use the
/// connection: those that exist, or those of the settings.
fn delete(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    check_state(find(call, state)?, "delete", 1458)?;
    let id = call.id;
    let flows = state.settings.flows.get(id).cloned().unwrap_or_else(|| {
        state.flows_of(&call.tenant, |flow| flow.base_connection == id).map(str::to_owned).collect()
    });
    if !flows.is_empty() {
        let detail = format!(
            "The base connection with the ID {id} cannot be deleted because the base connection is being used \
             in one or more flows. Please ensure that corresponding flows are deleted before deleting a base \
             connection."
        );
        // Reports have further fields, which vary by code. Those of this one are not documented.
        return Err(Problem::InUse { detail, flows });
    }
    state.connections.remove(&call.tenant, id);
    Ok(Reply::empty(state.settings.delete_status))
}

/// Reports whether a connection works. A failed test is not an error.
///
/// # Errors
/// 1451-400 for any query parameter, 404 in the legacy shape for an unknown id.
fn test(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    find::<Connection>(call, state)?;
    Ok(Reply::json(StatusCode::OK, &json!({"result": state.settings.test_result})))
}

/// Rejects a change or a deletion in a state that does not allow it.
///
/// # Errors
/// 1416-400, or `finalizing` and 400 while the connection is being deleted already.
fn check_state(connection: &Record<Connection>, operation: &str, finalizing: u16) -> Result<(), Problem> {
    match &*connection.content.state {
        // Only a user's token must not touch one that is initializing, and there are none here.
        "enabled" | "disabled" | "initializing" => Ok(()),
        state @ "delete-finalizing" => {
            let detail = format!("Operation {operation} cannot be applied in state {state}.");
            Err(Problem::invalid(finalizing, detail))
        }
        _ => Err(Problem::invalid(
            1416,
            "Delete or Update can only be applied on connection with \
             enabled, disabled or initializing state.",
        )),
    }
}
