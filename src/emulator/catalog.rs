//! The Catalog: datasets and their batches.

mod batch;
mod dataset;

pub(super) use batch::{Batch, add_batch};
pub(super) use dataset::Dataset;

/// The path under which its routes live.
pub(super) const BASE_PATH: &str = "/data/foundation/catalog";

/// A new id of 24 hexadecimal digits.
fn hex_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..24].to_owned()
}
