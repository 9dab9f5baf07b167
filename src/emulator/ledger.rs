//! How many of each resource exist.

use serde::Serialize;

use super::{schema_registry::Kind, state::State};

/// How many of each resource exist, of all tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    pub connections: usize,
    pub source_connections: usize,
    pub target_connections: usize,
    pub flows: usize,
    pub mapping_sets: usize,
    pub datasets: usize,
    pub schemas: usize,
    pub field_groups: usize,
}

impl Ledger {
    pub(super) fn of(state: &State) -> Self {
        let xdm =
            |kind| state.xdm_resources.all().iter().filter(|record| record.content.kind == kind).count();
        Self {
            connections: state.connections.all().len(),
            source_connections: state.source_connections.all().len(),
            target_connections: state.target_connections.all().len(),
            flows: state.flows.all().len(),
            mapping_sets: state.mapping_sets.all().len(),
            datasets: state.datasets.all().len(),
            schemas: xdm(Kind::Schema),
            field_groups: xdm(Kind::FieldGroup),
        }
    }
}
