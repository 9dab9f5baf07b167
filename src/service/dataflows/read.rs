//! The use cases: find and read dataflows, also those that other clients created.
//!
//! A flow shows neither its table nor its dataset: those are read from its source and target connections, which
//! takes two calls for a page of flows.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join;
use tokio::time::Instant;

use super::{
    Dataflows,
    error::{DataflowError, Part},
    flows::flows_of,
};
use crate::{
    adobe::{
        CallError, FlowQuery, FlowSelection, ListQuery, PageToken, Platform, Selection, TargetSelection,
    },
    domain::{
        CallProgress, ConnectionId, SandboxName, Stage,
        dataflow::{
            Dataflow, DataflowRef, DatasetId, SchemaId, SourceConnection, SourceConnectionId,
            TargetConnection, TargetConnectionId,
        },
    },
};

/// How many pages of the Flow Service one call looks through.
const MOST_PAGES: usize = 20;

/// A dataflow of HubSpot, with what its source and target connections show.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadDataflow {
    pub flow: Dataflow,
    /// The base connection.
    pub connection: Option<ConnectionId>,
    pub table: Option<String>,
    pub dataset: Option<DatasetId>,
    pub schema: Option<SchemaId>,
}

/// The command to list dataflows.
#[derive(Clone, Debug)]
pub struct ListHubSpotDataflows {
    pub sandbox: SandboxName,
    pub filter: DataflowFilter,
    /// The most dataflows on a page, 1 to 100.
    pub page_size: u8,
    /// The page, unless it is the first.
    pub page: Option<PageToken>,
}

/// Which dataflows to list: those that match everything that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataflowFilter {
    pub connection: Option<ConnectionId>,
    pub name: Option<String>,
}

impl DataflowFilter {
    /// Adobe's filter, which need not be exact.
    fn selection(&self) -> FlowSelection<'_> {
        match &self.connection {
            Some(connection) => FlowSelection::OfConnection(connection),
            None => FlowSelection::OfHubSpot { name: self.name.as_deref() },
        }
    }

    fn matches(&self, read: &ReadDataflow) -> bool {
        let is_of_connection =
            self.connection.as_ref().is_none_or(|connection| read.connection.as_ref() == Some(connection));
        is_of_connection && self.name.as_ref().is_none_or(|name| read.flow.name.as_ref() == Some(name))
    }
}

/// A page of dataflows, newest first. Where only some are listed it can be shorter than it could be, and even
/// empty, without being the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedDataflows {
    pub dataflows: Vec<ReadDataflow>,
    /// The next page; `None` on the last one.
    pub next: Option<PageToken>,
}

impl<P: Platform> Dataflows<P> {
    /// Reads a dataflow.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn get_hubspot_dataflow(
        &self,
        at: &DataflowRef,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<ReadDataflow, DataflowError> {
        call.enter(Stage::Read);
        self.read(at, deadline).await
    }

    /// Reads a dataflow of HubSpot, with its connections.
    pub(super) async fn read(
        &self,
        at: &DataflowRef,
        deadline: Instant,
    ) -> Result<ReadDataflow, DataflowError> {
        let flow = self.read_flow(at, deadline).await?;
        let read = self.with_connections(&at.sandbox, vec![flow], deadline).await?.pop();
        read.ok_or(DataflowError::NotFound)
    }

    /// Reads a flow that is not known to be of another source.
    pub(super) async fn read_flow(
        &self,
        at: &DataflowRef,
        deadline: Instant,
    ) -> Result<Dataflow, DataflowError> {
        let flow = self.platform.get_flow(at, deadline).await.map_err(failed(Part::Flow))?;
        flow.filter(|flow| flow.is_of_hubspot != Some(false)).ok_or(DataflowError::NotFound)
    }

    /// Lists dataflows.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn list_hubspot_dataflows(
        &self,
        command: &ListHubSpotDataflows,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<ListedDataflows, DataflowError> {
        call.enter(Stage::Read);
        let ListHubSpotDataflows { sandbox, filter, page_size, page } = command;
        let query = FlowQuery { sandbox, selection: filter.selection(), limit: *page_size };
        let mut next = page.clone();
        let mut seen: HashSet<_> = page.iter().cloned().collect();
        let mut dataflows = Vec::new();
        // The remaining time may not be enough for another page: the caller continues from there.
        let halfway = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        for _ in 0..MOST_PAGES {
            let page = self.platform.list_flows(&query, next.as_ref(), deadline).await;
            let page = page.map_err(failed(Part::Flow))?;
            let read = self.with_connections(sandbox, page.items, deadline).await?;
            dataflows.extend(read.into_iter().filter(|read| filter.matches(read)));
            next = page.next;
            if next.as_ref().is_some_and(|next| !seen.insert(next.clone())) {
                return Err(failed(Part::Flow)(CallError::Undecodable("a page of flows leads back".into())));
            }
            // More pages could hold more than fit on this one.
            if next.is_none() || !dataflows.is_empty() || Instant::now() > halfway {
                break;
            }
        }
        Ok(ListedDataflows { dataflows, next })
    }

