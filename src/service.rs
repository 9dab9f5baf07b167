//! The use cases, between the gRPC layer and the ports.

mod create_hubspot_connection;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub use create_hubspot_connection::{CreateHubSpotConnection, Creation, Error};

/// The use cases over one Flow Service.
#[derive(Debug)]
pub struct Service<F> {
    flow_service: Arc<F>,
    creations: TaskTracker,
}

impl<F> Service<F> {
    /// Uses a Flow Service. Creations run as tasks of `creations`, so that whoever ends the process
    /// can wait for them.
    pub fn new(flow_service: F, creations: TaskTracker) -> Self {
        Self { flow_service: Arc::new(flow_service), creations }
    }
}
