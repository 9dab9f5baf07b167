//! The content of a flow, and how it is shown.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{schedule::Schedule, transformations::Transformations};
use crate::emulator::{
    collection::{Collection, EQUAL, Field, ORDERED, Record, Resource},
    connection_specs::Spec,
    flow_service::{FlowServiceResource, common_properties},
    flow_specs::{CRM_TO_AEP_ID, CRM_TO_AEP_VERSION},
    state::State,
    target_connections::{DATA_LAKE_SPEC_ID, DATA_LAKE_SPEC_VERSION},
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct Flow {
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// The id of its source connection.
    pub(in crate::emulator) source_connection: String,
    /// The specification of its source connection.
    pub(super) source_spec: &'static Spec,
    /// The id of its source connection's base connection.
    pub(in crate::emulator) base_connection: String,
    /// The id of its target connection.
    pub(in crate::emulator) target_connection: String,
    pub(in crate::emulator) transformations: Transformations,
    pub(in crate::emulator) schedule: Schedule,
    pub(super) options: Map<String, Value>,
    pub(super) labels: Vec<Value>,
    pub(in crate::emulator) state: String,
    /// The last write: `create`, `update`, `enable` or `disable`.
    pub(super) operation: &'static str,
    /// The API key that it was created with.
    pub(super) client: String,
    /// The first period of its schedule that has no run yet and can get one.
    pub(in crate::emulator) next_period: u64,
    /// `lastRunDetails`.
    pub(in crate::emulator) last_run: Option<Value>,
}

impl Resource for Flow {
    fn document(record: &Record<Self>) -> Value {
        let Flow { source_spec, source_connection, target_connection, .. } = &record.content;
        let source_spec = json!({"id": source_spec.id, "version": source_spec.version});
        let target_spec = json!({"id": DATA_LAKE_SPEC_ID, "version": DATA_LAKE_SPEC_VERSION});
        let flow = &record.content;
        let mut document = common_properties(record, &flow.client);
        let mut set = |name: &str, value: Value| document[name] = value;
        set("name", json!(flow.name));
        if let Some(description) = &flow.description {
            set("description", json!(description));
        }
        set("flowSpec", json!({"id": CRM_TO_AEP_ID, "version": CRM_TO_AEP_VERSION}));
        set("state", json!(flow.state));
        set("sourceConnectionIds", json!([source_connection]));
        set("targetConnectionIds", json!([target_connection]));
        set(
            "inheritedAttributes",
            json!({
                "properties": {"isSourceFlow": true},
                "sourceConnections": [{
                    "id": source_connection,
                    "connectionSpec": source_spec,
                    "baseConnection": {"id": flow.base_connection, "connectionSpec": source_spec},
                }],
                "targetConnections": [{"id": target_connection, "connectionSpec": target_spec}],
            }),
        );
        set("scheduleParams", json!(flow.schedule.shown()));
        if !flow.options.is_empty() {
            set("options", json!(flow.options));
        }
        if !flow.labels.is_empty() {
            set("labels", json!(flow.labels));
        }
        set("transformations", json!(flow.transformations.given));
        set("runs", json!(format!("/runs?property=flowId=={}", record.id)));
        set(
            "lastOperation",
            json!({
                "started": record.updated_at_ms,
                "updated": record.updated_at_ms,
                "percentCompleted": 100.0,
                "status": {"value": "finished"},
                "operation": flow.operation,
            }),
        );
        if let Some(last_run) = &flow.last_run {
            set("lastRunDetails", last_run.clone());
        }
        document
    }
}

impl FlowServiceResource for Flow {
    const NAME: &'static str = "flows";
    const FIELDS: &'static [Field] = &[
        ("id", EQUAL),
        ("name", EQUAL),
        ("description", EQUAL),
        ("flowSpec.id", EQUAL),
        ("state", EQUAL),
        ("sourceConnectionIds[]", EQUAL),
        ("targetConnectionIds[]", EQUAL),
        ("inheritedAttributes.properties.isSourceFlow", EQUAL),
        ("inheritedAttributes.sourceConnections[].id", EQUAL),
        ("inheritedAttributes.sourceConnections[].connectionSpec.id", EQUAL),
        ("inheritedAttributes.sourceConnections[].baseConnection.id", EQUAL),
        ("inheritedAttributes.targetConnections[].connectionSpec.id", EQUAL),
        ("transformations[].params.mappingId", EQUAL),
        ("lastRunDetails.startedAtUTC", ORDERED),
        ("lastRunDetails.state", EQUAL),
    ];
    const ORDERS: &'static [&'static str] = &["name", "createdAt", "updatedAt"];

    fn collection(state: &State) -> &Collection<Self> {
        &state.flows
    }

    fn collection_mut(state: &mut State) -> &mut Collection<Self> {
        &mut state.flows
    }

    fn item(record: &Record<Self>, _state: &State) -> Value {
        record.document.clone()
    }
}

/// A flow that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowEntry {
    pub id: String,
    pub etag: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub source_connection_id: String,
    pub target_connection_id: String,
    pub base_connection_id: String,
    pub mapping_set_id: String,
    pub mapping_version: u64,
    pub frequency: &'static str,
    /// Seconds since the Unix epoch.
    pub start_time: u64,
    pub org: String,
    pub sandbox: String,
    pub state: String,
    pub created_at_ms: u64,
}

/// Every tenant's flows, the oldest first.
pub(in crate::emulator) fn ledger(flows: &Collection<Flow>) -> Vec<FlowEntry> {
    let entry = |Record { id, etag, tenant, created_at_ms, content, .. }: &Record<Flow>| FlowEntry {
        id: id.clone(),
        etag: etag.clone(),
        name: content.name.clone(),
        description: content.description.clone(),
        source_connection_id: content.source_connection.clone(),
        target_connection_id: content.target_connection.clone(),
        base_connection_id: content.base_connection.clone(),
        mapping_set_id: content.transformations.mapping_id.clone(),
        mapping_version: content.transformations.mapping_version,
        frequency: content.schedule.frequency.name(),
        start_time: content.schedule.start,
        org: tenant.org.clone(),
        sandbox: tenant.sandbox.clone(),
        state: content.state.clone(),
        created_at_ms: *created_at_ms,
    };
    flows.all().iter().map(entry).collect()
}

/// Changes the state of a flow of any tenant, as a write does. `false` if there is no such flow.
pub(in crate::emulator) fn set_state(flows: &mut Collection<Flow>, id: &str, state: &str) -> bool {
    let Some(record) = flows.all().iter().find(|record| record.id == id) else { return false };
    let content = Flow { state: state.to_owned(), ..record.content.clone() };
    let tenant = record.tenant.clone();
    flows.replace(&tenant, id, content).is_some()
}
