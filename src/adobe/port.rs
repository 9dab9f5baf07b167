//! The ports to Adobe.

mod platform;
mod requests;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::{platform::*, requests::*};
use super::{CallError, ConnectionPage, ListQuery, PageToken};
use crate::domain::{
    Column, Connection, ConnectionChanges, ConnectionRef, CreatedConnection, Etag, NewConnection, Progress,
    RequestId, SandboxName, Table, TablePath,
};

/// The calls to the Flow Service. Reads are retried within `deadline`.
pub trait FlowService: Send + Sync + 'static {
    /// The permission to send one request.
    type Permit: Send + Sync;

    /// Waits for the permission to send one request: for the end of a throttle and for an access token, but
    /// not longer than `deadline`.
    ///
    /// # Errors
    /// Nothing was sent.
    fn permit(&self, deadline: Instant) -> impl Future<Output = Result<Self::Permit, CallError>> + Send;

    /// Creates a connection with this reference. The request is sent once, and only if its first byte leaves
    /// before `send_by`. `progress` reports from when on the connection may exist.
    fn create_connection(
        &self,
        permit: &Self::Permit,
        connection: &NewConnection,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> impl Future<Output = Result<CreatedConnection, CallError>> + Send;

    /// Reads one page of the HubSpot connections of a sandbox, newest first: the first page, or the one that the
    /// page before names as its next.
    ///
    /// The Flow Service may name an earlier page as the next one: [`PageTrail`](super::PageTrail) detects that.
    fn list_connections(
        &self,
        query: &ListQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> impl Future<Output = Result<ConnectionPage, CallError>> + Send;

    /// Counts the HubSpot connections of a sandbox.
    fn count_connections(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<u64, CallError>> + Send;

    /// Reads a connection; `None` if there is none with this ID. A connection to another source is
    /// [`CallError::OtherSource`].
    fn get_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Connection>, CallError>> + Send;

    /// Changes a connection, if it still is as it was read `before`, and returns its new version. A change that
    /// may have arrived is not retried: [`CallError::may_have_arrived`].
    fn update_connection(
        &self,
        sandbox: &SandboxName,
        before: &Connection,
        changes: &ConnectionChanges,
        deadline: Instant,
    ) -> impl Future<Output = Result<Etag, CallError>> + Send;

    /// Deletes a connection, or begins to. A deletion that may have arrived is not retried.
    fn delete_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Lets the Flow Service test a connection, and returns whether it works.
    fn test_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<bool, CallError>> + Send;

    /// Lists the tables that a connection can read.
    fn list_tables(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Table>, CallError>> + Send;

    /// Lists the columns of a table.
    fn list_columns(
        &self,
        at: &ConnectionRef,
        table: &TablePath,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Column>, CallError>> + Send;

    /// The differences between Adobe's connection specification for HubSpot and what this service sends.
    fn spec_drift(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<String>, CallError>> + Send;

    /// The pause before a failed request is retried after so many attempts, at least as long as it was `asked`
    /// for; `None` if the pause would pass the deadline or exceed the retry budget.
    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration>;
}
