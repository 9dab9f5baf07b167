//! The `/connections` routes: one file per route, from a request to the store and back.

mod content;
mod create;
mod delete;
mod explore;
mod get;
mod list;
mod patch;
mod test;

pub(super) use create::create;
pub(super) use delete::delete;
pub(super) use explore::explore;
pub(super) use get::get;
pub(super) use list::list;
pub(super) use patch::patch;
pub(super) use test::test;

use http::StatusCode;

use super::{
    problem::Problem,
    store::{Connection, Store, Tenant},
};

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
