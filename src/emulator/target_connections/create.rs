//! `POST /targetConnections`

use serde_json::{Map, Value};

use super::{DATA_LAKE_SPEC_ID, DATA_LAKE_SPEC_VERSION, TargetConnection};
use crate::emulator::{
    flow_service::{
        created, description, from_provider, invalid_spec, known_parameters_only, missing_reference, name,
        object_body, source_error, spec_info,
    },
    gateway::Tenant,
    problem::Problem,
    reply::Reply,
    routes::Call,
    state::State,
};

/// Creates a target connection. Equal names are accepted: the real service documents no rule against them.
///
/// # Errors
/// The Flow Service's or the sources', for the first mistake in the body.
pub(super) fn create(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    let fields = object_body(&call.request.body)?;
    let client = call.request.header("x-api-key").unwrap_or_default();
    let target = parse(&fields, &call.tenant, client, state)?;
    Ok(created(state.target_connections.create(&call.tenant, target)))
}

fn parse(
    fields: &Map<String, Value>,
    tenant: &Tenant,
    client: &str,
    state: &State,
) -> Result<TargetConnection, Problem> {
    let settings = &state.settings;
    let (id, version) = spec_info(fields.get("connectionSpec"))?;
    if id != DATA_LAKE_SPEC_ID {
        let detail = format!(
            "The target connection spec ID is not valid={id}. The allowed value is: {DATA_LAKE_SPEC_ID}."
        );
        return Err(source_error(settings, 1307, detail));
    }
    if version != DATA_LAKE_SPEC_VERSION {
        return Err(invalid_spec());
    }
    let data = object(fields, "data")?;
    let schema = data.get("schema").unwrap_or(&Value::Null);
    let schema_id = schema["id"].as_str().ok_or_else(|| from_provider("data.schema.id must be a string"))?;
    if !schema["version"].is_string() {
        return Err(from_provider("data.schema.version must be a string"));
    }
    let params = object(fields, "params")?;
    let dataset_id = params.get("dataSetId").and_then(Value::as_str).unwrap_or_default();
    if dataset_id.is_empty() {
        let detail = "The dataSetId param cannot be null or empty in target connection. \
                      Please provide valid dataSetId param and try again.";
        return Err(source_error(settings, 1325, detail));
    }
    if state.datasets.get(tenant, dataset_id).is_none() {
        return Err(missing_reference("The dataset", dataset_id));
    }
    Ok(TargetConnection {
        name: fields.get("name").map(|value| name(Some(value))).transpose()?,
        description: description(fields.get("description"))?,
        dataset_id: dataset_id.to_owned(),
        schema_id: schema_id.to_owned(),
        data: data.clone(),
        params: params.clone(),
        client: client.to_owned(),
    })
}

fn object<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a Map<String, Value>, Problem> {
    let object = fields.get(name).and_then(Value::as_object);
    object.ok_or_else(|| from_provider(&format!("{name} must be an object")))
}
