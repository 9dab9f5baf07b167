//! The use cases about connections: `create`; `read` (get, list, count); `update`; `delete`; `diagnosis` (test);
//! `explore` (tables); `dry_run` (`validate_only`); `verification` (test of a new connection).

pub(crate) mod create;
mod delete;
mod diagnosis;
pub(crate) mod dry_run;
mod operation;
pub(crate) mod outcome;
pub(crate) mod read;
mod recent;
pub(crate) mod update;
pub(crate) mod verification;

pub(super) use self::{operation::CreateConnection, recent::RecentConnections};
