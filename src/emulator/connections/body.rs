//! The rules for the fields of a connection, when it is created and when it is changed.
//!
//! No message repeats a value of `auth`, where the secrets are.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::emulator::{connection_specs::Spec, flow_service::from_provider, problem::Problem};

pub(super) fn name(value: Option<&Value>) -> Result<String, Problem> {
    match value {
        Some(Value::String(name)) => Ok(name.clone()),
        _ => Err(from_provider("name must be a string")),
    }
}

pub(super) fn description(value: Option<&Value>) -> Result<Option<String>, Problem> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(description)) => Ok(Some(description.clone())),
        Some(_) => Err(from_provider("description must be a string")),
    }
}

/// All authentication parameters at once, as the specification wants them.
pub(super) fn params(value: Option<&Value>, spec: &Spec) -> Result<BTreeMap<String, SecretString>, Problem> {
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
