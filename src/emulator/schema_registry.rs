//! The Schema Registry: the schemas and field groups of tenants.

mod accept;
mod check;
mod create;
mod fields;
mod list;
mod resolve;
mod standard;
mod xdm_resource;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    collection::{Collection, Record},
    gateway::Tenant,
    platform::{bad_request, not_found, path_id},
    problem::Problem,
    reply::Reply,
    routes::{Call, Endpoint},
    state::State,
};
use accept::{Accept, Form};
pub(super) use resolve::has_field;
pub(super) use xdm_resource::{Kind, XdmResource};
use xdm_resource::{alt_id, tenant_id};

pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint::tenant("GET /data/foundation/schemaregistry/stats", stats),
    Endpoint::tenant("POST /data/foundation/schemaregistry/tenant/schemas", |call, state| {
        create::create(Kind::Schema, call, state)
    }),
    Endpoint::tenant("GET /data/foundation/schemaregistry/tenant/schemas", |call, state| {
        list::list(Kind::Schema, call, state)
    }),
    Endpoint::tenant("GET /data/foundation/schemaregistry/tenant/schemas/{id}", |call, state| {
        get(Kind::Schema, call, state)
    }),
    Endpoint::tenant("DELETE /data/foundation/schemaregistry/tenant/schemas/{id}", |call, state| {
        delete(Kind::Schema, call, state)
    }),
    Endpoint::tenant("POST /data/foundation/schemaregistry/tenant/fieldgroups", |call, state| {
        create::create(Kind::FieldGroup, call, state)
    }),
    Endpoint::tenant("GET /data/foundation/schemaregistry/tenant/fieldgroups", |call, state| {
        list::list(Kind::FieldGroup, call, state)
    }),
    Endpoint::tenant("GET /data/foundation/schemaregistry/tenant/fieldgroups/{id}", |call, state| {
        get(Kind::FieldGroup, call, state)
    }),
    Endpoint::tenant("DELETE /data/foundation/schemaregistry/tenant/fieldgroups/{id}", |call, state| {
        delete(Kind::FieldGroup, call, state)
    }),
];

/// `GET /stats`: the namespace of the organization, and how many resources there are.
fn stats(call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let count = |kind| {
        let resources = state.xdm_resources.all().iter();
        resources.filter(|record| record.tenant == call.tenant && record.content.kind == kind).count()
    };
    let body = json!({
        "imsOrg": call.tenant.org,
        "tenantId": tenant_id(&call.tenant),
        "counts": {"schemas": count(Kind::Schema), "mixins": count(Kind::FieldGroup)},
    });
    Ok(Reply::json(StatusCode::OK, &body))
}

/// `GET /tenant/{kind}/{id}`: reads one resource in the form that the `Accept` header names.
///
/// # Errors
/// 406 without a form that is known, 400 without its version, 404 for an unknown id.
fn get(kind: Kind, call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let Accept { form, with_texts } = Accept::of_one(call.request)?;
    let record = find_named(kind, call, state)?;
    let mut document = record.document.clone();
    if let (Form::Full, Some(members)) = (form, document.as_object_mut()) {
        members.remove("allOf");
        members.remove("definitions");
        let properties = resolve::properties(&state.xdm_resources, record);
        members.insert("properties".to_owned(), Value::Object(properties));
    }
    if !with_texts {
        resolve::remove_texts(&mut document);
    }
    Ok(Reply::json(StatusCode::OK, &document))
}

/// `DELETE /tenant/{kind}/{id}`
///
/// # Errors
/// 404 for an unknown id. 400 for a schema of a dataset and a field group of a schema, unless the settings allow it:
/// the real service documents no error for these.
fn delete(kind: Kind, call: &Call<'_>, state: &mut State) -> Result<Reply, Problem> {
    let id = find_named(kind, call, state)?.id.clone();
    let user = match kind {
        Kind::Schema => state
            .datasets
            .all()
            .iter()
            .find(|dataset| dataset.tenant == call.tenant && dataset.content.schema_id == id)
            .map(|dataset| format!("the dataset {}", dataset.id)),
        Kind::FieldGroup => state
            .xdm_resources
            .all()
            .iter()
            .find(|other| other.tenant == call.tenant && other.content.references().any(|used| used == id))
            .map(|schema| format!("the schema {}", schema.id)),
    };
    if let Some(user) = user.filter(|_| !state.settings.delete_schemas_in_use) {
        return Err(bad_request(format!("The resource {id} cannot be deleted: it is used by {user}.")));
    }
    state.xdm_resources.remove(&call.tenant, &id);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// Finds a resource by its `$id`, or, as paths can name it, by its `meta:altId`.
pub(super) fn find<'a>(
    resources: &'a Collection<XdmResource>,
    tenant: &Tenant,
    kind: Kind,
    id: &str,
) -> Option<&'a Record<XdmResource>> {
    let is_named = |record: &&Record<XdmResource>| record.id == id || alt_id(&record.id) == id;
    let mut of_kind =
        resources.all().iter().filter(|record| record.tenant == *tenant && record.content.kind == kind);
    of_kind.find(is_named)
}

/// Finds the resource that the path names.
fn find_named<'a>(kind: Kind, call: &Call<'_>, state: &'a State) -> Result<&'a Record<XdmResource>, Problem> {
    let id = path_id(call);
    let not_found = || not_found(format!("The requested {} resource {id} is not found.", kind.name()));
    find(&state.xdm_resources, &call.tenant, kind, &id).ok_or_else(not_found)
}

/// The members of an object; none of any other value.
fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}
