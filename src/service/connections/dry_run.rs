//! The use case: check everything that a creation needs, and create nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use crate::service::Service;
use crate::{
    adobe::{CallError, FlowService, ListQuery},
    domain::{CallProgress, NewConnection, SandboxName, Stage},
};

/// How long the connection specification that was read last is used.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// The same if it differs from what this service sends, so that dry runs notice a correction soon.
const FRESH_DRIFT: Duration = Duration::from_secs(60);

/// Why a creation would not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The Flow Service refuses or cannot be asked.
    #[error("the Flow Service refuses or cannot be asked")]
    Call(#[from] CallError),
    /// Adobe's connection specification for HubSpot is not what this service sends.
    #[error("Adobe's connection specification has changed: {0:?}")]
    SpecDrift(Arc<[String]>),
    /// The concurrency limit is reached.
    #[error("too many calls are in progress")]
    TooMany,
}

/// Adobe's connection specification for HubSpot, as it was last read. It is the same for every organization
/// and sandbox.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    last: Mutex<Option<(Instant, Arc<[String]>)>>,
    has_drifted: Arc<AtomicBool>,
}

impl Spec {
    async fn drift<F: FlowService>(
        &self,
        flow_service: &F,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> Result<Arc<[String]>, CallError> {
        let mut last = self.last.lock().await;
        if let Some((read, drift)) = &*last
            && read.elapsed() < if drift.is_empty() { FRESH } else { FRESH_DRIFT }
        {
            return Ok(Arc::clone(drift));
        }
        let drift: Arc<[String]> = flow_service.spec_drift(sandbox, deadline).await?.into();
        if !drift.is_empty() {
            tracing::error!(
                ?drift,
                "Adobe's connection specification for HubSpot is not what this service sends: creations may \
                 be refused until the service is changed"
            );
        }
        self.has_drifted.store(!drift.is_empty(), Ordering::Relaxed);
        *last = Some((Instant::now(), Arc::clone(&drift)));
        Ok(drift)
    }
}

impl<F: FlowService> Service<F> {
    /// Checks what a creation needs beyond a valid request: the access token, the sandbox, the
    /// permission to look into it, and that Adobe still takes what this service sends.
    ///
    /// # Errors
    /// [`DryRunError`].
    pub async fn dry_run(
        &self,
        connection: &NewConnection,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<(), DryRunError> {
        call.enter(Stage::Read);
        let Some(_permit) = self.limits.call() else {
            self.creations.engine.metrics.shed.inc();
            return Err(DryRunError::TooMany);
        };
        let sandbox = &connection.sandbox;
        let query = ListQuery { limit: 1, ..ListQuery::all(sandbox) };
        self.flow_service.list_connections(&query, None, deadline).await?;
        let drift = self.spec.drift(&*self.flow_service, sandbox, deadline).await?;
        if drift.is_empty() { Ok(()) } else { Err(DryRunError::SpecDrift(drift)) }
    }

    /// Whether Adobe's connection specification for HubSpot was not what this service sends, when it
    /// was last read.
    pub fn spec_has_drifted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.spec.has_drifted)
    }
}
