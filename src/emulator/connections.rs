//! The `/connections` routes: one file per verb, from a request to the store and back.

mod create;
mod get;
mod list;

pub(super) use create::create;
pub(super) use get::get;
pub(super) use list::list;

use super::{problem::Problem, received::ReceivedRequest};

/// Refuses query parameters that a route does not know.
fn known_parameters_only(request: &ReceivedRequest, known: &[&str]) -> Result<(), Problem> {
    match request.query_pairs().iter().find(|(name, _)| !known.contains(&&**name)) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Problem::invalid(1451, format!("Invalid params {name} provided in query params.")))
        }
    }
}
