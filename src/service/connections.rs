//! The use cases about connections: `create`; `read` (get, list, count, tables); `update`; `delete`;
//! `diagnosis` (test); `dry_run` (`validate_only`), with
//! `introspection` (what HubSpot says about credentials). `operation` is a creation as the exactly-once engine sees it, `outcome`
//! what its record keeps, `verification` the test of a new connection, `recent` what was created just now.

mod checks;
pub(crate) mod create;
mod delete;
mod diagnosis;
pub(crate) mod dry_run;
mod introspection;
mod operation;
pub(crate) mod outcome;
pub(crate) mod read;
mod recent;
mod source_cause;
pub(crate) mod update;
pub(crate) mod verification;

pub(super) use self::{operation::CreateConnection, recent::RecentConnections};
