//! The use case: list the runs of a dataflow.

use std::collections::HashSet;

use tokio::time::Instant;

use super::{
    Dataflows,
    error::{DataflowError, Part},
    read::failed,
};
use crate::{
    adobe::{CallError, PageToken, Platform, RunQuery},
    domain::{
        CallProgress, Stage,
        dataflow::{DataflowRef, Run, RunState},
    },
};

/// How many pages of the Flow Service one call looks through.
const MOST_PAGES: usize = 20;

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

impl ListHubSpotDataflowRuns {
    /// Adobe's documents write the values of these filters in several ways, so they are compared here too.
    fn matches(&self, run: &Run) -> bool {
        let started = |is_in: &dyn Fn(i64) -> bool| run.started_at_ms.is_some_and(is_in);
        self.state.is_none_or(|state| run.state == Some(state))
            && self.started_after_ms.is_none_or(|after| started(&|at| at > after))
            && self.started_before_ms.is_none_or(|before| started(&|at| at < before))
    }
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
        command: &ListHubSpotDataflowRuns,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<ListedRuns, DataflowError> {
        call.enter(Stage::Read);
        self.read(&command.at, deadline).await?;
        let query = RunQuery {
            flow: &command.at,
            state: command.state,
            started_after_ms: command.started_after_ms,
            started_before_ms: command.started_before_ms,
            limit: command.page_size,
        };
        let mut next = command.page.clone();
        let mut seen: HashSet<_> = next.iter().cloned().collect();
        let mut runs = Vec::new();
        // The remaining time may not be enough for another page: the caller continues from there.
        let halfway = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        for _ in 0..MOST_PAGES {
            let page = self.platform.list_runs(&query, next.as_ref(), deadline).await;
            let page = page.map_err(failed(Part::Run))?;
            runs.extend(page.items.into_iter().filter(|run| command.matches(run)));
            next = page.next;
            if next.as_ref().is_some_and(|next| !seen.insert(next.clone())) {
                return Err(failed(Part::Run)(CallError::Undecodable("a page of runs leads back".into())));
            }
            // More pages could hold more than fit on this one.
            if next.is_none() || !runs.is_empty() || Instant::now() > halfway {
                break;
            }
        }
        for run in &runs {
            self.runs_read.get_or_create(&run.state.map_or("unknown", RunState::name).into()).inc();
        }
        Ok(ListedRuns { runs, next })
    }
}
