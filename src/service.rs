//! The use cases, between the gRPC layer and the ports.

pub(crate) mod connections;
mod limits;

use std::{fmt, num::NonZeroUsize, sync::Arc};

use self::connections::{RecentConnections, dry_run::Spec};
pub use self::{
    connections::{
        create::{CreateHubSpotConnection, Created, Error, Failure, UnreportedOutcome},
        dry_run::DryRunError,
        outcome::{Outcome, Verdict, record_verdict},
        read::{ConnectionError, Filter, ListHubSpotConnections, Listed},
        update::UpdateHubSpotConnection,
        verification::VerificationError,
    },
    limits::Limits,
};
use crate::{
    adobe::ListedConnection,
    domain::ConnectionId,
    exactly_once::{
        Background, FingerprintKeys, Recovery, WallClock,
        engine::{Creations, Engine},
        store::{Retention, Store},
    },
    metrics::CreationMetrics,
};

/// The use cases over one Flow Service and one store.
pub struct Service<F> {
    flow_service: Arc<F>,
    creations: Creations<Created, ListedConnection, ConnectionId, VerificationError>,
    limits: Arc<Limits>,
    recent: RecentConnections,
    spec: Spec,
    observer: fn(&UnreportedOutcome<'_>),
}

impl<F> Service<F> {
    /// Puts the parts together. So many creations, and as many other calls, may work upstream at once.
    pub fn new(parts: Parts<F>, most: NonZeroUsize) -> Self {
        let Parts { flow_service, store, fingerprint_keys, retention, recovery, wall_clock, background } =
            parts;
        let limits = Arc::new(Limits::new(most));
        let creations = Creations::new(Engine {
            store,
            fingerprint_keys,
            retention,
            recovery,
            wall_clock,
            background,
            metrics: CreationMetrics::default(),
            permits: limits.upstream_creations(),
        });
        let flow_service = Arc::new(flow_service);
        Self {
            flow_service,
            creations,
            limits,
            recent: RecentConnections::default(),
            spec: Spec::default(),
            observer: |_| {},
        }
    }

    /// The limits of calls, for those who admit them.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits)
    }

    /// Counts the outcomes of creations.
    #[must_use]
    pub fn counted_by(mut self, metrics: CreationMetrics) -> Self {
        Arc::make_mut(&mut self.creations.engine).metrics = metrics;
        self
    }

    /// Reports what no response does.
    #[must_use]
    pub(crate) fn observed_by(self, observer: fn(&UnreportedOutcome<'_>)) -> Self {
        Self { observer, ..self }
    }
}

impl<F> fmt::Debug for Service<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Engine { retention, background, .. } = &*self.creations.engine;
        let mut service = f.debug_struct("Service");
        service.field("retention", retention).field("background", background).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Parts<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("retention", &self.retention).finish_non_exhaustive()
    }
}

/// What the use cases work with.
pub struct Parts<F> {
    /// The port to the Flow Service.
    pub flow_service: F,
    /// The record of creations.
    pub store: Arc<dyn Store>,
    /// What compares retried requests.
    pub fingerprint_keys: FingerprintKeys,
    /// How long things are remembered.
    pub retention: Retention,
    /// How lost creations are recovered.
    pub recovery: Recovery,
    /// The clock whose times other processes can read.
    pub wall_clock: WallClock,
    /// Where the tasks run that outlive a call.
    pub background: Background,
}
