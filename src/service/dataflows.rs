//! The use cases about dataflows.

pub(crate) mod abandoned;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod error;
pub(crate) mod plan;
pub(crate) mod read;
pub(crate) mod runs;
pub(crate) mod state;

use std::{fmt, sync::Arc};

use super::Limits;
use crate::{adobe::Platform, exactly_once::Engine};

/// The use cases about dataflows, over Adobe's services and one store.
pub struct Dataflows<P: Platform> {
    platform: Arc<P>,
    engine: Arc<Engine>,
    limits: Arc<Limits>,
}

impl<P: Platform> Dataflows<P> {
    /// Puts the parts together. The limits are those of every other call too.
    pub fn new(platform: Arc<P>, engine: Engine, limits: Arc<Limits>) -> Self {
        Self { platform, engine: Arc::new(engine), limits }
    }
}

impl<P: Platform> fmt::Debug for Dataflows<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataflows").finish_non_exhaustive()
    }
}
