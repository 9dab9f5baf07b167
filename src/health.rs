//! Whether the service accepts calls, as both ports report it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tonic_health::{
    ServingStatus,
    pb::health_server::{Health as HealthService, HealthServer},
    server::{HealthReporter, HealthService as Reported},
};

/// SERVING from when the service is [ready](crate::readiness) until it has to stop. Outages in between do not change
/// it: restarting or removing a replica does not end them.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    is_serving: Arc<AtomicBool>,
    services: &'static [&'static str],
}

impl Health {
    /// NOT_SERVING, for the process as a whole and for these services.
    pub async fn new(services: &'static [&'static str]) -> Self {
        let health = Self { reporter: HealthReporter::new(), is_serving: Arc::default(), services };
        health.set_serving(false).await;
        health
    }

    pub fn grpc_service(&self) -> HealthServer<impl HealthService> {
        HealthServer::new(Reported::from_health_reporter(self.reporter.clone()))
    }

    pub fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::Acquire)
    }

    pub async fn set_serving(&self, is_serving: bool) {
        self.is_serving.store(is_serving, Ordering::Release);
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in std::iter::once(&"").chain(self.services) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
