//! Data Prep over HTTP.

pub(crate) mod mapping_sets;
pub(crate) mod mappings;

use super::client::Route;

/// The requests that show in the metrics before the first one is sent.
pub(super) static ROUTES: [&[&Route]; 1] = [&mapping_sets::ROUTES];
