//! What a flow does with the rows: `Copy` and `Mapping`.

use serde_json::Value;

use super::schedule::{Frequency, number};
use crate::emulator::{
    flow_service::{from_provider, source_error},
    problem::Problem,
    settings::Settings,
};

/// Transformations that fit the schedule.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Transformations {
    /// As they were sent.
    pub(super) given: Vec<Value>,
    pub(in crate::emulator) mapping_id: String,
    pub(in crate::emulator) mapping_version: u64,
}

impl Transformations {
    /// Parses `transformations`. Whether the mapping exists is not known here.
    ///
    /// # Errors
    /// For the first transformation that is missing or wrong.
    pub(super) fn parse(given: &[Value], frequency: Frequency, settings: &Settings) -> Result<Self, Problem> {
        let is_known = |given: &Value| matches!(given["name"].as_str(), Some("Copy" | "Mapping"));
        if let Some(unknown) = given.iter().find(|given| !is_known(given)) {
            return Err(from_provider(&format!("the transformation {} is unknown", unknown["name"])));
        }
        let params =
            |name: &str| given.iter().find(|given| given["name"] == name).map(|given| &given["params"]);
        check_delta_column(params("Copy"), frequency, settings)?;
        let mapping = params("Mapping").ok_or_else(|| {
            let detail = "The mapping transformation cannot be null when extracting mappingId. \
                          Please provide valid mapping transformation and try again.";
            source_error(settings, 1328, detail)
        })?;
        let mapping_id = mapping["mappingId"].as_str().filter(|id| !id.is_empty()).ok_or_else(|| {
            let detail = "The param: mappingId cannot be null or empty in the provided request. \
                          Please provide valid mappingId and try again.";
            source_error(settings, 1329, detail)
        })?;
        let mapping_version = number(&mapping["mappingVersion"]).ok_or_else(invalid_mapping_version)?;
        Ok(Self { given: given.to_vec(), mapping_id: mapping_id.to_owned(), mapping_version })
    }
}

pub(super) fn invalid_mapping_version() -> Problem {
    Problem::invalid(1412, "Invalid Mapping Version in request. Please provide correct mapping version.")
}

/// Whether the table has the column, and which columns qualify, is not checked: no documentation does.
fn check_delta_column(
    copy: Option<&Value>,
    frequency: Frequency,
    settings: &Settings,
) -> Result<(), Problem> {
    let column = copy.map(|copy| &copy["deltaColumn"]).filter(|column| !column.is_null());
    let is_named = column.is_some_and(|column| column["name"].as_str().is_some_and(|name| !name.is_empty()));
    match (frequency, column) {
        (Frequency::Once, Some(_)) => {
            let detail = "The delta column in copy transform is not allowed when frequency is set to once. \
                          Please remove the delta column and try again.";
            Err(source_error(settings, 1369, detail))
        }
        (Frequency::Minute | Frequency::Hour | Frequency::Day | Frequency::Week, _) if !is_named => {
            let detail = "The delta column is required in copy transformation when creating a CRM connector. \
                          Please provide delta column and try again.";
            Err(source_error(settings, 1367, detail))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(given: &Value, frequency: Frequency) -> Result<(String, u64), String> {
        match Transformations::parse(given.as_array().unwrap(), frequency, &Settings::default()) {
            Ok(parsed) => Ok((parsed.mapping_id, parsed.mapping_version)),
            Err(Problem::Report { code, .. }) => Err(code),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_delta_column_belongs_to_a_repeated_flow_alone() {
        let mapping = json!({"name": "Mapping", "params": {"mappingId": "m", "mappingVersion": "0"}});
        let copy = |params: Value| json!([{"name": "Copy", "params": params}, mapping]);
        let column = copy(json!({"deltaColumn": {"name": "Added_At"}}));
        let found = Ok(("m".to_owned(), 0));
        assert_eq!(parse(&column, Frequency::Hour), found);
        assert_eq!(parse(&column, Frequency::Once), Err("FLOW-1369-400".to_owned()));
        for none in [json!([mapping]), copy(json!({})), copy(json!({"deltaColumn": null}))] {
            assert_eq!(parse(&none, Frequency::Once), found, "{none}");
            assert_eq!(parse(&none, Frequency::Day), Err("FLOW-1367-400".to_owned()), "{none}");
        }
        let unnamed = copy(json!({"deltaColumn": {"name": ""}}));
        assert_eq!(parse(&unnamed, Frequency::Week), Err("FLOW-1367-400".to_owned()));
    }

    #[test]
    fn a_mapping_is_required_and_has_an_id_and_a_version() {
        let mapping = |params: Value| json!([{"name": "Mapping", "params": params}]);
        for (given, code) in [
            (json!([]), "FLOW-1328-400"),
            (json!([{"name": "Encrypt"}]), "1100"),
            (json!(["Mapping"]), "1100"),
            (mapping(json!({})), "FLOW-1329-400"),
            (mapping(json!({"mappingId": "", "mappingVersion": 0})), "FLOW-1329-400"),
            (mapping(json!({"mappingId": "m"})), "1412"),
            (mapping(json!({"mappingId": "m", "mappingVersion": "latest"})), "1412"),
        ] {
            assert_eq!(parse(&given, Frequency::Once), Err(code.to_owned()), "{given}");
        }
    }
}
