//! A mapping set.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::mapping::Mapping;
use crate::emulator::{
    collection::{Collection, Record, Resource},
    gateway::Tenant,
    platform::{bad_request, client, json_object},
    problem::Problem,
    routes::Call,
    schema_registry::{self, Kind, XdmResource},
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct MappingSet {
    name: Option<String>,
    /// 0 for a new one, and one more with each update. Earlier versions stay valid for flows that name them.
    pub(in crate::emulator) version: u64,
    /// The `$id` of the schema that it maps to.
    pub(in crate::emulator) schema_id: String,
    pub(super) mappings: Vec<Mapping>,
    /// The API key that it was created with.
    client: String,
}

impl MappingSet {
    /// Parses a body in one of the two dialects of the documentation.
    ///
    /// # Errors
    /// 400 for the first mistake.
    pub(super) fn parse(call: &Call<'_>, schemas: &Collection<XdmResource>) -> Result<Self, Problem> {
        let body = json_object(call)?;
        let schema_id = schema_id(&body).ok_or_else(|| {
            bad_request(
                "The schema is required: outputSchema.schemaRef.id, or xdmSchema in the earlier form.",
            )
        })?;
        if schema_registry::find(schemas, &call.tenant, Kind::Schema, schema_id).is_none() {
            return Err(bad_request(format!("The schema {schema_id} is not found.")));
        }
        let name = match body.get("name") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err(bad_request("The field name must be a text.")),
        };
        let mappings = body.get("mappings").and_then(Value::as_array);
        let mappings = mappings.ok_or_else(|| bad_request("The field mappings must be an array."))?;
        let mappings = mappings.iter().map(Mapping::parse).collect::<Result<_, _>>()?;
        Ok(Self { name, version: 0, schema_id: schema_id.to_owned(), mappings, client: client(call) })
    }
}

fn schema_id(body: &Map<String, Value>) -> Option<&str> {
    let current = body.get("outputSchema").and_then(|schema| schema["schemaRef"]["id"].as_str());
    current.or_else(|| body.get("xdmSchema").and_then(Value::as_str))
}

impl Resource for MappingSet {
    /// 32 hexadecimal digits.
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
