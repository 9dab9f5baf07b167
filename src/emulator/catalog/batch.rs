//! A batch: what one run of a flow brought into a dataset.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::emulator::{
    collection::{Record, Resource},
    gateway::Tenant,
    state::State,
};

#[derive(Clone, Debug)]
pub(in crate::emulator) struct Batch {
    /// The id of its dataset.
    pub(in crate::emulator) dataset: String,
    /// `success`, `failed` or another one of the documentation.
    pub(in crate::emulator) status: String,
    pub(in crate::emulator) records_read: u64,
    pub(in crate::emulator) records_written: u64,
}

impl Resource for Batch {
    fn new_id(&self, _: &Tenant) -> String {
        Uuid::new_v4().simple().to_string()
    }

    fn document(record: &Record<Self>) -> Value {
        let Record { tenant, created_at_ms, updated_at_ms, content, .. } = record;
        let Self { dataset, status, records_read, records_written } = content;
        json!({
            "status": status,
            "relatedObjects": [{"type": "dataSet", "id": dataset}],
            "metrics": {
                "startTime": created_at_ms,
                "endTime": updated_at_ms,
                "recordsRead": records_read,
                "recordsWritten": records_written,
            },
            "errors": [],
            "imsOrg": tenant.org,
            "sandboxId": tenant.sandbox_id().to_string(),
            "created": created_at_ms,
            "updated": updated_at_ms,
            "version": "1.0.0",
        })
    }
}

/// Records a batch, in its dataset as well. Returns its id; `None` without such a dataset.
pub(in crate::emulator) fn add_batch(state: &mut State, tenant: &Tenant, batch: Batch) -> Option<String> {
    let dataset = state.datasets.get(tenant, &batch.dataset)?.id.clone();
    let record = state.batches.create(tenant, batch);
    let (id, status) = (record.id.clone(), record.content.status.clone());
    state.datasets.amend(tenant, &dataset, |dataset| {
        if status == "success" {
            dataset.last_successful_batch = Some(id.clone());
        }
        dataset.last_batch = Some((id.clone(), status));
    });
    Some(id)
}
