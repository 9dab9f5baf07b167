//! `POST /sourceConnections`

use serde_json::{Map, Value};

use super::{SourceConnection, missing, params};
use crate::emulator::{
    connection_specs::Spec,
    flow_service::{
        created, description, from_provider, invalid_spec, known_parameters_only, missing_reference, name,
        object_body, source_error, spec_info,
    },
    gateway::Tenant,
    problem::Problem,
    reply::Reply,
    routes::Call,
    settings::Settings,
    state::State,
};

/// The only format of a table.
const FORMAT: &str = "tabular";

/// Creates a source connection. Equal names are accepted: the real service documents no rule against them.
///
/// # Errors
/// The Flow Service's, for the first mistake in the body.
pub(super) fn create(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    known_parameters_only(call.request, &[])?;
    let fields = object_body(&call.request.body)?;
    let client = call.request.header("x-api-key").unwrap_or_default();
    let source = parse(&fields, &call.tenant, client, state)?;
    Ok(created(state.source_connections.create(&call.tenant, source)))
}

fn parse(
    fields: &Map<String, Value>,
    tenant: &Tenant,
    client: &str,
    state: &State,
) -> Result<SourceConnection, Problem> {
    let (id, version) = spec_info(fields.get("connectionSpec"))?;
    let spec = Spec::find(id, version).ok_or_else(invalid_spec)?;
    check_format(fields.get("data"), &state.settings)?;
    let base_connection = fields.get("baseConnectionId").and_then(Value::as_str).unwrap_or_default();
    if base_connection.is_empty() {
        return Err(missing("baseConnectionId", &state.settings));
    }
    let base = state
        .connections
        .get(tenant, base_connection)
        .ok_or_else(|| missing_reference("The base connection", base_connection))?;
    if base.content.spec != spec {
        let reason = format!("the base connection {base_connection} has another connection spec");
        return Err(from_provider(&reason));
    }
    let no_params = Value::Object(Map::new());
    let params = fields.get("params").unwrap_or(&no_params);
    Ok(SourceConnection {
        name: name(fields.get("name"))?,
        description: description(fields.get("description"))?,
        base_connection: base_connection.to_owned(),
        spec,
        params: params::parse(params, spec.tables, &state.settings)?,
        client: client.to_owned(),
    })
}

fn check_format(data: Option<&Value>, settings: &Settings) -> Result<(), Problem> {
    match data.and_then(|data| data.get("format")).and_then(Value::as_str) {
        Some(FORMAT) => Ok(()),
        None => Err(missing("data.format", settings)),
        Some(other) => {
            let detail = format!(
                "The format of source data supplied={other} in SourceConnection is not supported. \
                 The allowed values are: {FORMAT}. Please provide allowed values and try again."
            );
            Err(source_error(settings, 1327, detail))
        }
    }
}
