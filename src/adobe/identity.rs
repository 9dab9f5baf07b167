//! How this service identifies itself to Adobe: access tokens, and IMS, which issues them.

pub(crate) mod ims;
pub(crate) mod token;
