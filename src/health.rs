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
        health.set(ServingStatus::NotServing).await;
        health
    }

    pub fn grpc_service(&self) -> HealthServer<impl HealthService> {
        HealthServer::new(Reported::from_health_reporter(self.reporter.clone()))
    }

    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    pub fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::Acquire)
    }

    async fn set(&self, status: ServingStatus) {
        self.is_serving.store(status == ServingStatus::Serving, Ordering::Release);
        for name in std::iter::once(&"").chain(self.services) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
