//! Connection specifications. They belong to no organization and no sandbox.

mod spec;
mod tables;

use serde_json::{Value, json};

use super::{
    collection::{EQUAL, Field},
    flow_service::{get_constant, list_constant},
    routes::Endpoint,
    settings::Settings,
};
pub use spec::{HUBSPOT, Param, Spec};
pub use tables::{Column, ColumnType, Table};

const NAME: &str = "connectionSpecs";

const FIELDS: &[Field] = &[("id", EQUAL), ("name", EQUAL), ("providerId", EQUAL), ("version", EQUAL)];

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("GET /connectionSpecs", |call, state| {
        list_constant(call, NAME, FIELDS, items(&state.settings))
    }),
    Endpoint::tenant("GET /connectionSpecs/{id}", |call, state| {
        get_constant(call, NAME, items(&state.settings))
    }),
];

fn items(settings: &Settings) -> Vec<Value> {
    Spec::ALL.into_iter().map(|spec| item(spec, settings)).collect()
}

fn item(spec: &Spec, settings: &Settings) -> Value {
    let mut item = spec.item();
    if let (Some(auth_spec), true) = (&settings.auth_spec, spec.id == HUBSPOT.id) {
        item["authSpec"] = if auth_spec.is_array() { auth_spec.clone() } else { json!([auth_spec]) };
    }
    item
}
