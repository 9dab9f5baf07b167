//! The use cases about connections: one file each.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod diagnosis;
pub(crate) mod dry_run;
pub(crate) mod explore;
pub(crate) mod read;
pub(crate) mod update;
pub(crate) mod verification;
