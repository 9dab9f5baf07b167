//! `DELETE /connections/{id}`

use super::{check_state, find};
use crate::emulator::{
    problem::Problem,
    query::known_parameters_only,
    received::ReceivedRequest,
    reply::Reply,
    settings::Settings,
    store::{Store, Tenant},
};

/// Deletes a connection, whatever its version: no `If-Match` is documented here.
///
/// # Errors
/// 404 in the legacy shape for an unknown ID, 400 for a state that does not allow it and while
/// flows use the connection.
pub(crate) fn delete(
    request: &ReceivedRequest,
    id: &str,
    tenant: &Tenant,
    store: &mut Store,
    settings: &Settings,
) -> Result<Reply, Problem> {
    known_parameters_only(request, &[])?;
    check_state(find(store, tenant, id)?, "delete", 1458)?;
    if let Some(flows) = settings.flows.get(id).filter(|flows| !flows.is_empty()) {
        let detail = format!(
            "The base connection with the ID {id} cannot be deleted because the base connection is being used \
             in one or more flows. Please ensure that corresponding flows are deleted before deleting a base \
             connection."
        );
        // Reports have further fields, which vary by code; what this one has is not documented.
        return Err(Problem::InUse { detail, flows: flows.clone() });
    }
    store.remove(tenant, id);
    Ok(Reply::empty(settings.delete_status))
}
