//! The fields of a resource, with its references resolved.

use serde_json::{Map, Value};

use super::{XdmResource, find, members, standard, xdm_resource::Kind};
use crate::emulator::{
    collection::{Collection, Record},
    gateway::Tenant,
};

/// All fields of a resource. A resource can only refer to older ones, so this ends.
pub(super) fn properties(
    resources: &Collection<XdmResource>,
    record: &Record<XdmResource>,
) -> Map<String, Value> {
    let mut all = own_properties(&record.content.body);
    for id in record.content.references() {
        let referred = standard::properties(id).or_else(|| {
            let field_group = find(resources, &record.tenant, Kind::FieldGroup, id)?;
            Some(properties(resources, field_group))
        });
        merge(&mut all, referred.unwrap_or_default());
    }
    all
}

/// The fields that a body itself defines: at its top, within its `allOf`, or in a definition that this refers to.
pub(super) fn own_properties(body: &Map<String, Value>) -> Map<String, Value> {
    let mut own = Map::new();
    let parts = body.get("allOf").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let definitions = parts.iter().filter_map(|part| {
        let name = part["$ref"].as_str()?.strip_prefix("#/definitions/")?;
        body.get("definitions")?.get(name)?.get("properties")
    });
    let inline = parts.iter().filter_map(|part| part.get("properties"));
    for fields in definitions.chain(inline).chain(body.get("properties")).filter_map(Value::as_object) {
        merge(&mut own, fields.clone());
    }
    own
}

/// Adds fields, also to the objects that both have.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) => merge(known, more),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// Removes the titles and descriptions of fields, but not fields of these names.
pub(super) fn remove_texts(node: &mut Value) {
    let Some(members) = node.as_object_mut() else { return };
    for text in ["title", "description"] {
        members.remove(text);
    }
    for fields in ["properties", "definitions"] {
        let fields = members.get_mut(fields).and_then(Value::as_object_mut);
        fields.into_iter().flat_map(|fields| fields.iter_mut()).for_each(|(_, field)| remove_texts(field));
    }
    if let Some(items) = members.get_mut("items") {
        remove_texts(items);
    }
    let parts = members.get_mut("allOf").and_then(Value::as_array_mut);
    parts.into_iter().flatten().for_each(remove_texts);
}

/// Whether a schema has the field of an XDM path, like `person.name.firstName` or `emails[0].address`. `None` for an
/// unknown schema.
pub(in crate::emulator) fn has_field(
    resources: &Collection<XdmResource>,
    tenant: &Tenant,
    schema_id: &str,
    path: &str,
) -> Option<bool> {
    let schema = find(resources, tenant, Kind::Schema, schema_id)?;
    let mut node = Value::Object(Map::from_iter([(
        "properties".to_owned(),
        Value::Object(properties(resources, schema)),
    )]));
    for segment in path.split('.') {
        let (name, is_item) = segment.split_once('[').map_or((segment, false), |(name, _)| (name, true));
        let found = members(&node, "properties").find(|(known, _)| *known == name).map(|(_, field)| field);
        let found = found.and_then(|field| if is_item { field.get("items") } else { Some(field) });
        match found.cloned() {
            Some(found) => node = found,
            None => return Some(false),
        }
    }
    Some(true)
}
