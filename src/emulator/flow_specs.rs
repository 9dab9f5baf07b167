//! Flow specifications. They belong to no organization and no sandbox.

use serde_json::{Value, json};

use super::{
    collection::{EQUAL, Field},
    connection_specs::{HUBSPOT, Spec},
    flow_service::{get_constant, list_constant},
    routes::Endpoint,
    target_connections::DATA_LAKE_SPEC_ID,
};

const NAME: &str = "flowSpecs";

const FIELDS: &[Field] = &[("id", EQUAL), ("name", EQUAL), ("providerId", EQUAL), ("version", EQUAL)];

/// The specification of flows from tables.
pub(super) const CRM_TO_AEP_ID: &str = "14518937-270c-4525-bdec-c2ba7cce3860";

pub(super) const CRM_TO_AEP_VERSION: &str = "1.0";

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("GET /flowSpecs", |call, _| list_constant(call, NAME, FIELDS, vec![crm_to_aep()])),
    Endpoint::tenant("GET /flowSpecs/{id}", |call, _| get_constant(call, NAME, vec![crm_to_aep()])),
];

/// The specification as the documentation shows it, with the rules of its schedule in short.
fn crm_to_aep() -> Value {
    json!({
        "id": CRM_TO_AEP_ID,
        "name": "CRMToAEP",
        "providerId": HUBSPOT.provider_id,
        "version": CRM_TO_AEP_VERSION,
        "sourceConnectionSpecIds": Spec::ALL.map(|spec| spec.id),
        "targetConnectionSpecIds": [DATA_LAKE_SPEC_ID],
        "optionSpec": {"name": "OptionSpec", "spec": {"type": "object", "properties": {
            "errorDiagnosticsEnabled": {"type": "boolean", "default": false},
            "partialIngestionPercent": {"type": "number", "exclusiveMinimum": 0},
        }}},
        "transformationSpecs": [
            {"name": "Copy", "spec": {"type": "object", "properties": {"deltaColumn": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "dateFormat": {"type": "string"},
                    "timezone": {"type": "string"},
                },
                "required": ["name"],
            }}, "required": ["deltaColumn"]}},
            {"name": "Mapping", "spec": {"type": "object", "properties": {
                "mappingId": {"type": "string"},
                "mappingVersion": {"type": "string"},
            }}},
        ],
        "scheduleSpec": {"name": "PeriodicSchedule", "type": "Periodic", "spec": {
            "type": "object",
            "properties": {
                "startTime": {"type": "integer", "description": "epoch time in seconds"},
                "frequency": {"type": "string", "enum": ["once", "minute", "hour", "day", "week"]},
                "interval": {"type": "integer"},
                "backfill": {"type": "boolean", "default": true},
            },
            "required": ["startTime", "frequency"],
        }},
        "runSpec": {"name": "ProviderParams", "spec": {
            "type": "object",
            "properties": {
                "startTime": {"type": "integer"},
                "windowStartTime": {"type": "integer"},
                "windowEndTime": {"type": "integer"},
                "deltaColumn": {"type": "object"},
            },
            "required": ["startTime", "windowStartTime", "windowEndTime", "deltaColumn"],
        }},
        "attributes": {
            "isSourceFlow": true,
            "flacValidationSupported": true,
            "frequency": "batch",
            "recordTypeEnabled": true,
            "defaultRecordType": "profile",
            "isDraftModeSupported": true,
        },
        "permissionsInfo": {
            "manage": [{"@type": "lowLevel", "name": "EnterpriseSource", "permissions": ["write"]}],
            "view": [{"@type": "lowLevel", "name": "EnterpriseSource", "permissions": ["read"]}],
        },
    })
}
