//! A schema or a field group.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::emulator::{
    collection::{Collection, Record, Resource},
    gateway::Tenant,
};

/// What a resource is. The registry keeps all kinds in one collection, because a title is unique over all of them.
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
    /// In paths: `/tenant/{NAME}`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Schema => "schemas",
            Self::FieldGroup => "fieldgroups",
        }
    }

    /// In ids. Field groups keep their earlier name there.
    fn name_in_ids(self) -> &'static str {
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

    /// The `$id`s that it refers to with `$ref` directly below `allOf`, in order.
    pub(super) fn references(&self) -> impl Iterator<Item = &str> {
        let all_of = self.body.get("allOf").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        all_of.iter().filter_map(|part| part["$ref"].as_str())
    }
}

impl Resource for XdmResource {
    fn new_id(&self, tenant: &Tenant) -> String {
        let (tenant_id, hex) = (tenant_id(tenant), Uuid::new_v4().simple());
        format!("https://ns.adobe.com/{tenant_id}/{}/{hex}", self.kind.name_in_ids())
    }

    fn document(record: &Record<Self>) -> Value {
        let Record { id, etag, tenant, created_at_ms, updated_at_ms, content, .. } = record;
        let Self { kind, body, client } = content;
        let mut document = Value::Object(body.clone());
        document["$id"] = json!(id);
        document["meta:altId"] = json!(alt_id(id));
        document["meta:resourceType"] = json!(kind.name());
        document["meta:containerId"] = json!("tenant");
        document["meta:tenantNamespace"] = json!(format!("_{}", tenant_id(tenant)));
        document["version"] = json!("1.0");
        document["imsOrg"] = json!(tenant.org);
        document["meta:sandboxId"] = json!(tenant.sandbox_id().to_string());
        document["meta:registryMetadata"] = json!({
            "repo:createdDate": created_at_ms,
            "repo:lastModifiedDate": updated_at_ms,
            "xdm:createdClientId": client,
            "xdm:lastModifiedClientId": client,
            // Unlike other services, the registry has no quotes around it.
            "eTag": etag.trim_matches('"'),
        });
        document
    }
}

/// The namespace of an organization. Custom fields must be under it, after an underscore.
pub(in crate::emulator) fn tenant_id(tenant: &Tenant) -> String {
    let org = tenant.org.split('@').next().unwrap_or_default();
    org.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The `meta:altId` of a `$id`.
pub(super) fn alt_id(id: &str) -> String {
    format!("_{}", id.trim_start_matches("https://ns.adobe.com/").replace('/', "."))
}

/// Finds a tenant's resource by its `$id` or its `meta:altId`.
pub(in crate::emulator) fn find<'a>(
    resources: &'a Collection<XdmResource>,
    tenant: &Tenant,
    id: &str,
) -> Option<&'a Record<XdmResource>> {
    resources
        .all()
        .iter()
        .find(|record| record.tenant == *tenant && (record.id == id || alt_id(&record.id) == id))
}
