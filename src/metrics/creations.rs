//! Creations: how they are claimed, how they end, and what becomes of lost ones.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use super::{Label, Running, metrics, outcomes};

outcomes! {
    /// The result of the claim of a request id.
    ClaimOutcome {
        /// The id is new.
        Fresh = "fresh",
        /// Its creation is running in this process, and the call shares the result.
        Joined = "joined",
        /// Its creation is done, and the call returns the result.
        Replayed = "replayed",
        /// Its creation was lost, and is searched for.
        Resumed = "resumed",
        /// Its creation is running elsewhere.
        InProgress = "in_progress",
        /// The id belongs to other content.
        Reused = "reused",
        /// The store has no space.
        Full = "full",
        /// Its record cannot be read.
        Unreadable = "unreadable",
        /// The store fails.
        Unavailable = "unavailable",
    }

    /// How a call stops waiting for a store that was away.
    StoreWaitOutcome {
        /// The store is back, and the call continues.
        Returned = "returned",
        /// The patience or the deadline of the call is over, its caller has left, or the process stops.
        GaveUp = "gave_up",
        /// It did not wait, because as many calls waited already as may.
        Rejected = "rejected",
    }

    /// How a creation ends.
    CreationOutcome {
        /// With a connection.
        Created = "created",
        /// The Flow Service rejected it.
        Refused = "refused",
        /// Nothing was sent, or nothing arrived.
        NotSent = "not_sent",
        /// The connection may exist.
        Unknown = "unknown",
        /// It is not known which connection is the one.
        Ambiguous = "ambiguous",
    }

    /// The result of a search for a lost creation.
    SearchOutcome {
        Found = "found",
        /// The settle window has passed, and there is nothing.
        Absent = "absent",
        /// It is not known which connection is the one.
        Ambiguous = "ambiguous",
        /// Left to the next retry.
        Undecided = "undecided",
    }

    /// The result of the search before the first sending, where the store may have forgotten the request id.
    FirstSearchOutcome {
        Found = "found",
        Absent = "absent",
        /// A connection could be the one.
        Ambiguous = "ambiguous",
        /// The search is not possible at the moment.
        Failed = "failed",
    }

    /// The result of an attempt at deleting what a refused creation had prepared.
    UndoOutcome {
        Deleted = "deleted",
        /// Something stays: it holds data, it is in use, or Adobe refuses to delete it.
        Kept = "kept",
        /// Something is not deleted yet: a retry continues.
        Remains = "remains",
        /// The resource exists all the same, and nothing was deleted.
        Found = "found",
    }

    /// The result of the test of a new connection.
    VerificationOutcome {
        Passed = "passed",
        Failed = "failed",
        /// Not known yet.
        Undecided = "undecided",
    }
}

/// What a creation of a dataflow did about one of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// An earlier attempt has made it.
    Found,
    Created,
    Failed,
}

impl StepOutcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Created => "created",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct StepLabels {
    part: &'static str,
    outcome: &'static str,
}

/// Every outcome of each of these parts.
macro_rules! steps {
    ($($part:literal)+) => {
        impl Label for StepLabels {
            const VALUES: &[Self] = &[$(
                Self { part: $part, outcome: StepOutcome::Found.name() },
                Self { part: $part, outcome: StepOutcome::Created.name() },
                Self { part: $part, outcome: StepOutcome::Failed.name() },
            )+];
        }
    };
}

steps! { "field_group" "schema" "dataset" "mapping_set" "source_connection" "target_connection" "flow" }

metrics! {
    #[derive(Default)]
    pub struct CreationMetrics {
        background: Gauge = "background_creations", "Running creations, whether or not a client waits for them";
        claims: Family<ClaimOutcome, Counter> = "idempotency_claims", "Claims of request ids, by result";
        waiting_for_store: Gauge = "idempotency_store_waiting", "Calls that wait for the store of request ids to be back";
        waits_for_store: Family<StoreWaitOutcome, Counter> = "idempotency_store_waits",
            "Calls that needed the store of request ids while it was away, by result";
        ends: Family<CreationOutcome, Counter> = "creations", "Creations that have ended, by result";
        searches: Family<SearchOutcome, Counter> = "reconciliations", "Searches for lost creations, by result";
        first_searches: Family<FirstSearchOutcome, Counter> = "first_searches",
            "Searches before sending, where the store may have lost the request id, by result";
        undos: Family<UndoOutcome, Counter> = "undos",
            "Attempts at deleting what refused creations had prepared, by result";
        verifications: Family<VerificationOutcome, Counter> = "verifications", "Tests of new connections, by result";
        steps: Family<StepLabels, Counter> = "dataflow_steps",
            "Parts of dataflows, and the dataflows themselves, that creations needed, by part and result";
        pub duplicates: Counter = "duplicates", "Requests found to have created several connections";
        pub clocks_disagree: Counter = "clock_disagreements",
            "Records on whose times the clocks of the store and of the replicas disagree";
    }
    also {
        /// Creations rejected at the limit of running creations.
        pub shed: Counter = Counter::default(),
    }
}

impl CreationMetrics {
    /// Counts a creation as running while the result exists.
    pub fn begin(&self) -> Running {
        Running::in_gauge(&self.background)
    }

    pub fn running(&self) -> i64 {
        self.background.get()
    }

    pub fn claimed(&self, outcome: ClaimOutcome) {
        self.claims.get_or_create(&outcome).inc();
    }

    /// Counts a call as waiting for the store while the result exists.
    pub fn wait_for_store(&self) -> Running {
        Running::in_gauge(&self.waiting_for_store)
    }

    pub fn waited_for_store(&self, outcome: StoreWaitOutcome) {
        self.waits_for_store.get_or_create(&outcome).inc();
    }

    pub fn ended(&self, outcome: CreationOutcome) {
        self.ends.get_or_create(&outcome).inc();
    }

    #[cfg(test)]
    pub(crate) fn ends(&self, outcome: CreationOutcome) -> u64 {
        self.ends.get_or_create(&outcome).get()
    }

    #[cfg(test)]
    pub(crate) fn waiting_for_store(&self) -> i64 {
        self.waiting_for_store.get()
    }

    #[cfg(test)]
    pub(crate) fn waits_for_store(&self, outcome: StoreWaitOutcome) -> u64 {
        self.waits_for_store.get_or_create(&outcome).get()
    }

    pub fn searched(&self, outcome: SearchOutcome) {
        self.searches.get_or_create(&outcome).inc();
    }

    pub fn searched_first(&self, outcome: FirstSearchOutcome) {
        self.first_searches.get_or_create(&outcome).inc();
    }

    /// Counts a part of a dataflow.
    pub fn stepped(&self, part: &'static str, outcome: StepOutcome) {
        self.steps.get_or_create(&StepLabels { part, outcome: outcome.name() }).inc();
    }

    pub fn undid(&self, outcome: UndoOutcome) {
        self.undos.get_or_create(&outcome).inc();
    }

    pub fn verified(&self, outcome: VerificationOutcome) {
        self.verifications.get_or_create(&outcome).inc();
    }
}
