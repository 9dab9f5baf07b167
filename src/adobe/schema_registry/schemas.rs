//! `/tenant/schemas/{id}`: reads a schema with all its fields.

use serde_json::{Map, Value};

use crate::{
    adobe::{
        answer::success::value,
        client::{Call, Route},
    },
    domain::{
        SandboxName,
        dataflow::{Schema, SchemaField, SchemaId, XdmPath},
    },
    error::Cause,
};

static GET: Route = Route::read("/tenant/schemas/{id}", &["$id", "properties"]);
static GET_GLOBAL: Route = Route::read("/global/schemas/{id}", &["$id", "properties"]);

pub(super) static ROUTES: [&Route; 2] = [&GET, &GET_GLOBAL];

/// With what it is composed of resolved, so that all fields are below `properties`. The version is required, and means
/// the latest of this major version.
const FULL: &str = "application/vnd.adobe.xed-full+json; version=1";
/// The beginning of the IDs of Adobe's own schemas.
const OF_ADOBE: &str = "https://ns.adobe.com/xdm";
/// The most fields that are read.
const MOST_FIELDS: usize = 20_000;
/// The deepest field that is read.
const DEEPEST: usize = 30;

pub(crate) fn get<'a>(sandbox: &'a SandboxName, id: &'a SchemaId) -> Call<'a, Schema> {
    let route = if id.as_str().starts_with(OF_ADOBE) { &GET_GLOBAL } else { &GET };
    let read = |body: &[u8]| read_schema(body, id);
    Call { id: Some(id.as_str()), accept: Some(FULL), ..Call::new(route, sandbox, read) }
}

/// Reads a schema. A field whose path cannot be a mapping's destination is left out.
///
/// # Errors
/// It is another schema, or has no fields.
pub(crate) fn read_schema(body: &[u8], id: &SchemaId) -> Result<Schema, Cause> {
    let body = value("no schema", body)?;
    if body["$id"].as_str().is_none_or(|read| read.trim() != id.as_str()) {
        return Err("another schema than the one that was asked for".into());
    }
    let properties = body["properties"].as_object().ok_or("no schema: no properties")?;
    let mut fields = Vec::new();
    flatten(properties, "", 0, &mut fields);
    Ok(Schema { id: id.clone(), title: body["title"].as_str().map(str::to_owned), fields })
}

/// Adds every field that is no object.
fn flatten(properties: &Map<String, Value>, parent: &str, depth: usize, fields: &mut Vec<SchemaField>) {
    for (name, field) in properties {
        if fields.len() >= MOST_FIELDS {
            return;
        }
        let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
        let kind = kind(&field["type"]);
        if let Some(properties) = field["properties"].as_object() {
            if depth < DEEPEST {
                flatten(properties, &path, depth + 1, fields);
            }
        } else if kind != "object"
            && field.is_object()
            && let Ok(path) = XdmPath::parse(&path)
        {
            let format =
                field["format"].as_str().or_else(|| field["meta:xdmType"].as_str().filter(is_format));
            fields.push(SchemaField { path, kind, format: format.unwrap_or_default().to_owned() });
        }
    }
}

/// The type of a field: the first one that is not `null`.
fn kind(field_type: &Value) -> String {
    let types = field_type.as_array();
    let text = types.map_or_else(
        || field_type.as_str(),
        |types| types.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
    );
    text.unwrap_or_default().to_owned()
}

/// Whether an XDM type is also a format.
fn is_format(kind: &&str) -> bool {
    matches!(*kind, "date-time" | "date")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_with_a_value_is_read_with_its_path() {
        let id = SchemaId::parse("https://ns.adobe.com/t/schemas/1").unwrap();
        let body = json!({"$id": id.as_str(), "title": "x", "properties": {
            "_t": {"type": "object", "properties": {"a": {"type": ["null", "string"], "meta:xdmType": "date-time"}}},
            "map": {"type": "object"}, "b c": {"type": "string"}, "n": {"type": "array"}, "odd": 5,
        }});
        let mut fields = read_schema(body.to_string().as_bytes(), &id).unwrap().fields;
        fields.sort_by(|one, other| one.path.cmp(&other.path));
        let shown: Vec<_> =
            fields.iter().map(|f| (f.path.as_str(), f.kind.as_str(), f.format.as_str())).collect();
        assert_eq!(shown, [("_t.a", "string", "date-time"), ("n", "array", "")]);
        for body in [json!({}), json!({"$id": id.as_str()}), json!({"$id": "x", "properties": {}}), json!([])]
        {
            assert!(read_schema(body.to_string().as_bytes(), &id).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = read_schema(&body, &SchemaId::parse("https://a").unwrap());
        }
    }
}
