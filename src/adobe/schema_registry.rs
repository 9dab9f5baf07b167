//! The Schema Registry over HTTP.

pub(crate) mod create;
pub(crate) mod schemas;
pub(crate) mod titles;

use super::{
    answer::success::object,
    client::{Call, Route},
};
use crate::{domain::SandboxName, error::Cause};

static STATS: Route = Route::read("/stats", &["tenantId"]);

/// The requests that show in the metrics before the first one is sent.
pub(super) static ROUTES: [&[&Route]; 4] = [&[&STATS], &schemas::ROUTES, &titles::ROUTES, &create::ROUTES];

pub(super) fn tenant(sandbox: &SandboxName) -> Call<'_, String> {
    Call::new(&STATS, sandbox, read_tenant)
}

/// Reads the organization's namespace.
///
/// # Errors
/// There is none that can be part of a field's name.
pub(crate) fn read_tenant(body: &[u8]) -> Result<String, Cause> {
    let tenant = object("no tenant", body)?.text("tenantId").ok_or("no tenant: no text tenantId")?;
    let tenant = tenant.trim().trim_start_matches('_');
    let is_tenant = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if (1..=100).contains(&tenant.len()) && tenant.bytes().all(is_tenant) {
        Ok(tenant.to_owned())
    } else {
        Err("no tenant: the tenantId is no namespace".into())
    }
}
