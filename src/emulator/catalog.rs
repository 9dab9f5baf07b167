//! The Catalog: datasets and their batches.
//!
//! It answers with objects that have the records by their ids.

mod batch;
mod dataset;
mod keyed;
mod list;
mod tags;

use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    platform::{Parameters, not_found, path_id},
    problem::Problem,
    reply::Reply,
    routes::{Call, Endpoint},
    runs,
    state::State,
};
pub(super) use batch::{Batch, add_batch};
pub(super) use dataset::Dataset;

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("POST /data/foundation/catalog/dataSets", create),
    Endpoint::tenant("GET /data/foundation/catalog/dataSets", list::datasets),
    Endpoint::tenant("GET /data/foundation/catalog/dataSets/{id}", get),
    Endpoint::tenant("DELETE /data/foundation/catalog/dataSets/{id}", delete),
    Endpoint::tenant("GET /data/foundation/catalog/batches", list::batches),
    Endpoint::tenant("GET /data/foundation/catalog/batches/{id}", get_batch),
];

/// `POST /dataSets`: creates a dataset. Equal names are accepted, as the documentation shows them.
///
/// # Errors
/// 400 for the first mistake in the body.
fn create(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    Parameters::parse(call, &["requestDataSource"])?;
    let dataset = Dataset::parse(call, &state.xdm_resources)?;
    let path = format!("dataSets/{}", state.datasets.create(&call.tenant, dataset).id);
    let reply = Reply::json(StatusCode::CREATED, &json!([format!("@/{path}")]));
    match HeaderValue::try_from(format!("/data/foundation/catalog/{path}")) {
        Ok(location) => Ok(reply.with_header(header::LOCATION, location)),
        Err(_) => Ok(reply),
    }
}

/// `GET /dataSets/{id}`
///
/// # Errors
/// 404 for an unknown id.
fn get(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let parameters = Parameters::parse(call, &["properties"])?;
    runs::make_due(state);
    let id = path_id(call);
    let record = state.datasets.get(&call.tenant, &id).ok_or_else(|| unknown("dataSet", &id))?;
    Ok(keyed::reply(&[record], parameters.get("properties")))
}

/// `DELETE /dataSets/{id}`
///
/// # Errors
/// 404 for an unknown id, unless the settings say that it is an empty 200, as the documentation does.
fn delete(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let id = path_id(call);
    if state.datasets.remove(&call.tenant, &id).is_some() {
        return Ok(Reply::json(StatusCode::OK, &json!([format!("@/dataSets/{id}")])));
    }
    match state.settings.missing_dataset_delete_status {
        StatusCode::OK => Ok(Reply::json(StatusCode::OK, &json!([]))),
        _ => Err(unknown("dataSet", &id)),
    }
}

/// `GET /batches/{id}`
///
/// # Errors
/// 404 for an unknown id.
fn get_batch(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    runs::make_due(state);
    let id = path_id(call);
    let record = state.batches.get(&call.tenant, &id).ok_or_else(|| unknown("batch", &id))?;
    Ok(keyed::reply(&[record], None))
}

fn unknown(what: &str, id: &str) -> Problem {
    not_found(format!("The {what} with the id {id} is not found."))
}
