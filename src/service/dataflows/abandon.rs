//! The use case: delete what a creation has made that nobody will retry.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Dataflows, create::Error, creation::WithdrawDataflow, error::Leftover};
use crate::{
    adobe::Platform,
    domain::{CallProgress, RequestId, SandboxName, Stage},
    exactly_once::withdrawal::withdraw,
};

impl<P: Platform> Dataflows<P> {
    /// Deletes what a creation has made that nobody will retry, and returns what remains of it. From then on the
    /// request id cannot create anything.
    ///
    /// # Errors
    /// With the name of the creation.
    pub async fn delete_abandoned_hubspot_dataflow(
        &self,
        request_id: RequestId,
        sandbox: &SandboxName,
        allow_missing: bool,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Vec<Leftover>, Error> {
        call.enter(Stage::Delete);
        let (platform, sandbox) = (Arc::clone(&self.platform), sandbox.clone());
        let withdrawal = WithdrawDataflow { platform, sandbox, allow_missing };
        let withdrawn = withdraw(&self.creations.engine, request_id, &withdrawal, deadline).await;
        withdrawn.map_err(|failure| Error {
            request_id,
            generated: false,
            sandbox: withdrawal.sandbox,
            may_be_forgotten: false,
            failure: Arc::new(failure),
        })
    }
}
