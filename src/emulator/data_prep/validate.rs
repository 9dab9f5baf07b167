//! `POST /mappingSets/validate`

use http::StatusCode;
use serde_json::json;

use super::{
    expression,
    mapping::{Mapping, SourceType},
    mapping_set::MappingSet,
};
use crate::emulator::{
    collection::Collection,
    gateway::Tenant,
    platform::Parameters,
    problem::Problem,
    reply::Reply,
    routes::Call,
    schema_registry::{XdmResource, has_field},
    state::State,
};

/// Checks mappings, and keeps nothing. There is one result for each, in order.
///
/// # Errors
/// 400 for a body that is no mapping set.
pub(super) fn validate(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    Parameters::parse(call, &[])?;
    let mapping_set = MappingSet::parse(call, &state.xdm_resources)?;
    let results: Vec<_> = mistakes(&mapping_set, &call.tenant, &state.xdm_resources)
        .into_iter()
        .map(|mistake| match mistake {
            None => json!({"status": "SUCCESS", "errors": null}),
            Some(mistake) => json!({"status": "FAILED", "errors": [{"message": mistake}]}),
        })
        .collect();
    Ok(Reply::json(StatusCode::OK, &json!({"validationResponse": results})))
}

/// The mistake in each mapping, if it has one.
pub(super) fn mistakes(
    mapping_set: &MappingSet,
    tenant: &Tenant,
    schemas: &Collection<XdmResource>,
) -> Vec<Option<String>> {
    let mistake = |mapping: &Mapping| {
        let Mapping { source_type, source, destination } = mapping;
        if has_field(schemas, tenant, &mapping_set.schema_id, destination) != Some(true) {
            return Some(format!("The destination {destination} does not exist in the schema."));
        }
        match source_type {
            // The data are not known yet.
            SourceType::Attribute | SourceType::Static => None,
            SourceType::Expression => expression::mistake(source),
        }
    };
    mapping_set.mappings.iter().map(mistake).collect()
}
