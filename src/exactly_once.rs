//! One request creates one resource, whatever fails in between.

pub(crate) mod background;
pub(crate) mod creation;
pub(crate) mod fingerprint;
pub(crate) mod followed_keys;
pub(crate) mod known;
pub(crate) mod lease_keeper;
pub(crate) mod listing;
pub(crate) mod recognition;
pub(crate) mod search;
pub(crate) mod search_first;
pub(crate) mod sending;
pub(crate) mod sent;
pub(crate) mod shared;
pub mod store;
pub(crate) mod unheard;

use std::time::Duration;

pub use self::{
    background::Background,
    fingerprint::{Comparison, Field, Fingerprint, FingerprintKeys, Fingerprints},
    followed_keys::FollowedKeys,
    search_first::{Recovery, SearchFirst},
    sent::{WallClock, wall_clock},
    store::RedisTlsFiles,
    unheard::Unheard,
};
use crate::secret::Secret;

/// How repeated requests are recognized.
#[derive(Clone, Debug)]
pub struct IdempotencyConfig {
    /// The URL of the shared store; without one, memory is used.
    pub redis_url: Option<Secret>,
    /// How TLS is spoken with it.
    pub redis_tls: RedisTlsFiles,
    /// The keys that compare repeated requests; without them, a key of this process alone.
    pub fingerprint_keys: Option<Secret>,
    /// How long a request id is remembered, from its last change.
    pub request_id_ttl: Duration,
    /// How long a connection may stay invisible after the last moment at which it may have been created.
    pub settle_window: Duration,
    /// What to do about lost creations.
    pub recovery: Recovery,
}
