//! The use cases: pause and resume a dataflow.

use tokio::time::Instant;

use super::{Dataflows, error::DataflowError};
use crate::{
    adobe::Platform,
    domain::{CallProgress, Etag, dataflow::DataflowRef},
};

impl<P: Platform> Dataflows<P> {
    /// Disables a dataflow, unless it is disabled already, and returns its version.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn pause_hubspot_dataflow(
        &self,
        _at: &DataflowRef,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<Etag, DataflowError> {
        unimplemented!()
    }

    /// Enables a dataflow, unless it is enabled already, and returns its version.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn resume_hubspot_dataflow(
        &self,
        _at: &DataflowRef,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<Etag, DataflowError> {
        unimplemented!()
    }
}
