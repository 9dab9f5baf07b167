//! Whether a flow's mapping fits its target.

use super::transformations::{Transformations, invalid_mapping_version};
use crate::emulator::{
    flow_service::missing_reference, gateway::Tenant, problem::Problem, state::State,
    target_connections::TargetConnection,
};

/// Checks that the mapping exists, and that the mapping, the target connection and the dataset have one schema.
///
/// # Errors
/// 1419-400 for an unknown mapping, 1412-400 for an unknown version of it, 1425-400 for another schema, 404 for
/// a dataset that is gone.
pub(super) fn check(
    transformations: &Transformations,
    target: &TargetConnection,
    tenant: &Tenant,
    state: &State,
) -> Result<(), Problem> {
    let Transformations { mapping_id, mapping_version, .. } = transformations;
    let Some(mapping) = state.mapping_sets.get(tenant, mapping_id) else {
        let detail = format!(
            "Error while validating mapping with id {mapping_id}, version {mapping_version}. This could be \
             because of inadequate permissions on mapped fields. \
             Please check your mapping or contact your admin."
        );
        return Err(Problem::invalid(1419, detail));
    };
    if *mapping_version > mapping.content.version {
        return Err(invalid_mapping_version());
    }
    let dataset_id = &target.dataset_id;
    let dataset = state.datasets.get(tenant, dataset_id);
    let dataset = dataset.ok_or_else(|| missing_reference("The dataset", dataset_id))?;
    let schema = &dataset.content.schema_id;
    if *schema != mapping.content.schema_id || *schema != target.schema_id {
        let detail = format!(
            "Error while matching schema in target dataset {dataset_id} with schema in mapping {mapping_id}. \
             Schema with same id and version must be used in both mapping and target dataset."
        );
        return Err(Problem::invalid(1425, detail));
    }
    Ok(())
}
