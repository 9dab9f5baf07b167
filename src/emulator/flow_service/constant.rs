//! Resources that never change and belong to no tenant, such as specifications.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    not_found,
    query::{Extent, filters, invalid_value, known_parameters_only, value},
};
use crate::emulator::{collection::Field, problem::Problem, reply::Reply, routes::Call};

/// `GET /{name}`: lists items, or counts them.
///
/// # Errors
/// The Flow Service's, for query parameters that are unknown or invalid.
pub(in crate::emulator) fn list_constant(
    call: &Call<'_>,
    name: &str,
    fields: &[Field],
    mut items: Vec<Value>,
) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &["property", "limit", "continuationToken", "count"])?;
    let pairs = call.request.query_pairs();
    let extent = Extent::parse(&pairs)?;
    let filters = filters(&pairs, fields)?;
    items.retain(|item| filters.iter().all(|filter| filter.matches(item)));
    let limit = match extent {
        Extent::Count => return Ok(Reply::json(StatusCode::OK, &json!({"count": items.len()}))),
        Extent::Page(limit) => limit.unwrap_or(items.len()),
    };
    // A token is the id of the last item before the page. The client repeats the filters.
    if let Some(token) = value(&pairs, "continuationToken") {
        let last = items.iter().position(|item| item["id"] == token);
        let last = last.ok_or_else(|| invalid_value(token, "continuationToken"))?;
        items.drain(..=last);
    }
    let is_last = items.len() <= limit;
    items.truncate(limit);
    let last = items.last().filter(|_| !is_last).and_then(|item| item["id"].as_str());
    let next = last.map(|id| format!("/{name}?continuationToken={id}"));
    let mut body = json!({"items": items});
    if let Some(href) = next {
        body["_links"] = json!({"next": {"href": href}});
    }
    Ok(Reply::json(StatusCode::OK, &body))
}

/// `GET /{name}/{id}`: reads one item, as a list of one.
///
/// # Errors
/// 1451-400 for any query parameter, 404 in the legacy shape for an unknown id.
pub(in crate::emulator) fn get_constant(
    call: &Call<'_>,
    name: &str,
    items: Vec<Value>,
) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    let item = items.into_iter().find(|item| item["id"] == call.id);
    let item = item.ok_or_else(|| not_found(name, call.id))?;
    Ok(Reply::json(StatusCode::OK, &json!({"items": [item]})))
}
