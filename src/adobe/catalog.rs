//! The Catalog over HTTP.

pub(crate) mod batches;
pub(crate) mod datasets;

use super::client::Route;

/// The requests that show in the metrics before the first one is sent.
pub(super) static ROUTES: [&[&Route]; 2] = [&datasets::ROUTES, &batches::ROUTES];
