//! The `/connections` routes: one file per route, from a request to the store and back.

mod content;
mod create;
mod delete;
mod explore;
mod get;
mod list;
mod patch;
mod test;

use http::StatusCode;

use super::{
    gateway::Tenant,
    problem::Problem,
    routes::Endpoint,
    store::{Connection, Store},
};

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("POST /connections", |call, state| {
        create::create(call.request, &call.tenant, &mut state.store, &state.settings)
    }),
    Endpoint::tenant("GET /connections", |call, state| {
        list::list(call.request, &call.tenant, &state.store, &state.settings)
    }),
    Endpoint::tenant("GET /connections/{id}", |call, state| {
        get::get(call.request, call.id, &call.tenant, &state.store, &state.settings)
    }),
    Endpoint::tenant("PATCH /connections/{id}", |call, state| {
        patch::patch(call.request, call.id, &call.tenant, &mut state.store)
    }),
    Endpoint::tenant("DELETE /connections/{id}", |call, state| {
        delete::delete(call.request, call.id, &call.tenant, &mut state.store, &state.settings)
    }),
    Endpoint::tenant("GET /connections/{id}/test", |call, state| {
        test::test(call.request, call.id, &call.tenant, &state.store, &state.settings)
    }),
    Endpoint::tenant("GET /connections/{id}/explore", |call, state| {
        explore::explore(call.request, call.id, &call.tenant, &state.store)
    }),
];

/// Finds the connection that a path names.
///
/// # Errors
/// 404 in the legacy shape.
fn find<'a>(store: &'a Store, tenant: &Tenant, id: &str) -> Result<&'a Connection, Problem> {
    store.get(tenant, id).ok_or_else(|| {
        let message = format!("connections not found with id = [{id}]");
        Problem::Legacy { status: StatusCode::NOT_FOUND, message }
    })
}

/// Refuses to change or delete a connection in a state that does not allow it.
///
/// # Errors
/// 1416-400, or `finalizing` and 400 while the connection is being deleted already.
fn check_state(connection: &Connection, operation: &str, finalizing: u16) -> Result<(), Problem> {
    match &*connection.state {
        // Only a user's token may not touch one that is initializing, and there are none here.
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
