//! The use case: delete a dataflow with what only it uses, or what a creation left behind.

use tokio::time::Instant;

use super::{
    Dataflows, create,
    error::{DataflowError, Leftover},
};
use crate::{
    adobe::Platform,
    domain::{CallProgress, RequestId, SandboxName, dataflow::DataflowRef},
};

impl<P: Platform> Dataflows<P> {
    /// Deletes a dataflow, and returns what remains of it.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn delete_hubspot_dataflow(
        &self,
        _at: &DataflowRef,
        _allow_missing: bool,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<Vec<Leftover>, DataflowError> {
        unimplemented!()
    }

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
