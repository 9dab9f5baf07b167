//! A schema or a field group.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::standard;
use crate::emulator::{
    collection::{Record, Resource},
    gateway::Tenant,
};

/// What a resource is. All kinds are in one collection, because a title is unique over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Kind {
    Schema,
    FieldGroup,
}

/// Its id in the collection is its `$id`.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct XdmResource {
    pub(in crate::emulator) kind: Kind,
    /// As it was created, with unresolved references.
    pub(super) body: Map<String, Value>,
    /// The API key that it was created with.
    pub(super) client: String,
}

impl Kind {
    /// In paths: `/tenant/{name}`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Schema => "schemas",
            Self::FieldGroup => "fieldgroups",
        }
    }

    /// In ids and types. Field groups keep their earlier name there.
    fn resource_type(self) -> &'static str {
        match self {
            Self::Schema => "schemas",
            Self::FieldGroup => "mixins",
        }
    }
}

impl XdmResource {
    pub(super) fn title(&self) -> &str {
        self.body.get("title").and_then(Value::as_str).unwrap_or_default()
    }

    /// What it refers to with `$ref` in its `allOf`, in order.
    pub(super) fn references(&self) -> impl Iterator<Item = &str> {
        self.parts().iter().filter_map(|part| part["$ref"].as_str())
    }

    /// Its `allOf`.
    pub(super) fn parts(&self) -> &[Value] {
        self.body.get("allOf").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The standard class that a schema is based on.
    pub(super) fn class(&self) -> Option<&'static str> {
        self.references().find_map(standard::class)
    }

    /// What the class of a schema is based on: `record` or `time-series`.
    pub(in crate::emulator) fn behavior(&self) -> Option<&'static str> {
        self.class().map(standard::behavior).and_then(|id| id.rsplit('/').next())
    }
}

impl Resource for XdmResource {
    fn new_id(&self, tenant: &Tenant) -> String {
        let (tenant_id, hex) = (tenant_id(tenant), Uuid::new_v4().simple());
        format!("https://ns.adobe.com/{tenant_id}/{}/{hex}", self.kind.resource_type())
    }

    fn document(record: &Record<Self>) -> Value {
        let Record { id, etag, tenant, created_at_ms, updated_at_ms, content, .. } = record;
        let Self { kind, body, client } = content;
        let mut document = Value::Object(body.clone());
        document["$id"] = json!(id);
        document["meta:altId"] = json!(alt_id(id));
        document["meta:resourceType"] = json!(kind.resource_type());
        document["meta:containerId"] = json!("tenant");
        document["meta:tenantNamespace"] = json!(format!("_{}", tenant_id(tenant)));
        document["meta:xdmType"] = json!("object");
        document["version"] = json!("1.0");
        document["imsOrg"] = json!(tenant.org);
        document["meta:sandboxId"] = json!(tenant.sandbox_id().to_string());
        document["meta:registryMetadata"] = json!({
            "repo:createdDate": created_at_ms,
            "repo:lastModifiedDate": updated_at_ms,
            "xdm:createdClientId": client,
            "xdm:lastModifiedClientId": client,
            // Without quotes, as in the documentation.
            "eTag": etag.trim_matches('"'),
        });
        if let Some(class) = content.class() {
            document["meta:class"] = json!(class);
            document["meta:abstract"] = json!(false);
            document["meta:extensible"] = json!(false);
            let behavior = standard::behavior(class);
            document["meta:extends"] = content.references().chain([behavior]).collect();
        }
        document
    }
}

/// The namespace of an organization. Custom fields must be below it, with an underscore before it.
pub(super) fn tenant_id(tenant: &Tenant) -> String {
    let org = tenant.org.split('@').next().unwrap_or_default();
    org.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The `meta:altId` of a `$id`.
pub(super) fn alt_id(id: &str) -> String {
    format!("_{}", id.trim_start_matches("https://ns.adobe.com/").replace('/', "."))
}
