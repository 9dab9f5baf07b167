//! The use case: delete a dataflow with what only it uses, or what a creation left behind.

use tokio::time::Instant;

use super::{
    Dataflows,
    error::{DataflowError, Leftover},
};
use crate::{
    adobe::Platform,
    domain::{CallProgress, dataflow::DataflowRef},
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
}
