//! The content of a target connection, and how it is shown.

use serde_json::{Map, Value, json};

use super::{DATA_LAKE_SPEC_ID, DATA_LAKE_SPEC_VERSION};
use crate::emulator::{
    collection::{Collection, EQUAL, Field, Record, Resource},
    flow_service::{FlowServiceResource, UsedByFlows, common_properties},
    flows::Flow,
    state::State,
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct TargetConnection {
    /// Optional, unlike a source connection's.
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(in crate::emulator) dataset_id: String,
    /// The `$id` of the schema that it names, which should be the dataset's.
    pub(in crate::emulator) schema_id: String,
    /// As they were sent.
    pub(super) data: Map<String, Value>,
    pub(super) params: Map<String, Value>,
    /// The API key that it was created with.
    pub(super) client: String,
}

impl Resource for TargetConnection {
    fn document(record: &Record<Self>) -> Value {
        let Self { name, description, dataset_id: _, schema_id: _, data, params, client } = &record.content;
        let mut document = common_properties(record, client);
        if let Some(name) = name {
            document["name"] = json!(name);
        }
        if let Some(description) = description {
            document["description"] = json!(description);
        }
        document["state"] = json!("enabled");
        document["data"] = json!(data);
        document["connectionSpec"] = json!({"id": DATA_LAKE_SPEC_ID, "version": DATA_LAKE_SPEC_VERSION});
        document["params"] = json!(params);
        document
    }
}

impl FlowServiceResource for TargetConnection {
    const NAME: &'static str = "targetConnections";
    const FIELDS: &'static [Field] = &[
        ("id", EQUAL),
        ("name", EQUAL),
        ("description", EQUAL),
        ("connectionSpec.id", EQUAL),
        ("data.schema.id", EQUAL),
        ("params.dataSetId", EQUAL),
        ("state", EQUAL),
    ];
    const ORDERS: &'static [&'static str] = &["name", "createdAt", "updatedAt"];

    fn collection(state: &State) -> &Collection<Self> {
        &state.target_connections
    }

    fn collection_mut(state: &mut State) -> &mut Collection<Self> {
        &mut state.target_connections
    }

    fn item(record: &Record<Self>, _state: &State) -> Value {
        record.document.clone()
    }
}

impl UsedByFlows for TargetConnection {
    fn is_used_by(flow: &Flow, id: &str) -> bool {
        flow.target_connection == id
    }
}
