//! The Schema Registry: the schemas and field groups of tenants.

mod xdm_resource;

pub(super) use xdm_resource::{Kind, XdmResource, find, tenant_id};

/// The path under which its routes live.
pub(super) const BASE_PATH: &str = "/data/foundation/schemaregistry";
