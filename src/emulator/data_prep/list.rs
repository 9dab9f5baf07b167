//! `GET /mappingSets`

use http::StatusCode;
use serde_json::{Value, json};

use crate::emulator::{
    collection::{EQUAL, Field, Filter, Order, Query},
    platform::{Parameters, bad_request},
    problem::Problem,
    reply::Reply,
    routes::Call,
    state::State,
};

const MAX_LIMIT: usize = 100;

const FIELDS: &[Field] = &[("name", EQUAL), ("xdmSchema", EQUAL), ("status", EQUAL)];

/// The properties that a list can be ordered by.
const ORDERS: [&str; 3] = ["name", "createdDate", "modifiedDate"];

/// Lists mapping sets. `limit` is required, as documented. So is `start` there, but clients leave it out.
///
/// # Errors
/// 400 for query parameters that are missing, unknown or invalid.
pub(super) fn list(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let parameters =
        Parameters::parse(call, &["limit", "start", "name", "property", "orderBy", "expandSchema"])?;
    let limit = parameters.number("limit", 1, MAX_LIMIT)?;
    let limit = limit.ok_or_else(|| bad_request("The query parameter limit is required."))?;
    let start = parameters.number("start", 0, usize::MAX)?.unwrap_or(0);
    let query = query(&parameters)?;
    let listed = state.mapping_sets.list(&call.tenant, &query, state.settings.index_lag);
    let data: Vec<&Value> = listed.iter().skip(start).take(limit).map(|record| &record.document).collect();
    let mut links = json!({});
    if listed.len().saturating_sub(start) > limit {
        let next = start + limit;
        links["next"] = json!({"href": format!("/mappingSets?limit={limit}&start={next}")});
    }
    let body = json!({"data": data, "_page": {"count": data.len(), "limit": limit}, "_links": links});
    Ok(Reply::json(StatusCode::OK, &body))
}

fn query(parameters: &Parameters) -> Result<Query, Problem> {
    let parse =
        |property: &str| Filter::parse(property, FIELDS).map_err(|error| bad_request(error.to_string()));
    let mut filters: Vec<_> = parameters.all("property").map(parse).collect::<Result<_, _>>()?;
    if let Some(name) = parameters.get("name") {
        // One value, even with commas and quotes.
        filters.push(parse(&format!("name==\"{name}\""))?);
    }
    let order = parameters.get("orderBy").map(|order| Order::parse(order, &ORDERS)).transpose();
    let order = order.map_err(|error| bad_request(error.to_string()))?.unwrap_or_default();
    Ok(Query { filters, order })
}
