//! Source connections: a table behind a base connection.

mod create;
mod params;
mod source_connection;

use super::{
    flow_service::{
        self, Instruction, delete_unused, description, from_provider, name, rejected_instruction,
        source_error,
    },
    problem::Problem,
    routes::Endpoint,
    settings::Settings,
    state::State,
};
pub(super) use source_connection::SourceConnection;

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("POST /sourceConnections", create::create),
    Endpoint::tenant("GET /sourceConnections", flow_service::list::<SourceConnection>),
    Endpoint::tenant("GET /sourceConnections/{id}", flow_service::get::<SourceConnection>),
    Endpoint::tenant("PATCH /sourceConnections/{id}", |call, state| {
        flow_service::patch::<SourceConnection>(call, state, |_| Ok(()), apply)
    }),
    Endpoint::tenant("DELETE /sourceConnections/{id}", delete_unused::<SourceConnection>),
];

fn apply(
    state: &State,
    content: &mut SourceConnection,
    instructions: &[Instruction<'_>],
) -> Result<(), Problem> {
    for Instruction { path, value } in instructions {
        match *path {
            "/name" => content.name = name(*value)?,
            "/description" => content.description = description(*value)?,
            "/params" => {
                let params = value.ok_or_else(|| from_provider("params is required"))?;
                content.params = params::parse(params, content.spec.tables, &state.settings)?;
            }
            _ => return Err(rejected_instruction(&format!("Invalid path \"{path}\""))),
        }
    }
    Ok(())
}

fn missing(entity: &str, settings: &Settings) -> Problem {
    let detail = format!(
        "The {entity} cannot be null or empty in the source connection. \
         Please provide valid {entity} and try again."
    );
    source_error(settings, 1323, detail)
}
