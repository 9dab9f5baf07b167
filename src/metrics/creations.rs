//! The creations: how they are claimed, how they end, and what becomes of lost ones.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{ByOutcome, Running, outcomes, register};

outcomes! {
    /// What a claim of a request id comes to.
    ClaimOutcome {
        /// It is a new one.
        Fresh = "fresh",
        /// Its creation is under way in this process, and the call shares the outcome.
        Joined = "joined",
        /// Its creation is done, and the call is answered with the outcome.
        Replayed = "replayed",
        /// Its creation was lost, and is looked for.
        Resumed = "resumed",
        /// Its creation is under way elsewhere.
        InProgress = "in_progress",
        /// It is that of other content.
        Reused = "reused",
        /// The store has no space.
        Full = "full",
        /// Its record cannot be read.
        Unreadable = "unreadable",
        /// The store fails.
        Unavailable = "unavailable",
    }
}

outcomes! {
    /// How a creation ends.
    CreationOutcome {
        /// There is a connection.
        Created = "created",
        /// The Flow Service refuses it.
        Refused = "refused",
        /// Nothing was sent, or nothing arrived.
        NotSent = "not_sent",
        /// The connection may exist.
        Unknown = "unknown",
        /// It is not known which connection is the one.
        Ambiguous = "ambiguous",
    }
}

outcomes! {
    /// What a search for a lost creation comes to.
    SearchOutcome {
        /// The connection.
        Found = "found",
        /// The settle window has passed, and there is nothing.
        Absent = "absent",
        /// It is not known which connection is the one.
        Ambiguous = "ambiguous",
        /// It was left to whoever asks next.
        Undecided = "undecided",
    }
}

outcomes! {
    /// The result of the search before the first sending, where the store may have forgotten the request id.
    FirstSearchOutcome {
        /// The connection.
        Found = "found",
        /// Nothing.
        Absent = "absent",
        /// A connection could be the one.
        Ambiguous = "ambiguous",
        /// It cannot be made now.
        Failed = "failed",
    }
}

outcomes! {
    /// What the test of a new connection comes to.
    VerificationOutcome {
        /// It works.
        Passed = "passed",
        /// It does not.
        Failed = "failed",
        /// Nobody knows yet.
        Undecided = "undecided",
    }
}

/// The creations.
#[derive(Clone, Debug)]
pub struct CreationMetrics {
    background: Gauge,
    claims: ByOutcome,
    ends: ByOutcome,
    searches: ByOutcome,
    first_searches: ByOutcome,
    verifications: ByOutcome,
    /// Requests that were found to have made several connections.
    pub duplicates: Counter,
    /// Records about whose times the clocks of the store and of the replicas disagree.
    pub clocks_disagree: Counter,
    /// Creations that were refused because as many are under way as may be.
    pub shed: Counter,
}

impl Default for CreationMetrics {
    fn default() -> Self {
        Self::counting_shed(Counter::default())
    }
}

impl CreationMetrics {
    /// Counts what is shed with this.
    pub(super) fn counting_shed(shed: Counter) -> Self {
        Self {
            background: Gauge::default(),
            claims: ByOutcome::of(ClaimOutcome::NAMES),
            ends: ByOutcome::of(CreationOutcome::NAMES),
            searches: ByOutcome::of(SearchOutcome::NAMES),
            first_searches: ByOutcome::of(FirstSearchOutcome::NAMES),
            verifications: ByOutcome::of(VerificationOutcome::NAMES),
            duplicates: Counter::default(),
            clocks_disagree: Counter::default(),
            shed,
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let background = "The creations that run, with or without a caller";
        register(registry, "background_creations", background, self.background.clone());
        for (name, help, counters) in [
            ("idempotency_claims", "What claims of request ids came to", &self.claims),
            ("creations", "How creations ended", &self.ends),
            ("reconciliations", "What searches for lost creations came to", &self.searches),
            (
                "first_searches",
                "What searches before sending came to, where the store may have forgotten the request id",
                &self.first_searches,
            ),
            ("verifications", "What tests of new connections came to", &self.verifications),
        ] {
            register(registry, name, help, counters.family.clone());
        }
        for (name, help, counter) in [
            ("duplicates", "Requests that were found to have made several connections", &self.duplicates),
            (
                "clock_disagreements",
                "Records about whose times the clocks of the store and of the replicas disagree",
                &self.clocks_disagree,
            ),
        ] {
            register(registry, name, help, counter.clone());
        }
    }

    /// A creation runs for as long as the result exists.
    pub fn begin(&self) -> Running {
        Running::in_gauge(&self.background)
    }

    /// How many run.
    pub fn running(&self) -> i64 {
        self.background.get()
    }

    /// A request id was claimed.
    pub fn claimed(&self, outcome: ClaimOutcome) {
        self.claims.inc(outcome.name());
    }

    /// A creation has ended.
    pub fn ended(&self, outcome: CreationOutcome) {
        self.ends.inc(outcome.name());
    }

    #[cfg(test)]
    pub(crate) fn ends(&self, outcome: CreationOutcome) -> u64 {
        self.ends.get(outcome.name())
    }

    /// A search for a lost creation has ended.
    pub fn searched(&self, outcome: SearchOutcome) {
        self.searches.inc(outcome.name());
    }

    /// A search before sending has ended.
    pub fn searched_first(&self, outcome: FirstSearchOutcome) {
        self.first_searches.inc(outcome.name());
    }

    /// A new connection was tested.
    pub fn verified(&self, outcome: VerificationOutcome) {
        self.verifications.inc(outcome.name());
    }
}
