//! What the resources of the Flow Service have in common: their routes to read and to list, and their bodies.

mod constant;
mod list;
mod patch;
mod query;
mod usage;

use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    collection::{Collection, Field, Record, Resource},
    problem::Problem,
    reply::Reply,
    routes::{BASE_PATH, Call},
    settings::Settings,
    state::State,
};
pub(super) use constant::{get_constant, list_constant};
pub(super) use list::list;
pub(super) use patch::{Instruction, patch, rejected_instruction};
pub(super) use query::{invalid_value, known_parameters_only, value};
pub(super) use usage::{UsedByFlows, delete_unused};

/// A resource with the Flow Service's routes.
pub(super) trait FlowServiceResource: Resource + Clone {
    /// As paths and messages name it: `connections`.
    const NAME: &'static str;
    /// What a list can be filtered by.
    const FIELDS: &'static [Field];
    /// The properties that a list can be ordered by.
    const ORDERS: &'static [&'static str];

    fn collection(state: &State) -> &Collection<Self>;

    fn collection_mut(state: &mut State) -> &mut Collection<Self>;

    /// The record as the service shows it.
    fn item(record: &Record<Self>, state: &State) -> Value;
}

/// `GET /{NAME}/{id}`: reads one record, as a list of one.
///
/// # Errors
/// 1451-400 for any query parameter, 404 in the legacy shape for an unknown id.
pub(super) fn get<R: FlowServiceResource>(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    let item = R::item(find::<R>(call, state)?, state);
    Ok(Reply::json(StatusCode::OK, &json!({"items": [item]})))
}

/// Finds the record that the path names.
pub(super) fn find<'a, R: FlowServiceResource>(
    call: &Call<'_>,
    state: &'a State,
) -> Result<&'a Record<R>, Problem> {
    R::collection(state).get(&call.tenant, call.id).ok_or_else(|| not_found(R::NAME, call.id))
}

pub(super) fn not_found(name: &str, id: &str) -> Problem {
    let message = format!("{name} not found with id = [{id}]");
    Problem::Legacy { status: StatusCode::NOT_FOUND, message }
}

/// The reply to a creation.
pub(super) fn created<R: FlowServiceResource>(record: &Record<R>) -> Reply {
    let Record { id, etag, .. } = record;
    let reply = Reply::json(StatusCode::CREATED, &json!({"id": id, "etag": etag}));
    match HeaderValue::try_from(format!("{BASE_PATH}/{}/{id}", R::NAME)) {
        Ok(location) => reply.with_header(header::LOCATION, location),
        Err(_) => reply,
    }
}

/// The properties that all resources of the Flow Service have.
pub(super) fn common_properties<R>(record: &Record<R>, client: &str) -> Value {
    let Record { id, etag, tenant, created_at_ms, updated_at_ms, .. } = record;
    json!({
        "id": id,
        "createdAt": created_at_ms,
        "updatedAt": updated_at_ms,
        "createdBy": client,
        "updatedBy": client,
        "createdClient": client,
        "updatedClient": client,
        "sandboxId": tenant.sandbox_id().to_string(),
        "sandboxName": tenant.sandbox,
        "imsOrgId": tenant.org,
        "version": etag,
        "etag": etag,
    })
}

/// Reads a JSON body.
///
/// # Errors
/// 1405-400 for an empty body, shape E for one that is not JSON.
pub(super) fn json_body(body: &[u8]) -> Result<Value, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Null) => Err(no_body()),
        Ok(body) => Ok(body),
        Err(_) if body.trim_ascii().is_empty() => Err(no_body()),
        Err(_) => Err(Problem::unreadable("The request body is not valid JSON")),
    }
}

/// Reads a body that is a JSON object.
///
/// # Errors
/// As [`json_body`], and shape E for another type.
pub(super) fn object_body(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let Value::Object(fields) = json_body(body)? else {
        return Err(Problem::unreadable("The request body must be a JSON object"));
    };
    Ok(fields)
}

/// The id and the version of a specification in a body.
///
/// # Errors
/// 1413-400 without an id, 422 without a version.
pub(super) fn spec_info(spec: Option<&Value>) -> Result<(&str, &str), Problem> {
    let spec = spec.and_then(Value::as_object).ok_or_else(invalid_spec)?;
    let Some(version) = spec.get("version").and_then(Value::as_str) else {
        return Err(Problem::Message {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            message: "connectionSpec.version 'version' is required for spec info".to_owned(),
        });
    };
    let id = spec.get("id").and_then(Value::as_str).ok_or_else(invalid_spec)?;
    Ok((id, version))
}

pub(super) fn invalid_spec() -> Problem {
    Problem::invalid(1413, "The spec ID provided is invalid. Please provide a valid spec ID and try again.")
}

pub(super) fn no_body() -> Problem {
    Problem::invalid(
        1405,
        "The request body cannot be null or empty. Please provide a request body and try again.",
    )
}

pub(super) fn name(value: Option<&Value>) -> Result<String, Problem> {
    match value {
        Some(Value::String(name)) => Ok(name.clone()),
        _ => Err(from_provider("name must be a string")),
    }
}

pub(super) fn description(value: Option<&Value>) -> Result<Option<String>, Problem> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(description)) => Ok(Some(description.clone())),
        Some(_) => Err(from_provider("description must be a string")),
    }
}

/// What the specification does not allow. The real service's code for it is not documented; this is the one
/// that passes on the provider's message.
pub(super) fn from_provider(reason: &str) -> Problem {
    Problem::invalid(1100, format!("The request could not be processed. Error from flow provider: {reason}."))
}

/// An error of the catalogue of the sources, whose prefix is not documented. Its codes have other meanings in
/// the Flow Service's own catalogue.
pub(super) fn source_error(settings: &Settings, code: u16, detail: impl Into<String>) -> Problem {
    let code = format!("{}-{code}-400", settings.source_error_prefix);
    Problem::Report { status: StatusCode::BAD_REQUEST, code, detail: detail.into() }
}

/// A body that names a resource which does not exist. The code for it is not documented; this is the one for a
/// provider that does not find something.
pub(super) fn missing_reference(name: &str, id: &str) -> Problem {
    let detail = format!(
        "The requested resource is not found. Error from flow provider: {name} with the id {id} does not exist."
    );
    Problem::report(StatusCode::NOT_FOUND, 1101, detail)
}
