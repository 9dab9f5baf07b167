//! The use case: delete what a creation left behind.

use tokio::time::Instant;

use super::{Dataflows, create, error::Leftover};
use crate::{
    adobe::Platform,
    domain::{CallProgress, RequestId, SandboxName},
};

impl<P: Platform> Dataflows<P> {
    /// Deletes what a creation has made that nobody will retry, and returns what remains of it. From then on the
    /// request id cannot create anything.
    ///
    /// # Errors
    /// With the name of the creation.
    pub async fn delete_abandoned_hubspot_dataflow(
        &self,
        _request_id: RequestId,
        _sandbox: &SandboxName,
        _allow_missing: bool,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<Vec<Leftover>, create::Error> {
        unimplemented!()
    }
}
