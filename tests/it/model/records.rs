//! The store, each of whose steps can fail.

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::{
    domain::{ConnectionId, CreatedConnection},
    idempotency::{Claim, Keep, Key, Lease, Recorded, Store, StoreError, Verdict},
};
use tokio::time::sleep;

use super::world::{Fault, Process, StepKind};

/// The store as a replica sees it.
pub(super) struct Records(pub(super) Process);

impl Records {
    async fn step<T>(
        &self,
        name: &'static str,
        step: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        let Self(process) = self;
        let down = || Err(StoreError::Unavailable(Arc::new(std::io::Error::other("down"))));
        match process.step(StepKind::Store(name)).await {
            Some(Fault::StoreDown) => down(),
            Some(Fault::StoreAnswerLost) => {
                let _ = step.await;
                down()
            }
            Some(Fault::StoreLate) => {
                tokio::spawn(async move {
                    sleep(Duration::from_secs(1)).await;
                    let _ = step.await;
                });
                down()
            }
            Some(Fault::DeathAfter) => {
                let _ = step.await;
                process.die().await;
                down()
            }
            _ => step.await,
        }
    }
}

#[async_trait::async_trait]
impl Store for Records {
    async fn claim(&self, lease: &Lease) -> Result<Claim, StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("claim", async move { world.records.claim(&lease).await }).await
    }

    /// Not a step: it happens all the time, and where it fails nothing is decided.
    async fn renew(&self, lease: &Lease) -> Result<(), StoreError> {
        self.0.world.records.renew(lease).await
    }

    async fn begin_sending(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("begin_sending", async move { world.records.begin_sending(&lease).await }).await
    }

    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("not_created", async move { world.records.not_created(&lease).await }).await
    }

    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("outcome_unknown", async move { world.records.outcome_unknown(&lease).await }).await
    }

    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        keep: Keep,
    ) -> Result<Recorded, StoreError> {
        let (world, lease, connection) = (Arc::clone(&self.0.world), lease.clone(), connection.clone());
        self.step("done", async move { world.records.done(&lease, &connection, keep).await }).await
    }

    async fn verified(
        &self,
        key: &Key,
        connection: &ConnectionId,
        verdict: &Verdict,
    ) -> Result<Verdict, StoreError> {
        let world = Arc::clone(&self.0.world);
        let (key, connection, verdict) = (key.clone(), connection.clone(), verdict.clone());
        self.step("verified", async move { world.records.verified(&key, &connection, &verdict).await }).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("release", async move { world.records.release(&lease).await }).await
    }

    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("abandon", async move { world.records.abandon(&lease).await }).await
    }

    async fn outcomes_of_others(
        &self,
        key: &Key,
        connections: &[ConnectionId],
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let (world, key, connections) = (Arc::clone(&self.0.world), key.clone(), connections.to_vec());
        self.step(
            "outcomes_of_others",
            async move { world.records.outcomes_of_others(&key, &connections).await },
        )
        .await
    }
}
