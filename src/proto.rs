//! The types generated from `proto/`, and the descriptors that reflection serves.

use std::fmt;

#[allow(
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod generated {
    tonic::include_proto!("hubspot_connection.v1");
}

pub use generated::*;

/// The encoded `FileDescriptorSet` of every proto file, imports included, options kept.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hubspot_connection.bin"));

/// Shows which credentials are set, and never a value.
impl fmt::Debug for HubSpotCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client_id, client_secret, access_token, refresh_token } = self;
        f.debug_struct("HubSpotCredentials")
            .field("client_id_set", &!client_id.is_empty())
            .field("client_secret_set", &!client_secret.is_empty())
            .field("access_token_set", &!access_token.is_empty())
            .field("refresh_token_set", &!refresh_token.is_empty())
            .finish()
    }
}
