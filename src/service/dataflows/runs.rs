//! The use case: list the runs of a dataflow.

use tokio::time::Instant;

use super::{Dataflows, error::DataflowError};
use crate::{
    adobe::{PageToken, Platform},
    domain::{
        CallProgress,
        dataflow::{DataflowRef, Run, RunState},
    },
};

/// The command to list runs.
#[derive(Clone, Debug)]
pub struct ListHubSpotDataflowRuns {
    pub at: DataflowRef,
    /// The most runs on a page, 1 to 100.
    pub page_size: u8,
    /// The page, unless it is the first.
    pub page: Option<PageToken>,
    pub state: Option<RunState>,
    /// In milliseconds since the Unix epoch.
    pub started_after_ms: Option<i64>,
    pub started_before_ms: Option<i64>,
}

/// A page of runs, newest first. It can be shorter than it could be, and even empty, without being the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRuns {
    pub runs: Vec<Run>,
    /// The next page; `None` on the last one.
    pub next: Option<PageToken>,
}

impl<P: Platform> Dataflows<P> {
    /// Lists the runs of a dataflow.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn list_hubspot_dataflow_runs(
        &self,
        _command: &ListHubSpotDataflowRuns,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<ListedRuns, DataflowError> {
        unimplemented!()
    }
}
