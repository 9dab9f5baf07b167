//! The port to the Flow Service.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{CallError, ConnectionPage, ListQuery, PageToken};
use crate::domain::{
    Column, Connection, ConnectionChanges, ConnectionRef, CreatedConnection, Etag, NewConnection, Progress,
    RequestId, SandboxName, Table, TablePath,
};

/// What the service needs of the Flow Service.
pub trait FlowService: Send + Sync + 'static {
    /// The leave to send one request, as [`FlowService::pass`] gives it.
    type Pass: Send + Sync;

    /// Waits until a request may be sent: until there is an access token and, after a throttle, until
    /// the time that Adobe asked for is over. It is not worth waiting longer than `deadline`.
    ///
    /// # Errors
    /// [`CallError`], by which nothing was sent.
    fn pass(&self, deadline: Instant) -> impl Future<Output = Result<Self::Pass, CallError>> + Send;

    /// Sends the one request that can create the connection, with this reference, once, and only if its
    /// first byte leaves before `send_by`. `progress` says from when on the connection may exist.
    fn create_connection(
        &self,
        pass: &Self::Pass,
        connection: &NewConnection,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> impl Future<Output = Result<CreatedConnection, CallError>> + Send;

    /// Reads one page of the HubSpot connections of a sandbox, asked for newest first: the first page, or
    /// the one that a page named as its next. Like every read it is repeated within `deadline`.
    ///
    /// The Flow Service may name an earlier page as the next one: a [`PageTrail`] detects that.
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

    /// Reads a connection; `None` where there is none of this ID. One to another source is
    /// [`CallError::OtherSource`].
    fn get_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Connection>, CallError>> + Send;

    /// Changes a connection that still is as it was read, and answers with its new version. A change
    /// that may have arrived is not repeated: [`CallError::may_have_arrived`].
    fn update_connection(
        &self,
        sandbox: &SandboxName,
        before: &Connection,
        changes: &ConnectionChanges,
        deadline: Instant,
    ) -> impl Future<Output = Result<Etag, CallError>> + Send;

    /// Deletes a connection, or begins to. A deletion that may have arrived is not repeated.
    fn delete_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Has the Flow Service try a connection, and tells whether it works.
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

    /// In what the connection specification that Adobe has for HubSpot differs from what this service
    /// sends: nothing, if all is well.
    fn spec_drift(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<String>, CallError>> + Send;

    /// How long to wait before something that failed is sent again: at least the time that was
    /// `asked` for, and a random time that grows with `attempt`, the number of attempts so far. `None`
    /// where it is not to be sent again: the wait would pass the deadline, or too many requests are
    /// repetitions already.
    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration>;
}
