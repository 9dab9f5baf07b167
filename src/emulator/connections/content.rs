//! What a body may say about a connection: the rules that creating and changing one share.
//!
//! No message repeats a value of `auth`, where the secrets are.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::emulator::{problem::Problem, spec::Spec};

/// Reads a JSON body.
///
/// # Errors
/// 1405-400 for none, shape E for one that is not JSON.
pub(super) fn json_body(body: &[u8]) -> Result<Value, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Null) => Err(no_body()),
        Ok(body) => Ok(body),
        Err(_) if body.trim_ascii().is_empty() => Err(no_body()),
        Err(_) => Err(Problem::unreadable("The request body is not valid JSON")),
    }
}

/// The answer to a body with nothing in it.
pub(super) fn no_body() -> Problem {
    Problem::invalid(
        1405,
        "The request body cannot be null or empty. Please provide a request body and try again.",
    )
}

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

/// The answer to what the specification does not allow. Which code the real service has for it is
/// not documented; this is the one that passes on what the provider says.
pub(super) fn from_provider(reason: &str) -> Problem {
    Problem::invalid(1100, format!("The request could not be processed. Error from flow provider: {reason}."))
}
