//! `/flowSpecs/{id}`: compares Adobe's specification of flows from tables with what this service sends.

use serde_json::Value;

use super::{
    connection_specs::reported,
    connections::HUBSPOT_SPEC_ID,
    flows::create::{FLOW_SPEC_ID, FLOW_SPEC_VERSION},
    target_connections::DATA_LAKE_SPEC_ID,
};
use crate::{
    adobe::{
        answer::success::value,
        client::{Call, Route},
    },
    domain::SandboxName,
    error::Cause,
};

static TABLE_FLOWS: Route = Route::read("/flowSpecs/{id}", &["items", "flowSpec", "sourceConnectionSpecIds"]);

pub(super) static ROUTES: [&Route; 1] = [&TABLE_FLOWS];

pub(crate) fn drift(sandbox: &SandboxName) -> Call<'_, Vec<String>> {
    Call { id: Some(FLOW_SPEC_ID), ..Call::new(&TABLE_FLOWS, sandbox, flow_spec_drift) }
}

/// The differences between the flow specification and what this service sends, each a sentence. A missing part is no
/// difference.
///
/// # Errors
/// The reply holds no such specification.
pub(crate) fn flow_spec_drift(body: &[u8]) -> Result<Vec<String>, Cause> {
    let body = value("no flow specification", body)?;
    let is_it = |spec: &&Value| spec["id"] == FLOW_SPEC_ID;
    let items = body["items"].as_array();
    let spec = items.map_or(Some(&body), |items| items.iter().find(is_it)).filter(is_it);
    let spec = spec.ok_or("no flow specification for tables in the reply")?;

    let mut drift = Vec::new();
    if let Some(version) = spec["version"].as_str().filter(|version| *version != FLOW_SPEC_VERSION) {
        drift.push(format!("its version is {version:?}, not {FLOW_SPEC_VERSION:?}"));
    }
    for (name, id, what) in [
        ("sourceConnectionSpecIds", HUBSPOT_SPEC_ID, "HubSpot as a source"),
        ("targetConnectionSpecIds", DATA_LAKE_SPEC_ID, "the data lake as a target"),
    ] {
        if spec[name].as_array().is_some_and(|ids| ids.iter().all(|other| other != id)) {
            drift.push(format!("it does not have {what} any more"));
        }
    }
    // Both spellings are in Adobe's documents.
    let transformations =
        spec["transformationSpecs"].as_array().or_else(|| spec["transformationSpec"].as_array());
    for name in ["Copy", "Mapping"] {
        let is_missing =
            |transformations: &Vec<Value>| transformations.iter().all(|other| other["name"] != name);
        if transformations.is_some_and(is_missing) {
            drift.push(format!("it does not have the transformation {name:?}, which this service sends"));
        }
    }
    let options = spec["optionSpec"]["spec"]["properties"].as_object();
    for name in ["errorDiagnosticsEnabled", "partialIngestionPercent"] {
        if options.is_some_and(|options| !options.contains_key(name)) {
            drift.push(format!("it does not have the option {name:?}, which this service sends"));
        }
    }
    Ok(reported(drift))
}
