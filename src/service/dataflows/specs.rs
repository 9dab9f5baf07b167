//! What Adobe's specifications say about dataflows from HubSpot, as they were last read. They are the same for every
//! organization and sandbox.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use crate::{
    adobe::{CallError, Platform, TableParameter},
    domain::SandboxName,
};

/// How long what was read last is used.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// The same if Adobe's flow specification differs from what this service sends, so that a correction is noticed soon.
const FRESH_DRIFT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Specs {
    parameter: Mutex<Option<(Instant, TableParameter)>>,
    drift: Mutex<Option<(Instant, Arc<[String]>)>>,
}

impl Specs {
    /// What a source connection calls its table.
    pub(super) async fn table_parameter<P: Platform>(
        &self,
        platform: &P,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> Result<TableParameter, CallError> {
        // Another call may be reading it.
        let Ok(mut last) = timeout_at(deadline, self.parameter.lock()).await else {
            return Err(CallError::TooLate);
        };
        if let Some((read, parameter)) = *last
            && read.elapsed() < FRESH
        {
            return Ok(parameter);
        }
        let parameter = platform.table_parameter(sandbox, deadline).await?;
        *last = Some((Instant::now(), parameter));
        Ok(parameter)
    }

    /// How Adobe's flow specification differs from what this service sends.
    pub(super) async fn drift<P: Platform>(
        &self,
        platform: &P,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> Result<Arc<[String]>, CallError> {
        // Another call may be reading it.
        let Ok(mut last) = timeout_at(deadline, self.drift.lock()).await else {
            return Err(CallError::TooLate);
        };
        if let Some((read, drift)) = &*last
            && read.elapsed() < if drift.is_empty() { FRESH } else { FRESH_DRIFT }
        {
            return Ok(Arc::clone(drift));
        }
        let drift: Arc<[String]> = platform.flow_spec_drift(sandbox, deadline).await?.into();
        if !drift.is_empty() {
            tracing::error!(
                ?drift,
                "Adobe's flow specification for tables is not what this service sends: creations of dataflows \
                 may be refused until the service is changed"
            );
        }
        *last = Some((Instant::now(), Arc::clone(&drift)));
        Ok(drift)
    }
}
