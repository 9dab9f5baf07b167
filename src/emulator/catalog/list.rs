//! `GET /dataSets` and `GET /batches`

use super::{keyed, tags::Condition};
use crate::emulator::{
    collection::{EQUAL, Field, Filter, Order, Query, Record},
    platform::{Parameters, bad_request},
    problem::Problem,
    reply::Reply,
    routes::Call,
    runs,
    state::State,
};

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// What datasets can be filtered by, both with `property` and with a parameter of this name.
const DATASET_FIELDS: &[Field] =
    &[("name", EQUAL), ("createdClient", EQUAL), ("version", EQUAL), ("lastBatchStatus", EQUAL)];

/// The same of batches. The id of a dataset is in `relatedObjects`.
const BATCH_FIELDS: &[Field] = &[("status", EQUAL), ("relatedObjects[].id", EQUAL)];

/// The properties that lists can be ordered by.
const ORDERS: [&str; 3] = ["created", "updated", "name"];

/// Lists datasets.
///
/// # Errors
/// 400 for query parameters that are unknown or invalid.
pub(super) fn datasets(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let known = [
        "name",
        "createdClient",
        "version",
        "lastBatchStatus",
        "tags",
        "property",
        "properties",
        "limit",
        "start",
        "orderBy",
    ];
    let parameters = Parameters::parse(call, &known)?;
    let mut query = query(&parameters, DATASET_FIELDS)?;
    for (name, _) in DATASET_FIELDS {
        if let Some(value) = parameters.get(name) {
            query.filters.push(equal(name, value, DATASET_FIELDS)?);
        }
    }
    let tags = parameters.get("tags").map_or(Ok(Vec::new()), Condition::parse_all)?;
    runs::make_due(state);
    let mut listed = state.datasets.list(&call.tenant, &query, state.settings.index_lag);
    listed.retain(|record| tags.iter().all(|condition| condition.is_met(&record.document)));
    page(listed, &parameters)
}

/// Lists batches: with `dataSet`, those of one dataset.
///
/// # Errors
/// 400 for query parameters that are unknown or invalid.
pub(super) fn batches(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let known = ["dataSet", "status", "property", "properties", "limit", "start", "orderBy"];
    let parameters = Parameters::parse(call, &known)?;
    let mut query = query(&parameters, BATCH_FIELDS)?;
    for (name, path) in [("dataSet", "relatedObjects[].id"), ("status", "status")] {
        if let Some(value) = parameters.get(name) {
            query.filters.push(equal(path, value, BATCH_FIELDS)?);
        }
    }
    runs::make_due(state);
    page(state.batches.list(&call.tenant, &query, state.settings.index_lag), &parameters)
}

fn query(parameters: &Parameters, fields: &[Field]) -> Result<Query, Problem> {
    let parse = |property| Filter::parse(property, fields).map_err(|error| bad_request(error.to_string()));
    let filters = parameters.all("property").map(parse).collect::<Result<_, _>>()?;
    let order = parameters.get("orderBy").map(order).transpose()?.unwrap_or_default();
    Ok(Query { filters, order })
}

/// Parses `desc:created` or `asc:created`.
fn order(text: &str) -> Result<Order, Problem> {
    let parsed = match text.split_once(':') {
        Some(("asc", path)) => Order::parse(path, &ORDERS).ok(),
        Some(("desc", path)) => Order::parse(&format!("-{path}"), &ORDERS).ok(),
        _ => None,
    };
    parsed.ok_or_else(|| {
        bad_request(format!(
            "The query parameter orderBy must be asc: or desc: with one of {}.",
            ORDERS.join(", ")
        ))
    })
}

/// The value is one, even with commas and quotes.
fn equal(path: &str, value: &str, fields: &[Field]) -> Result<Filter, Problem> {
    Filter::parse(&format!("{path}==\"{value}\""), fields).map_err(|error| bad_request(error.to_string()))
}

fn page<R>(listed: Vec<&Record<R>>, parameters: &Parameters) -> Result<Reply, Problem> {
    let start = parameters.number("start", 0, usize::MAX)?.unwrap_or(0);
    let limit = parameters.number("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let page: Vec<_> = listed.into_iter().skip(start).take(limit).collect();
    Ok(keyed::reply(&page, parameters.get("properties")))
}
