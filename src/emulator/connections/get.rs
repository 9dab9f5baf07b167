//! `GET /connections/{id}`

use http::StatusCode;
use serde_json::json;

use super::known_parameters_only;
use crate::emulator::{
    problem::Problem,
    received::ReceivedRequest,
    reply::Reply,
    settings::Settings,
    store::{Store, Tenant},
};

/// Reads one connection, which comes as a list of one.
///
/// # Errors
/// 1451-400 for any query parameter, 404 in the legacy shape for an unknown ID.
pub(in crate::emulator) fn get(
    request: &ReceivedRequest,
    id: &str,
    tenant: &Tenant,
    store: &Store,
    settings: &Settings,
) -> Result<Reply, Problem> {
    known_parameters_only(request, &[])?;
    let Some(connection) = store.get(tenant, id) else {
        let message = format!("connections not found with id = [{id}]");
        return Err(Problem::Legacy { status: StatusCode::NOT_FOUND, message });
    };
    Ok(Reply::json(StatusCode::OK, &json!({"items": [connection.item(settings.mask_auth_params)]})))
}
