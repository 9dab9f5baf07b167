//! A dataset.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::tags;
use crate::emulator::{
    collection::{Collection, Record, Resource},
    gateway::Tenant,
    platform::{bad_request, client, json_object, text},
    problem::Problem,
    routes::Call,
    schema_registry::{self, Kind, XdmResource},
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct Dataset {
    /// The `$id` of its schema.
    pub(in crate::emulator) schema_id: String,
    /// That of its schema.
    behavior: &'static str,
    /// As it was created.
    pub(super) body: Map<String, Value>,
    /// The API key that it was created with.
    pub(super) client: String,
    /// The id and the status of the latest batch.
    pub(super) last_batch: Option<(String, String)>,
    /// The id of the latest batch with the status `success`.
    pub(super) last_successful_batch: Option<String>,
}

impl Dataset {
    /// # Errors
    /// 400 for the first mistake in the body.
    pub(super) fn parse(call: &Call<'_>, schemas: &Collection<XdmResource>) -> Result<Self, Problem> {
        let body = json_object(call)?;
        text(&body, "name")?;
        for (name, is_valid) in [
            ("description", Value::is_string as fn(&Value) -> bool),
            ("enableErrorDiagnostics", Value::is_boolean),
        ] {
            if body.get(name).is_some_and(|value| !is_valid(value)) {
                return Err(bad_request(format!("The field {name} has the wrong type.")));
            }
        }
        if let Some(tags) = body.get("tags") {
            tags::check(tags)?;
        }
        let schema_ref = body.get("schemaRef").and_then(Value::as_object);
        let schema_ref = schema_ref.ok_or_else(|| bad_request("The field schemaRef must be an object."))?;
        let schema_id = text(schema_ref, "id")?;
        let content_type = text(schema_ref, "contentType")?;
        if !content_type.starts_with("application/vnd.adobe.xed") || !content_type.contains("version=1") {
            return Err(bad_request(
                "The field schemaRef.contentType must be like application/vnd.adobe.xed+json;version=1.",
            ));
        }
        let schema = schema_registry::find(schemas, &call.tenant, Kind::Schema, &schema_id);
        let behavior =
            schema.filter(|schema| schema.id == schema_id).and_then(|schema| schema.content.behavior());
        let behavior = behavior
            .ok_or_else(|| bad_request(format!("The schema {schema_id} of schemaRef is not found.")))?;
        Ok(Self {
            schema_id,
            behavior,
            body,
            client: client(call),
            last_batch: None,
            last_successful_batch: None,
        })
    }
}

impl Resource for Dataset {
    /// 24 hexadecimal digits.
    fn new_id(&self, _: &Tenant) -> String {
        Uuid::new_v4().simple().to_string()[..24].to_owned()
    }

    fn document(record: &Record<Self>) -> Value {
        let Record { id, tenant, created_at_ms, updated_at_ms, content, .. } = record;
        let Self { schema_id: _, behavior, body, client, last_batch, last_successful_batch } = content;
        let mut document = Value::Object(body.clone());
        document["imsOrg"] = json!(tenant.org);
        document["sandboxId"] = json!(tenant.sandbox_id().to_string());
        document["created"] = json!(created_at_ms);
        document["updated"] = json!(updated_at_ms);
        document["createdClient"] = json!(client);
        document["createdUser"] = json!(client);
        document["updatedUser"] = json!(client);
        document["version"] = json!("1.0.0");
        document["classification"] = json!({"dataBehavior": behavior, "managedBy": "CUSTOMER"});
        document["tags"]["adobe/pqs/table"] = json!([table_name(body)]);
        document["files"] = json!(format!("@/dataSetFiles?dataSetId={id}"));
        if let Some((batch, status)) = last_batch {
            document["lastBatchId"] = json!(batch);
            document["lastBatchStatus"] = json!(status);
        }
        if let Some(batch) = last_successful_batch {
            document["lastSuccessfulBatch"] = json!(batch);
        }
        document
    }
}

/// The name of a dataset in queries.
fn table_name(body: &Map<String, Value>) -> String {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}
