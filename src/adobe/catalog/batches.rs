//! `/batches`: whether anything was ever ingested into a dataset.

use serde_json::Value;

use crate::{
    adobe::{
        answer::success::value,
        client::{Call, Route},
    },
    domain::{SandboxName, dataflow::DatasetId},
    error::Cause,
};

static LIST: Route = Route::read("/batches", &[]);

pub(super) static ROUTES: [&Route; 1] = [&LIST];

pub(crate) fn any<'a>(sandbox: &'a SandboxName, id: &DatasetId) -> Call<'a, bool> {
    let query = vec![("dataSet", id.as_str().to_owned()), ("limit", "1".to_owned())];
    Call { query, ..Call::new(&LIST, sandbox, read_any) }
}

/// Reads whether there is a batch: an object with one member for each. A Catalog that ignores the filter shows those of
/// other datasets: then it seems that there is one, and the dataset is kept.
pub(crate) fn read_any(body: &[u8]) -> Result<bool, Cause> {
    match value("no list of batches", body)? {
        Value::Object(batches) => Ok(!batches.is_empty()),
        Value::Array(batches) => Ok(!batches.is_empty()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err("no list of batches: no object".into())
        }
    }
}
