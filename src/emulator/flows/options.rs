//! The options and labels of a flow.

use serde_json::{Map, Value};

use crate::emulator::{flow_service::from_provider, problem::Problem};

/// Checks the options against the flow specification. Whether 100 percent is allowed is not documented; it is
/// here.
pub(super) fn parse(options: Option<&Value>) -> Result<Map<String, Value>, Problem> {
    let options = match options {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(options)) => options.clone(),
        Some(_) => return Err(from_provider("options must be an object")),
    };
    for (name, value) in &options {
        let is_valid = match name.as_str() {
            "errorDiagnosticsEnabled" => value.is_boolean(),
            "partialIngestionPercent" => value.as_f64().is_some_and(|percent| percent > 0.0),
            _ => return Err(from_provider(&format!("options.{name} is not an option of the flow spec"))),
        };
        if !is_valid {
            return Err(from_provider(&format!("options.{name} is invalid")));
        }
    }
    Ok(options)
}

pub(super) fn labels(labels: Option<&Value>) -> Result<Vec<Value>, Problem> {
    match labels {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(labels)) if labels.iter().all(Value::is_string) => Ok(labels.clone()),
        Some(_) => Err(from_provider("labels must be an array of strings")),
    }
}
