//! Data Prep: the mapping sets of flows.

mod mapping;
mod mapping_set;

pub(super) use mapping_set::MappingSet;

/// The path under which its routes live.
pub(super) const BASE_PATH: &str = "/data/foundation/conversion";
