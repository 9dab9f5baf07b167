//! `GET /connections/{id}`

use http::StatusCode;
use serde_json::json;

use super::find;
use crate::emulator::{
    problem::Problem,
    query::known_parameters_only,
    received::ReceivedRequest,
    reply::Reply,
    settings::Settings,
    store::{Store, Tenant},
};

/// Reads one connection, which comes as a list of one.
///
/// # Errors
/// 1451-400 for any query parameter, 404 in the legacy shape for an unknown ID.
pub(crate) fn get(
    request: &ReceivedRequest,
    id: &str,
    tenant: &Tenant,
    store: &Store,
    settings: &Settings,
) -> Result<Reply, Problem> {
    known_parameters_only(request, &[])?;
    let item = find(store, tenant, id)?.item(settings.mask_auth_params);
    Ok(Reply::json(StatusCode::OK, &json!({"items": [item]})))
}
