//! One request creates one resource, whatever fails in between.
//!
//! An operation (`operation`) defines what is sent and how a lost resource is recognized. The engine (`creation`)
//! claims the request id in the [`store`], sends the request once, and records the outcome. After a lost reply
//! it searches for the resource (`search`) and resends only what is proven to be absent.

mod background;
pub(crate) mod creation;
pub(crate) mod engine;
mod failure;
mod fingerprint;
mod followed_keys;
mod listing;
pub(crate) mod operation;
pub(crate) mod recognition;
mod search;
mod sending;
mod sent;
mod shared;
pub mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::{
    background::Background,
    engine::Engine,
    failure::{Error, Failure, RecordProblem},
    fingerprint::{Comparison, Fingerprint, FingerprintKeys, Fingerprints},
    followed_keys::FollowedKeys,
    sent::{WallClock, wall_clock},
    store::RedisTlsFiles,
};
use crate::secret::Secret;

/// How retried requests are recognized.
#[derive(Clone, Debug)]
pub struct IdempotencyConfig {
    /// The URL of the shared store; without one, memory is used.
    pub redis_url: Option<Secret>,
    /// How TLS is spoken with it.
    pub redis_tls: RedisTlsFiles,
    /// The keys that compare retried requests; without them, a key of this process alone.
    pub fingerprint_keys: Option<Secret>,
    /// How long a request id is remembered, from its last change.
    pub request_id_ttl: Duration,
    /// How long a resource may stay invisible after the last moment at which it may have been created.
    pub settle_window: Duration,
    /// How lost creations are recovered.
    pub recovery: Recovery,
}

/// How lost creations are recovered.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// Whether resources carry the request id, so that lost ones are recognized.
    pub references: bool,
    /// When to search for one before it is sent.
    pub search_first: SearchFirst,
}

/// When to search for a request id of a caller that has no record, before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchFirst {
    /// Where the store may have forgotten it.
    Auto,
    /// The same, and waits until what may have been forgotten is certainly visible.
    Strict,
    /// Never.
    Never,
}
