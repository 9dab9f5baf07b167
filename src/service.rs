//! The use cases, between the gRPC layer and the ports.

mod columns;
pub(crate) mod connections;
pub mod dataflows;
mod finding;
mod limits;

use std::{fmt, num::NonZeroUsize, sync::Arc};

use self::connections::{CreateConnection, RecentConnections, create::Observer, dry_run::Spec};
pub use self::{
    connections::{
        create::{CreateHubSpotConnection, Created, Error, Failure, UnreportedOutcome},
        dry_run::TooManyCalls,
        outcome::{Outcome, Verdict, record_verdict},
        read::{ConnectionError, Filter, ListHubSpotConnections, Listed},
        update::UpdateHubSpotConnection,
        verification::VerificationError,
    },
    limits::Limits,
};
use crate::{
    adobe::FlowService,
    exactly_once::{Engine, engine::Creations},
    hubspot::HubSpot,
};

/// The use cases over one Flow Service and one store.
pub struct Service<F: FlowService> {
    flow_service: Arc<F>,
    creations: Creations<CreateConnection<F>>,
    limits: Arc<Limits>,
    recent: RecentConnections,
    spec: Spec,
    /// Asked about credentials, if it may be.
    hubspot: Option<Arc<HubSpot>>,
    observer: Observer,
}

impl<F: FlowService> Service<F> {
    /// Puts the parts together. So many creations, and as many other calls, may work upstream at once.
    pub fn new(flow_service: impl Into<Arc<F>>, engine: Engine, most: NonZeroUsize) -> Self {
        let limits = Arc::new(Limits::new(most));
        Self {
            flow_service: flow_service.into(),
            creations: Creations::new(engine, limits.upstream_creations()),
            limits,
            recent: RecentConnections::default(),
            spec: Spec::default(),
            hubspot: None,
            observer: |_, _| {},
        }
    }

    /// The limits of calls, for those who admit them.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits)
    }

    /// Asks HubSpot about credentials.
    #[must_use]
    pub fn asking(self, hubspot: Option<Arc<HubSpot>>) -> Self {
        Self { hubspot, ..self }
    }

    /// Reports what no response does.
    #[must_use]
    pub(crate) fn observed_by(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }
}

impl<F: FlowService> fmt::Debug for Service<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("engine", &self.creations.engine).finish_non_exhaustive()
    }
}
