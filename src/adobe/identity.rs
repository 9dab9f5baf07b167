//! How this service identifies itself to Adobe: access tokens, and IMS, which issues them.

pub(super) mod error;
pub(crate) mod ims;
mod renewal;
pub(super) mod token;
