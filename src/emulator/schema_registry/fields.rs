//! The rules for custom fields.

use serde_json::{Map, Value};

use super::members;
use crate::emulator::{platform::bad_request, problem::Problem};

const TYPES: [&str; 6] = ["string", "number", "integer", "boolean", "object", "array"];

/// # Errors
/// 400 for a field outside the namespace of the tenant, one with a name that is not allowed, or without a type.
pub(super) fn check_fields(fields: &Map<String, Value>, namespace: &str) -> Result<(), Problem> {
    for (name, field) in fields {
        if name != namespace {
            return Err(bad_request(format!(
                "The custom field {name} must be under the tenant namespace {namespace}."
            )));
        }
        check_type(name, field)?;
        check_below(name, field)?;
    }
    Ok(())
}

fn check_below(path: &str, field: &Value) -> Result<(), Problem> {
    for (name, below) in members(field, "properties") {
        let path = format!("{path}.{name}");
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.starts_with('_') || !name.chars().all(is_allowed) {
            return Err(bad_request(format!(
                "The name of the field {path} is invalid: it may have letters, digits, hyphens and underscores, and \
                 may not begin with an underscore."
            )));
        }
        check_type(&path, below)?;
        check_below(&path, below)?;
    }
    field.get("items").map_or(Ok(()), |items| check_below(&format!("{path}[]"), items))
}

fn check_type(path: &str, field: &Value) -> Result<(), Problem> {
    match field["type"].as_str() {
        Some(r#type) if TYPES.contains(&r#type) => Ok(()),
        _ => Err(bad_request(format!("The type of the field {path} must be one of {}.", TYPES.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_custom_field_is_in_the_namespace_and_has_a_name_and_a_type() {
        let check = |fields: Value| check_fields(fields.as_object().unwrap(), "_tenant");
        let below = |fields| check(json!({"_tenant": {"type": "object", "properties": fields}}));
        assert_eq!(below(json!({"Vid": {"type": "string"}, "a-b_1": {"type": "integer"}})), Ok(()));
        for (result, says) in [
            (check(json!({"Vid": {"type": "string"}})), "Vid must be under the tenant namespace _tenant"),
            (below(json!({"_id": {"type": "string"}})), "_tenant._id is invalid"),
            (below(json!({"first name": {"type": "string"}})), "_tenant.first name is invalid"),
            (below(json!({"a": {}})), "type of the field _tenant.a"),
            (below(json!({"a": {"type": "date"}})), "type of the field _tenant.a"),
            (
                below(json!({"a": {"type": "array", "items": {"type": "object", "properties": {"é": {}}}}})),
                "_tenant.a[].é is invalid",
            ),
        ] {
            let reply = result.unwrap_err().reply("");
            let text = String::from_utf8(reply.body.to_vec()).unwrap();
            assert!(text.contains(says), "{says}: {text}");
        }
    }
}
