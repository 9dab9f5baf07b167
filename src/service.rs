//! The use cases, between the gRPC layer and the ports.

pub(crate) mod connections;
mod limits;

use std::{fmt, num::NonZeroUsize, sync::Arc};

use self::connections::dry_run::Spec;
pub use self::{
    connections::{
        create::{CreateHubSpotConnection, Created, Error, Failure, RecordProblem},
        dry_run::DryRunError,
        read::{ConnectionError, Filter, ListHubSpotConnections, Listed},
        update::UpdateHubSpotConnection,
    },
    limits::{Bulkhead, Permit},
};
use crate::{
    exactly_once::{
        Background, FingerprintKeys, Recovery, WallClock,
        known::Known,
        search_first::Listings,
        shared::SharedCreations,
        store::{Retention, Store},
        unheard,
    },
    metrics::CreationMetrics,
};

/// The use cases over one Flow Service and one store.
pub struct Service<F> {
    parts: Arc<Parts<F>>,
    shared: SharedCreations,
    listings: Arc<Listings>,
    unheard: unheard::Listener,
    creations: Bulkhead,
    calls: Bulkhead,
    known: Known,
    spec: Spec,
    metrics: Arc<CreationMetrics>,
}

impl<F> Service<F> {
    /// Puts the parts together. So many creations, and as many other calls, may wait for the Flow Service
    /// at once.
    pub fn new(parts: Parts<F>, most_waiting: NonZeroUsize) -> Self {
        Self {
            parts: Arc::new(parts),
            shared: SharedCreations::default(),
            listings: Arc::default(),
            unheard: |_| {},
            creations: Bulkhead::new(most_waiting),
            calls: Bulkhead::new(most_waiting),
            known: Known::default(),
            spec: Spec::default(),
            metrics: Arc::default(),
        }
    }

    /// What every call but a creation needs a place in; creations see to theirs themselves.
    pub fn calls(&self) -> Bulkhead {
        self.calls.clone()
    }

    /// Counts what becomes of creations.
    #[must_use]
    pub fn counted_by(self, metrics: CreationMetrics) -> Self {
        Self { metrics: Arc::new(metrics), ..self }
    }

    /// Reports what no response does.
    #[must_use]
    pub(crate) fn reporting_unheard_to(self, unheard: fn(&crate::exactly_once::Unheard<'_>)) -> Self {
        Self { unheard, ..self }
    }
}

impl<F> fmt::Debug for Service<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("background", &self.parts.background).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Parts<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("retention", &self.retention).finish_non_exhaustive()
    }
}

/// What the use cases and their tasks work with.
pub struct Parts<F> {
    /// The port to the Flow Service.
    pub flow_service: F,
    /// The record of creations.
    pub store: Arc<dyn Store>,
    /// What compares repeated requests.
    pub fingerprint_keys: FingerprintKeys,
    /// How long things are remembered.
    pub retention: Retention,
    /// What to do about lost creations.
    pub recovery: Recovery,
    /// The clock whose times other processes can read.
    pub wall_clock: WallClock,
    /// Where the tasks run that outlive a call.
    pub background: Background,
}
