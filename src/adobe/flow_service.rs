//! The Flow Service over HTTP: one file per resource, which builds the requests and reads the replies.

pub(crate) mod connection_specs;
pub(crate) mod connections;
pub(crate) mod explore;
pub(crate) mod flow_specs;
pub(crate) mod flows;
pub(super) mod list;
mod next_page;
mod parts;
pub(crate) mod runs;
pub(crate) mod source_connections;
pub(crate) mod target_connections;

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use self::{
    connections::item::Found,
    list::{ConnectionPage, ListQuery},
};
use super::{
    CallError, FlowService, HttpPlatform, PageToken, Permit, Refusal,
    client::{Post, Route},
};
use crate::domain::{
    Column, Connection, ConnectionChanges, ConnectionRef, CreatedConnection, Etag, NewConnection, Progress,
    RequestId, SandboxName, Stage, Table, TablePath, reference::stored_description,
};

/// The requests that show in the metrics before the first one is sent.
pub(super) static ROUTES: [&[&Route]; 8] = [
    &connections::ROUTES,
    &explore::ROUTES,
    &connection_specs::ROUTES,
    &source_connections::ROUTES,
    &target_connections::ROUTES,
    &flow_specs::ROUTES,
    &flows::ROUTES,
    &runs::ROUTES,
];

impl FlowService for HttpPlatform {
    type Permit = Permit;

    async fn permit(&self, deadline: Instant) -> Result<Permit, CallError> {
        self.flow_service.state.resilience.permit(deadline).await
    }

    async fn create_connection(
        &self,
        permit: &Permit,
        connection: &NewConnection,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedConnection, CallError> {
        progress.enter(Stage::Create);
        let description = stored_description(connection.description.as_ref(), reference);
        let post = Post {
            route: &connections::CREATE,
            sandbox: &connection.sandbox,
            body: connections::body(connection, description.as_deref()),
            secrets: &connection.credentials.all().map(|credential| credential.expose_secret()),
            read: connections::read_created,
        };
        self.flow_service.post(post, permit, send_by, progress).await
    }

    async fn list_connections(
        &self,
        query: &ListQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> Result<ConnectionPage, CallError> {
        self.flow_service.call(connections::list(query, page), deadline).await
    }

    async fn count_connections(&self, sandbox: &SandboxName, deadline: Instant) -> Result<u64, CallError> {
        self.flow_service.call(connections::count(sandbox), deadline).await
    }

    async fn get_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> Result<Option<Connection>, CallError> {
        match self.flow_service.call(connections::get(at), deadline).await {
            Ok(Found::Connection(connection)) => Ok(Some(connection)),
            Ok(Found::OfAnotherSource) => Err(CallError::OtherSource),
            Ok(Found::Nothing) => Ok(None),
            Err(error) if error.refusal() == Some(Refusal::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn update_connection(
        &self,
        sandbox: &SandboxName,
        before: &Connection,
        changes: &ConnectionChanges,
        deadline: Instant,
    ) -> Result<Etag, CallError> {
        self.flow_service.call(connections::update(sandbox, before, changes), deadline).await
    }

    async fn delete_connection(&self, at: &ConnectionRef, deadline: Instant) -> Result<(), CallError> {
        self.flow_service.call(connections::delete(at), deadline).await
    }

    async fn test_connection(&self, at: &ConnectionRef, deadline: Instant) -> Result<bool, CallError> {
        self.flow_service.call(explore::test(at), deadline).await
    }

    async fn list_tables(&self, at: &ConnectionRef, deadline: Instant) -> Result<Vec<Table>, CallError> {
        self.flow_service.call(explore::tables(at), deadline).await
    }

    async fn list_columns(
        &self,
        at: &ConnectionRef,
        table: &TablePath,
        deadline: Instant,
    ) -> Result<Vec<Column>, CallError> {
        self.flow_service.call(explore::columns(at, table), deadline).await
    }

    async fn spec_drift(&self, sandbox: &SandboxName, deadline: Instant) -> Result<Vec<String>, CallError> {
        self.drift(connection_specs::drift(sandbox), deadline).await
    }

    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration> {
        self.flow_service.state.resilience.retry_in(attempt, asked, deadline)
    }
}
