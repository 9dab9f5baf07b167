//! What a new schema or field group must be.

use serde_json::Value;

use super::{
    Kind, XdmResource, fields::check_fields, find, resolve::own_properties, standard, xdm_resource::tenant_id,
};
use crate::emulator::{
    collection::{Collection, Record},
    gateway::Tenant,
    platform::bad_request,
    problem::Problem,
};

/// # Errors
/// 400 for the first rule that the resource breaks.
pub(super) fn check(
    resource: &XdmResource,
    tenant: &Tenant,
    existing: &Collection<XdmResource>,
) -> Result<(), Problem> {
    if resource.title().is_empty() {
        return Err(bad_request("The field title is required."));
    }
    if resource.body.get("type").is_some_and(|r#type| r#type != "object") {
        return Err(bad_request("The field type must be object."));
    }
    check_fields(&own_properties(&resource.body), &format!("_{}", tenant_id(tenant)))?;
    match resource.kind {
        Kind::Schema => check_composition(resource, tenant, existing)?,
        Kind::FieldGroup => check_field_group(resource)?,
    }
    let has_title = |record: &&Record<XdmResource>| {
        record.tenant == *tenant && record.content.title() == resource.title()
    };
    match existing.all().iter().find(has_title) {
        None => Ok(()),
        Some(Record { id, .. }) => Err(bad_request(format!(
            "Title must be unique. An object {id} already exists with the same title."
        ))),
    }
}

/// A schema has one class, and field groups of that class.
fn check_composition(
    schema: &XdmResource,
    tenant: &Tenant,
    existing: &Collection<XdmResource>,
) -> Result<(), Problem> {
    let Some(class) = schema.class() else {
        return Err(bad_request(
            "The field allOf must refer to one class: the emulator knows \
             https://ns.adobe.com/xdm/context/profile and https://ns.adobe.com/xdm/context/experienceevent.",
        ));
    };
    for id in schema.references().filter(|id| !id.starts_with('#') && *id != class) {
        let is_for_class = if standard::class(id).is_some() {
            return Err(bad_request("A schema can have only one class."));
        } else if let Some(extended) = standard::field_group_class(id) {
            extended == class
        } else {
            let field_group = find(existing, tenant, Kind::FieldGroup, id).ok_or_else(|| unknown(id))?;
            field_group.document["meta:intendedToExtend"]
                .as_array()
                .is_some_and(|classes| classes.iter().any(|extended| extended == class))
        };
        if !is_for_class {
            return Err(bad_request(format!(
                "The field group {id} cannot be used: its meta:intendedToExtend does not have {class}."
            )));
        }
    }
    check_definitions(schema)
}

/// A field group names the classes that it is for, and has fields.
fn check_field_group(field_group: &XdmResource) -> Result<(), Problem> {
    let classes = field_group.body.get("meta:intendedToExtend").and_then(Value::as_array);
    let Some(classes) = classes.filter(|classes| !classes.is_empty()) else {
        return Err(bad_request("The field meta:intendedToExtend must be an array of classes."));
    };
    for class in classes {
        if class.as_str().and_then(standard::class).is_none() {
            return Err(unknown(class.as_str().unwrap_or_default()));
        }
    }
    if let Some(id) = field_group.references().find(|id| !id.starts_with('#')) {
        return Err(bad_request(format!("A field group cannot refer to {id}.")));
    }
    check_definitions(field_group)
}

/// A reference within the resource leads to a definition.
fn check_definitions(resource: &XdmResource) -> Result<(), Problem> {
    let is_defined = |id: &str| {
        let name = id.strip_prefix("#/definitions/")?;
        resource.body.get("definitions")?.get(name)
    };
    match resource.references().find(|id| id.starts_with('#') && is_defined(id).is_none()) {
        None => Ok(()),
        Some(id) => Err(unknown(id)),
    }
}

fn unknown(id: &str) -> Problem {
    bad_request(format!("The referenced resource {id} is not found."))
}
