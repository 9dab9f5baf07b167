//! `GET /connections/{id}/test`

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

/// Says whether a connection works; that it does not is no error.
///
/// # Errors
/// 1451-400 for any query parameter, 404 in the legacy shape for an unknown ID.
pub(crate) fn test(
    request: &ReceivedRequest,
    id: &str,
    tenant: &Tenant,
    store: &Store,
    settings: &Settings,
) -> Result<Reply, Problem> {
    known_parameters_only(request, &[])?;
    find(store, tenant, id)?;
    Ok(Reply::json(StatusCode::OK, &json!({"result": settings.test_result})))
}
