//! The use cases about connections that exist: find and read them, and the tables that they can read.

use std::collections::HashSet;

use tokio::time::Instant;

use crate::{
    adobe::{CallError, FlowService, ListQuery, ListedConnection, PageToken, PageTrail, Refusal},
    domain::{
        CallProgress, Column, Connection, ConnectionRef, RequestId, SandboxName, Stage, Table, TablePath,
        reference::last_reference,
    },
    service::{
        Service,
        columns::{Unread, columns},
    },
};

/// How many pages of the Flow Service one call looks through for a name.
const MOST_PAGES: usize = 20;
/// More pages than the connections of any sandbox fill.
const ALL_PAGES: usize = 1000;

/// Why a call about connections that exist did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is no connection of this ID in this sandbox.
    #[error("there is no such connection")]
    NotFound,
    /// The connection is to another source.
    #[error("the connection is to another source")]
    OtherSource,
    /// The connection has no such table.
    #[error("there is no such table")]
    TableNotFound,
    /// The connection was changed since.
    #[error("the connection was changed after its etag was read")]
    EtagMismatch,
    /// Other clients change the connection all the time.
    #[error("the connection keeps being changed")]
    KeepsChanging,
    /// The Flow Service did not do it. Nothing was changed.
    #[error("the Flow Service did not do it")]
    Call(#[source] CallError),
    /// A change was sent and the reply lost, and it is unknown whether it was made.
    #[error("the change may have been made")]
    OutcomeUnknown {
        /// Whether a retry of the same call has the intended effect in either case.
        is_safe_to_repeat: bool,
        /// Why the reply was lost.
        #[source]
        cause: CallError,
    },
}

impl ConnectionError {
    /// What it means for a call that is about one connection.
    pub(crate) fn about_connection(error: CallError) -> Self {
        match error.refusal() {
            Some(Refusal::NotFound) => Self::NotFound,
            Some(Refusal::EtagMismatch) => Self::EtagMismatch,
            None if matches!(error, CallError::OtherSource) => Self::OtherSource,
            Some(_) | None => Self::Call(error),
        }
    }
}

/// The command to list connections.
#[derive(Clone, Debug)]
pub struct ListHubSpotConnections {
    /// The sandbox that holds them.
    pub sandbox: SandboxName,
    /// Which of them.
    pub filter: Filter,
    /// The most connections on a page, 1 to 100.
    pub page_size: u8,
    /// The page, unless it is the first.
    pub page: Option<PageToken>,
}

/// Which connections to list: those that match everything that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Their name.
    pub name: Option<String>,
    /// The request that created them.
    pub request_id: Option<RequestId>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn matches(&self, connection: &Connection) -> bool {
        let reference = || connection.description.as_deref().and_then(last_reference);
        self.name.as_ref().is_none_or(|name| connection.name == *name)
            && self.request_id.is_none_or(|id| reference() == Some(id))
    }
}

/// A page of connections, newest first. Where only some are listed it can be shorter than it could
/// be, and even empty, without being the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The connections.
    pub connections: Vec<Connection>,
    /// The next page; `None` on the last one.
    pub next: Option<PageToken>,
}

