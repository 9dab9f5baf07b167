//! The access token.

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::{ByOutcome, Seconds, outcomes, register};

outcomes! {
    /// What fetching an access token comes to.
    RefreshOutcome {
        /// A token that is not the last one.
        Ok = "ok",
        /// The credentials are refused, or cannot be read.
        Refused = "refused",
        /// Too many tokens were asked for.
        Throttled = "throttled",
        /// There is no answer that holds a token, or each new token is refused.
        Unavailable = "unavailable",
    }
}

/// The access token.
#[derive(Clone, Debug)]
pub struct TokenMetrics {
    /// The age of the last one; 0 before the first one.
    pub age: Seconds,
    /// Whether there is one for calls to use.
    pub valid: Gauge,
    /// Until when the last one is used, in seconds of Unix time; 0 where nobody knows.
    pub expiry: Seconds,
    refreshes: ByOutcome,
}

impl Default for TokenMetrics {
    fn default() -> Self {
        let refreshes = ByOutcome::of(RefreshOutcome::NAMES);
        Self { age: Seconds::default(), valid: Gauge::default(), expiry: Seconds::default(), refreshes }
    }
}

impl TokenMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let age = "The age of the last Adobe access token; 0 before the first one";
        register(registry, "adobe_token_age_seconds", age, self.age.clone());
        let valid = "Whether there is an Adobe access token for calls to use";
        register(registry, "adobe_token_valid", valid, self.valid.clone());
        let expiry = "Until when the last Adobe access token is used, in Unix time; 0 where nobody knows";
        register(registry, "adobe_token_expiry_timestamp_seconds", expiry, self.expiry.clone());
        let refreshes = "Attempts to get an Adobe access token";
        register(registry, "adobe_token_refreshes", refreshes, self.refreshes.family.clone());
    }

    /// A token was asked for.
    pub fn refreshed(&self, outcome: RefreshOutcome) {
        self.refreshes.inc(outcome.name());
    }

    #[cfg(test)]
    pub(crate) fn refreshes(&self, outcome: RefreshOutcome) -> u64 {
        self.refreshes.get(outcome.name())
    }
}
