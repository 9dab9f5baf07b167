//! A mapping set.

use serde_json::{Value, json};
use uuid::Uuid;

use super::mapping::Mapping;
use crate::emulator::{
    collection::{Record, Resource},
    gateway::Tenant,
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct MappingSet {
    pub(super) name: Option<String>,
    /// 0 for a new one, and one more with each update. Earlier versions stay valid for flows that name them.
    pub(in crate::emulator) version: u64,
    /// The `$id` of the schema that it maps to, which exists.
    pub(in crate::emulator) schema_id: String,
    pub(super) mappings: Vec<Mapping>,
    /// The API key that it was created with.
    pub(super) client: String,
}

impl Resource for MappingSet {
    fn new_id(&self, _: &Tenant) -> String {
        Uuid::new_v4().simple().to_string()
    }

    fn document(record: &Record<Self>) -> Value {
        let Record { id, created_at_ms, updated_at_ms, content, .. } = record;
        let Self { name, version, schema_id, mappings, client } = content;
        let content_type = "application/vnd.adobe.xed-full+json;version=1";
        let mappings: Vec<_> = mappings.iter().map(Mapping::document).collect();
        let mut document = json!({
            "id": id,
            "version": version,
            "createdDate": created_at_ms,
            "modifiedDate": updated_at_ms,
            "createdBy": client,
            "modifiedBy": client,
            "status": "PUBLISHED",
            "xdmSchema": schema_id,
            "xdmVersion": "1.0",
            "outputSchema": {"schemaRef": {"id": schema_id, "contentType": content_type}},
            "mappings": mappings,
        });
        if let Some(name) = name {
            document["name"] = json!(name);
        }
        document
    }
}