impl<F: FlowService> Service<F> {
    /// Reads a connection.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub async fn get_hubspot_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Connection, ConnectionError> {
        call.enter(Stage::Read);
        self.read(at, deadline).await
    }

    async fn read(&self, at: &ConnectionRef, deadline: Instant) -> Result<Connection, ConnectionError> {
        let read = self.flow_service.get_connection(at, deadline).await;
        let connection = read.map_err(ConnectionError::about_connection)?.ok_or(ConnectionError::NotFound)?;
        self.recent.insert(at);
        Ok(connection)
    }

    /// Lists connections.
    ///
    /// # Errors
    /// [`ConnectionError::Call`].
    pub async fn list_hubspot_connections(
        &self,
        command: &ListHubSpotConnections,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Listed, ConnectionError> {
        call.enter(Stage::Read);
        let ListHubSpotConnections { sandbox, filter, page_size, page } = command;
        let query = ListQuery { sandbox, name: filter.name.as_deref(), limit: *page_size };
        let mut next = page.clone();
        let mut trail = PageTrail::beginning_at(page.as_ref());
        let mut connections = Vec::new();
        // The remaining time may not be enough for another page: the caller continues from there.
        let halfway = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        for _ in 0..MOST_PAGES {
            let listed = self.flow_service.list_connections(&query, next.as_ref(), deadline).await;
            let page = listed.map_err(ConnectionError::Call)?;
            trail.follow(&page).map_err(|cause| ConnectionError::Call(CallError::Undecodable(cause)))?;
            let readable = page.items.into_iter().filter_map(ListedConnection::readable);
            connections.extend(readable.filter(|connection| filter.matches(connection)));
            next = page.next;
            // More pages could hold more than fit on this one.
            if next.is_none() || !connections.is_empty() || Instant::now() > halfway {
                break;
            }
        }
        Ok(Listed { connections, next })
    }

    /// Counts the connections of a sandbox, or some of them.
    ///
    /// # Errors
    /// [`ConnectionError::Call`].
    pub async fn count_hubspot_connections(
        &self,
        sandbox: &SandboxName,
        filter: &Filter,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<u64, ConnectionError> {
        call.enter(Stage::Read);
        let flow_service = &*self.flow_service;
        if filter.is_empty() {
            let counted = flow_service.count_connections(sandbox, deadline).await;
            return counted.map_err(ConnectionError::Call);
        }
        let query = ListQuery { name: filter.name.as_deref(), ..ListQuery::all(sandbox) };
        // A connection that is created meanwhile moves others onto the next page.
        let mut found = HashSet::new();
        let take = |page: Vec<ListedConnection>| {
            let readable = page.into_iter().filter_map(ListedConnection::readable);
            let matching = readable.filter(|connection| filter.matches(connection));
            found.extend(matching.map(|connection| connection.id));
            false
        };
        let read = read_pages(flow_service, &query, ALL_PAGES, deadline, take).await;
        read.map_err(ConnectionError::Call)?;
        Ok(found.len() as u64)
    }

    /// Makes sure that a connection is to HubSpot before anything else is done with it.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub(crate) async fn prove(&self, at: &ConnectionRef, deadline: Instant) -> Result<(), ConnectionError> {
        if !self.recent.contains(at) {
            self.read(at, deadline).await?;
        }
        Ok(())
    }

    /// Lists the tables that a connection can read.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub async fn list_hubspot_tables(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Vec<Table>, ConnectionError> {
        call.enter(Stage::Read);
        self.prove(at, deadline).await?;
        let tables = self.flow_service.list_tables(at, deadline).await;
        tables.map_err(ConnectionError::about_connection)
    }

    /// Lists the columns of a table.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub async fn get_hubspot_table(
        &self,
        at: &ConnectionRef,
        table: &TablePath,
        deadline: Instant,
        call: &CallProgress,
    ) -> Result<Vec<Column>, ConnectionError> {
        call.enter(Stage::Read);
        self.prove(at, deadline).await?;
        columns(&*self.flow_service, at, table, deadline).await.map_err(|unread| match unread {
            Unread::NoTable => ConnectionError::TableNotFound,
            Unread::Refused(error) => ConnectionError::Call(error),
            Unread::Failed(error) => ConnectionError::about_connection(error),
        })
    }
}

/// Reads page after page, until `take` has enough or there are no more. Pages that lead back would be followed
/// forever; taken for the last ones they would hide the rest.
///
/// # Errors
/// They cannot be read to the end. What was read so far is taken.
pub(super) async fn read_pages<F: FlowService>(
    flow_service: &F,
    query: &ListQuery<'_>,
    most: usize,
    deadline: Instant,
    mut take: impl FnMut(Vec<ListedConnection>) -> bool + Send,
) -> Result<(), CallError> {
    let mut trail = PageTrail::default();
    let mut next = None;
    for _ in 0..most {
        let page = flow_service.list_connections(query, next.as_ref(), deadline).await?;
        let followed = trail.follow(&page);
        let is_enough = take(page.items);
        followed.map_err(CallError::Undecodable)?;
        next = page.next;
        if next.is_none() || is_enough {
            return Ok(());
        }
    }
    Err(CallError::Undecodable(format!("the connections fill more than {most} pages").into()))
}
