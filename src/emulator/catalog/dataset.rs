//! A dataset.

use serde_json::{Map, Value, json};

use crate::emulator::{
    catalog::hex_id,
    collection::{Record, Resource},
    gateway::Tenant,
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct Dataset {
    /// The `$id` of its schema, which exists.
    pub(in crate::emulator) schema_id: String,
    /// As it was created.
    pub(super) body: Map<String, Value>,
    /// The API key that it was created with.
    pub(super) client: String,
    /// The id and the status of the latest batch.
    pub(super) last_batch: Option<(String, String)>,
}

impl Resource for Dataset {
    fn new_id(&self, _: &Tenant) -> String {
        hex_id()
    }

    fn document(record: &Record<Self>) -> Value {
        let Record { id, tenant, created_at_ms, updated_at_ms, content, .. } = record;
        let Self { schema_id: _, body, client, last_batch } = content;
        let mut document = Value::Object(body.clone());
        document["imsOrg"] = json!(tenant.org);
        document["sandboxId"] = json!(tenant.sandbox_id().to_string());
        document["created"] = json!(created_at_ms);
        document["updated"] = json!(updated_at_ms);
        document["createdClient"] = json!(client);
        document["createdUser"] = json!(client);
        document["updatedUser"] = json!(client);
        document["version"] = json!("1.0.0");
        document["files"] = json!(format!("@/dataSetFiles?dataSetId={id}"));
        if let Some((batch, status)) = last_batch {
            document["lastBatchId"] = json!(batch);
            document["lastBatchStatus"] = json!(status);
            if status == "success" {
                document["lastSuccessfulBatch"] = json!(batch);
            }
        }
        document
    }
}
