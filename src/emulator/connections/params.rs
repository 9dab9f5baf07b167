//! The authentication parameters of a connection. No message repeats a value.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::emulator::{connection_specs::Spec, flow_service::from_provider, problem::Problem};

/// Parses all parameters at once, by the rules of the specification.
pub(super) fn parse(value: Option<&Value>, spec: &Spec) -> Result<BTreeMap<String, SecretString>, Problem> {
    let none = Map::new();
    let given = match value {
        None => &none,
        Some(params) => params.as_object().ok_or_else(|| from_provider("auth.params must be an object"))?,
    };
    if let Some(missing) = spec.params.iter().find(|param| param.required && !given.contains_key(param.name))
    {
        return Err(from_provider(&format!("auth.params.{} is required", missing.name)));
    }
    let mut params = BTreeMap::new();
    for (name, value) in given {
        if !spec.params.iter().any(|param| param.name == name) {
            return Err(from_provider(&format!("auth.params.{name} is not a parameter of the auth spec")));
        }
        let Some(value) = value.as_str() else {
            return Err(from_provider(&format!("auth.params.{name} must be a string")));
        };
        params.insert(name.clone(), SecretString::from(value));
    }
    Ok(params)
}
