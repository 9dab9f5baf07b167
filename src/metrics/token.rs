//! The access token.

use prometheus_client::registry::Registry;

use super::{ByOutcome, Seconds, register};

/// What fetching an access token comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// A token.
    Ok,
    /// The credentials are refused, or cannot be read.
    Refused,
    /// Too many tokens were asked for.
    Throttled,
    /// There is no answer that holds a token.
    Unavailable,
}

impl RefreshOutcome {
    const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::Throttled, Self::Unavailable];

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The access token.
#[derive(Clone, Debug)]
pub struct TokenMetrics {
    /// Its age; 0 before the first one.
    pub age: Seconds,
    /// Until when it is used, in seconds of Unix time; 0 where nobody knows.
    pub expiry: Seconds,
    refreshes: ByOutcome,
}

impl Default for TokenMetrics {
    fn default() -> Self {
        let refreshes = ByOutcome::of(RefreshOutcome::ALL.map(RefreshOutcome::name));
        Self { age: Seconds::default(), expiry: Seconds::default(), refreshes }
    }
}

impl TokenMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let age = "The age of the Adobe access token; 0 before the first one";
        register(registry, "adobe_token_age_seconds", age, self.age.clone());
        let expiry = "Until when the Adobe access token is used, in Unix time; 0 where nobody knows";
        register(registry, "adobe_token_expiry_timestamp_seconds", expiry, self.expiry.clone());
        let refreshes = "Attempts to get an Adobe access token";
        register(registry, "adobe_token_refreshes", refreshes, self.refreshes.0.clone());
    }

    /// A token was asked for.
    pub fn refreshed(&self, outcome: RefreshOutcome) {
        self.refreshes.inc(outcome.name());
    }
}
