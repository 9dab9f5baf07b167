//! The use cases about connections: one file each.

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
