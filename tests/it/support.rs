//! What several tests need: the service under test, its client, and readable errors.

mod failure;
mod service;

pub(crate) use failure::Failure;
pub(crate) use service::{TestService, credentials, framed, request};
