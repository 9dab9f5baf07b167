//! The use cases about dataflows: `create`; `plan` (`validate_only`); `read` (get, list, count); `runs`; `state` (pause,
//! resume); `delete`; `abandon` (delete by the request id of the creation).
//!
//! `creation` is a creation as the exactly-once engine sees it. `reads` is what both a creation and its plan read, and
//! `fit` whether the request fits that. `specs` has Adobe's specifications, and `refusal` what Adobe refuses although it
//! fits. `flows` lists the flows that use something. `flow_deletion` deletes a flow, and `removal` has the rules of deleting
//! everything else.

mod abandon;
pub(crate) mod create;
mod creation;
pub(crate) mod delete;
pub(crate) mod error;
mod fit;
mod flow_deletion;
pub(super) mod flows;
pub(crate) mod plan;
pub(crate) mod read;
mod reads;
mod refusal;
mod removal;
pub(crate) mod runs;
mod specs;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub use self::{
    create::{CreateHubSpotDataflow, DataflowCreated, Error, Failure, Observer, UnreportedDataflow},
    error::{CreateDataflowError, DataflowError, Leftover, Part},
};
use self::{creation::CreateDataflow, specs::Specs};
use super::Limits;
use crate::{
    adobe::Platform,
    exactly_once::{Engine, engine::Creations},
    metrics::RunsRead,
};

/// The use cases about dataflows, over Adobe's services and one store.
pub struct Dataflows<P: Platform> {
    platform: Arc<P>,
    creations: Creations<CreateDataflow<P>>,
    limits: Arc<Limits>,
    specs: Arc<Specs>,
    runs_read: RunsRead,
    observer: Observer,
}

impl<P: Platform> Dataflows<P> {
    /// Puts the parts together. The limits are those of every other call too.
    pub fn new(platform: Arc<P>, engine: Engine, limits: Arc<Limits>, runs_read: RunsRead) -> Self {
        let creations = Creations::new(engine, limits.upstream_creations());
        Self { platform, creations, limits, specs: Arc::default(), runs_read, observer: |_, _| {} }
    }

    /// Reports what no response does.
    #[must_use]
    pub fn observed_by(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }
}

impl<P: Platform> fmt::Debug for Dataflows<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataflows").finish_non_exhaustive()
    }
}
