//! Whether the service takes calls, as the two ports tell it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tonic_health::{
    ServingStatus,
    pb::health_server::{Health as HealthService, HealthServer},
    server::{HealthReporter, HealthService as Reported},
};

/// Whether the service takes calls: not before it is [ready](crate::readiness), and not once it has to
/// stop. Outages in between have no part in it: restarting or unlinking a replica does not end them.
#[derive(Clone, Debug)]
pub struct Health {
    grpc: HealthReporter,
    admin: HealthReporter,
    is_serving: Arc<AtomicBool>,
    services: &'static [&'static str],
}

impl Health {
    /// Reports NOT_SERVING for the process as a whole and for these services.
    pub async fn new(services: &'static [&'static str]) -> Self {
        let health = Self {
            grpc: HealthReporter::new(),
            admin: HealthReporter::new(),
            is_serving: Arc::default(),
            services,
        };
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// The service for the gRPC port.
    pub fn grpc_service(&self) -> HealthServer<impl HealthService> {
        HealthServer::new(Reported::from_health_reporter(self.grpc.clone()))
    }

    /// The service for the admin port.
    pub fn admin_service(&self) -> HealthServer<impl HealthService> {
        HealthServer::new(Reported::from_health_reporter(self.admin.clone()))
    }

    /// Says SERVING from here on.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Says NOT_SERVING from here on.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    /// What was said last.
    pub fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::Acquire)
    }

    async fn set(&self, status: ServingStatus) {
        self.is_serving.store(status == ServingStatus::Serving, Ordering::Release);
        for reporter in [&self.grpc, &self.admin] {
            for name in std::iter::once(&"").chain(self.services) {
                reporter.set_service_status(name, status).await;
            }
        }
    }
}
