//! Data Prep: the mapping sets of flows.

mod expression;
mod list;
mod mapping;
mod mapping_set;
mod validate;

use http::StatusCode;
use serde_json::Value;

use super::{
    collection::Record,
    platform::{Parameters, bad_request, not_found, path_id},
    problem::Problem,
    reply::Reply,
    routes::{Call, Endpoint},
    state::State,
};
pub(super) use mapping_set::MappingSet;

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("POST /data/foundation/conversion/mappingSets", create),
    Endpoint::tenant("GET /data/foundation/conversion/mappingSets", list::list),
    Endpoint::tenant("POST /data/foundation/conversion/mappingSets/validate", validate::validate),
    Endpoint::tenant("GET /data/foundation/conversion/mappingSets/{id}", get),
    Endpoint::tenant("PUT /data/foundation/conversion/mappingSets/{id}", replace),
    Endpoint::tenant("DELETE /data/foundation/conversion/mappingSets/{id}", delete),
];

/// `POST /mappingSets`: creates a mapping set, with status 200. Equal names are accepted.
///
/// # Errors
/// 400 for the first mistake in the body, and with `validate=true` for a mapping that is not valid.
fn create(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let mapping_set = parse(call, state)?;
    Ok(written(state.mapping_sets.create(&call.tenant, mapping_set)))
}

/// `PUT /mappingSets/{id}`: replaces a mapping set by its next version.
///
/// # Errors
/// 404 for an unknown id, and those of a creation.
fn replace(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let version = find(call, state)?.content.version + 1;
    let mut mapping_set = parse(call, state)?;
    mapping_set.version = version;
    let id = path_id(call);
    let record = state.mapping_sets.replace(&call.tenant, &id, mapping_set).ok_or_else(|| unknown(&id))?;
    Ok(written(record))
}

/// `GET /mappingSets/{id}`
///
/// # Errors
/// 404 for an unknown id.
fn get(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &find(call, state)?.document))
}

/// `DELETE /mappingSets/{id}`, which is not documented, but used.
///
/// # Errors
/// 404 for an unknown id.
fn delete(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let id = path_id(call);
    state.mapping_sets.remove(&call.tenant, &id).ok_or_else(|| unknown(&id))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// What a write returns: the mapping set without its mappings.
fn written(record: &Record<MappingSet>) -> Reply {
    let shown = ["id", "version", "createdDate", "modifiedDate", "createdBy", "modifiedBy"];
    let body: Value =
        shown.into_iter().map(|name| (name.to_owned(), record.document[name].clone())).collect();
    Reply::json(StatusCode::OK, &body)
}

fn parse(call: &Call<'_>, state: &State) -> Result<MappingSet, Problem> {
    let parameters = Parameters::parse(call, &["validate"])?;
    let mapping_set = MappingSet::parse(call, &state.xdm_resources)?;
    // Some clients write it with a capital letter.
    if parameters.get("validate").is_some_and(|validate| validate.eq_ignore_ascii_case("true")) {
        let mistakes = validate::mistakes(&mapping_set, &call.tenant, &state.xdm_resources);
        if let Some(mistake) = mistakes.into_iter().flatten().next() {
            return Err(bad_request(mistake));
        }
    }
    Ok(mapping_set)
}

fn find<'a>(call: &Call<'_>, state: &'a State) -> Result<&'a Record<MappingSet>, Problem> {
    let id = path_id(call);
    state.mapping_sets.get(&call.tenant, &id).ok_or_else(|| unknown(&id))
}

fn unknown(id: &str) -> Problem {
    not_found(format!("The mapping set with the id {id} is not found."))
}
