//! The content of a source connection, and how it is shown.

use serde_json::{Map, Value, json};

use crate::emulator::{
    collection::{Collection, EQUAL, Field, Record, Resource},
    connection_specs::{Spec, Table},
    flow_service::{FlowServiceResource, UsedByFlows, common_properties},
    flows::Flow,
    state::State,
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct SourceConnection {
    pub(in crate::emulator) name: String,
    pub(super) description: Option<String>,
    /// The id of its base connection.
    pub(in crate::emulator) base_connection: String,
    pub(in crate::emulator) spec: &'static Spec,
    /// As they were sent. They name the table.
    pub(super) params: Map<String, Value>,
    /// The API key that it was created with.
    pub(super) client: String,
}

impl SourceConnection {
    /// The path of its table, which need not exist.
    pub(in crate::emulator) fn table_path(&self) -> &str {
        let of = |name| self.params.get(name).and_then(Value::as_str);
        of("path").or_else(|| of("tableName")).unwrap_or_default()
    }

    pub(in crate::emulator) fn table(&self) -> Option<&'static Table> {
        self.spec.tables.iter().find(|table| table.path == self.table_path())
    }
}

impl Resource for SourceConnection {
    fn document(record: &Record<Self>) -> Value {
        let Self { name, description, base_connection, spec, params, client } = &record.content;
        let spec = json!({"id": spec.id, "version": spec.version});
        let mut document = common_properties(record, client);
        document["name"] = json!(name);
        if let Some(description) = description {
            document["description"] = json!(description);
        }
        document["baseConnectionId"] = json!(base_connection);
        document["state"] = json!("enabled");
        document["data"] = json!({"format": "tabular", "schema": null, "properties": null});
        document["connectionSpec"] = spec.clone();
        document["params"] = json!(params);
        document["inheritedAttributes"] =
            json!({"baseConnection": {"id": base_connection, "connectionSpec": spec}});
        document
    }
}

impl FlowServiceResource for SourceConnection {
    const NAME: &'static str = "sourceConnections";
    const FIELDS: &'static [Field] = &[
        ("id", EQUAL),
        ("name", EQUAL),
        ("description", EQUAL),
        ("baseConnectionId", EQUAL),
        ("connectionSpec.id", EQUAL),
        ("params.path", EQUAL),
        ("params.tableName", EQUAL),
        ("state", EQUAL),
    ];
    const ORDERS: &'static [&'static str] = &["name", "createdAt", "updatedAt"];

    fn collection(state: &State) -> &Collection<Self> {
        &state.source_connections
    }

    fn collection_mut(state: &mut State) -> &mut Collection<Self> {
        &mut state.source_connections
    }

    fn item(record: &Record<Self>, _state: &State) -> Value {
        record.document.clone()
    }
}

impl UsedByFlows for SourceConnection {
    fn is_used_by(flow: &Flow, id: &str) -> bool {
        flow.source_connection == id
    }
}
