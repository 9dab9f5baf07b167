//! The Adobe access token.

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::{Seconds, metrics, outcomes};

outcomes! {
    /// The result of an attempt to get an access token.
    RefreshOutcome {
        /// A token that is not the last one.
        Ok = "ok",
        /// IMS rejects the credentials, or they cannot be read.
        Refused = "refused",
        Throttled = "throttled",
        /// No response contains a token, or Adobe rejects each new token.
        Unavailable = "unavailable",
    }
}

metrics! {
    #[derive(Default)]
    pub struct TokenMetrics {
        pub age: Seconds = "adobe_token_age_seconds", "Age of the last Adobe access token; 0 before the first one";
        pub valid: Gauge = "adobe_token_valid", "1 while calls can use an Adobe access token";
        pub expiry: Seconds = "adobe_token_expiry_timestamp_seconds",
            "When the last Adobe access token expires, in Unix time; 0 if unknown";
        refreshes: Family<RefreshOutcome, Counter> = "adobe_token_refreshes",
            "Attempts to get an Adobe access token, by result";
    }
    also {}
}

impl TokenMetrics {
    pub fn refreshed(&self, outcome: RefreshOutcome) {
        self.refreshes.get_or_create(&outcome).inc();
    }

    #[cfg(test)]
    pub(crate) fn refreshes(&self, outcome: RefreshOutcome) -> u64 {
        self.refreshes.get_or_create(&outcome).get()
    }
}
