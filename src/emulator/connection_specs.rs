//! The `/connectionSpecs` routes. Specifications belong to no organization and no sandbox.

mod spec;
mod tables;

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    collection::{EQUAL, Field},
    flow_service::{Extent, filters, invalid_value, known_parameters_only, not_found, value},
    problem::Problem,
    reply::Reply,
    routes::{Call, Endpoint},
    settings::Settings,
    state::State,
};
pub use spec::{HUBSPOT, Param, Spec};
pub use tables::{Column, ColumnType, Table};

pub(super) const ROUTES: &[Endpoint] =
    &[Endpoint::tenant("GET /connectionSpecs", list), Endpoint::tenant("GET /connectionSpecs/{id}", get)];

const FIELDS: &[Field] = &[("id", EQUAL), ("name", EQUAL), ("providerId", EQUAL), ("version", EQUAL)];

/// `GET /connectionSpecs`: lists specifications, or counts them.
///
/// # Errors
/// The Flow Service's, for query parameters that are unknown or invalid.
fn list(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &["property", "limit", "continuationToken", "count"])?;
    let pairs = call.request.query_pairs();
    let extent = Extent::parse(&pairs)?;
    let filters = filters(&pairs, FIELDS)?;
    let matches = |spec: &&Spec| filters.iter().all(|filter| filter.matches(&spec.item()));
    let mut found: Vec<&Spec> = Spec::ALL.into_iter().filter(matches).collect();
    let limit = match extent {
        Extent::Count => return Ok(Reply::json(StatusCode::OK, &json!({"count": found.len()}))),
        Extent::Page(limit) => limit.unwrap_or(found.len()),
    };
    // A token is the id of the last specification before the page. The client repeats the filters.
    if let Some(token) = value(&pairs, "continuationToken") {
        let last = found.iter().position(|spec| spec.id == token);
        let last = last.ok_or_else(|| invalid_value(token, "continuationToken"))?;
        found.drain(..=last);
    }
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let mut body = json!({"items": found.iter().map(|spec| item(spec, &state.settings)).collect::<Vec<_>>()});
    if let (false, Some(last)) = (is_last, found.last()) {
        let href = format!("/connectionSpecs?continuationToken={}", last.id);
        body["_links"] = json!({"next": {"href": href}});
    }
    Ok(Reply::json(StatusCode::OK, &body))
}

/// `GET /connectionSpecs/{id}`: reads one specification, as a list of one.
///
/// # Errors
/// 1451-400 for any query parameter, 404 in the legacy shape for an unknown id.
fn get(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    let spec = Spec::ALL.into_iter().find(|spec| spec.id == call.id);
    let spec = spec.ok_or_else(|| not_found("connectionSpecs", call.id))?;
    Ok(Reply::json(StatusCode::OK, &json!({"items": [item(spec, &state.settings)]})))
}

fn item(spec: &Spec, settings: &Settings) -> Value {
    let mut item = spec.item();
    if let (Some(auth_spec), true) = (&settings.auth_spec, spec.id == HUBSPOT.id) {
        item["authSpec"] = if auth_spec.is_array() { auth_spec.clone() } else { json!([auth_spec]) };
    }
    item
}
