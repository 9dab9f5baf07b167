//! Target connections: a dataset that a flow writes to.

mod create;
mod target_connection;

use super::{
    flow_service::{self, Instruction, delete_unused, description, name, rejected_instruction},
    problem::Problem,
    routes::Endpoint,
    state::State,
};
pub(super) use target_connection::TargetConnection;

/// The specification of every target connection: the data lake.
pub(super) const DATA_LAKE_SPEC_ID: &str = "c604ff05-7f1a-43c0-8e18-33bf874cb11c";

pub(super) const DATA_LAKE_SPEC_VERSION: &str = "1.0";

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("POST /targetConnections", create::create),
    Endpoint::tenant("GET /targetConnections", flow_service::list::<TargetConnection>),
    Endpoint::tenant("GET /targetConnections/{id}", flow_service::get::<TargetConnection>),
    Endpoint::tenant("PATCH /targetConnections/{id}", |call, state| {
        flow_service::patch::<TargetConnection>(call, state, |_| Ok(()), apply)
    }),
    Endpoint::tenant("DELETE /targetConnections/{id}", delete_unused::<TargetConnection>),
];

fn apply(_: &State, content: &mut TargetConnection, instructions: &[Instruction<'_>]) -> Result<(), Problem> {
    for Instruction { path, value } in instructions {
        match *path {
            "/name" => content.name = value.map(|value| name(Some(value))).transpose()?,
            "/description" => content.description = description(*value)?,
            _ => return Err(rejected_instruction(&format!("Invalid path \"{path}\""))),
        }
    }
    Ok(())
}
