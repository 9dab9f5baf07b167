//! The use cases, between the gRPC layer and the ports.

mod background;
mod bulkhead;
mod candidates;
mod connections;
mod create_hubspot_connection;
mod creation;
mod delete;
mod diagnosis;
mod dry_run;
mod explore;
mod flight;
mod known;
mod lease_keeper;
mod search;
mod update;
mod verification;

use std::{fmt, num::NonZeroUsize, sync::Arc};

pub use self::{
    background::Background,
    bulkhead::{Bulkhead, Place},
    connections::{ConnectionError, ListHubSpotConnections, Listed},
    create_hubspot_connection::{CreateHubSpotConnection, Created, Error, Failure},
    dry_run::DryRunError,
    update::UpdateHubSpotConnection,
};
use self::{dry_run::Spec, flight::Flights, known::Known};
use crate::{
    idempotency::{FingerprintKeys, Retention, Store},
    metrics::CreationMetrics,
};

/// The use cases over one Flow Service and one store.
pub struct Service<F> {
    parts: Arc<Parts<F>>,
    flights: Flights,
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
            flights: Flights::default(),
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
    /// Where the tasks run that outlive a call.
    pub background: Background,
}