    /// Counts the dataflows of a sandbox, or some of them.
    ///
    /// # Errors
    /// [`DataflowError`].
    pub async fn count_hubspot_dataflows(
        &self,
        sandbox: &SandboxName,
        filter: &DataflowFilter,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<u64, DataflowError> {
        call.enter(Stage::Read);
        if *filter == DataflowFilter::default() {
            return self.platform.count_flows(sandbox, deadline).await.map_err(failed(Part::Flow));
        }
        let flows = flows_of(&*self.platform, sandbox, filter.selection(), deadline).await;
        let mut flows = flows.map_err(failed(Part::Flow))?;
        // A flow that is created meanwhile moves others onto the next page.
        let mut found = HashSet::new();
        while !flows.is_empty() {
            let rest = flows.split_off(flows.len().min(ListQuery::LARGEST_PAGE.into()));
            let read = self.with_connections(sandbox, std::mem::replace(&mut flows, rest), deadline).await?;
            found
                .extend(read.into_iter().filter(|read| filter.matches(read)).filter_map(|read| read.flow.id));
        }
        Ok(found.len() as u64)
    }

    /// The flows of HubSpot among these, with what their connections show. A flow without a readable ID or version is
    /// left out, as is one that shows nowhere what its source is.
    async fn with_connections(
        &self,
        sandbox: &SandboxName,
        flows: Vec<Dataflow>,
        deadline: Instant,
    ) -> Result<Vec<ReadDataflow>, DataflowError> {
        let is_readable = |flow: &Dataflow| flow.id.is_some() && flow.etag.is_some();
        let mut flows: Vec<_> =
            flows.into_iter().filter(|flow| is_readable(flow) && flow.is_of_hubspot != Some(false)).collect();
        let source_ids: Vec<_> =
            flows.iter().flat_map(|flow| flow.source_connections.first().cloned()).collect();
        let target_ids: Vec<_> =
            flows.iter().flat_map(|flow| flow.target_connections.first().cloned()).collect();
        let (sources, targets) = try_join(
            self.sources(sandbox, &source_ids, deadline),
            self.targets(sandbox, &target_ids, deadline),
        )
        .await?;
        let mut read = Vec::with_capacity(flows.len());
        for mut flow in flows.drain(..) {
            let source = flow.source_connections.first().and_then(|id| sources.get(id));
            let target = flow.target_connections.first().and_then(|id| targets.get(id));
            let is_of_hubspot = flow.is_of_hubspot.or_else(|| source?.is_of_hubspot);
            if is_of_hubspot != Some(true) {
                continue;
            }
            flow.is_of_hubspot = is_of_hubspot;
            let connection = source.and_then(|source| source.connection.clone());
            read.push(ReadDataflow {
                connection: flow.connection.clone().or(connection),
                table: source.and_then(|source| source.table.clone()),
                dataset: target.and_then(|target| target.dataset.clone()),
                schema: target.and_then(|target| target.schema.clone()),
                flow,
            });
        }
        Ok(read)
    }

    async fn sources(
        &self,
        sandbox: &SandboxName,
        ids: &[SourceConnectionId],
        deadline: Instant,
    ) -> Result<HashMap<SourceConnectionId, SourceConnection>, DataflowError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let listed = self.platform.list_source_connections(sandbox, Selection::Ids(ids), deadline).await;
        let listed = listed.map_err(failed(Part::SourceConnection))?;
        Ok(listed.into_iter().map(|source| (source.id.clone(), source)).collect())
    }

    async fn targets(
        &self,
        sandbox: &SandboxName,
        ids: &[TargetConnectionId],
        deadline: Instant,
    ) -> Result<HashMap<TargetConnectionId, TargetConnection>, DataflowError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let listed =
            self.platform.list_target_connections(sandbox, TargetSelection::Ids(ids), deadline).await;
        let listed = listed.map_err(failed(Part::TargetConnection))?;
        Ok(listed.into_iter().map(|target| (target.id.clone(), target)).collect())
    }
}

/// The error of a call that is about this part.
pub(super) fn failed(part: Part) -> impl Fn(CallError) -> DataflowError {
    move |error| DataflowError::Call { part, error }
}
