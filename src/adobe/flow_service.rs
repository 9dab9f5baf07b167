//! The Flow Service over HTTP: one file per resource, which builds the requests and reads the replies.

pub(crate) mod connection_specs;
pub(crate) mod connections;
pub(crate) mod explore;
pub(super) mod list;
mod next_page;

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use self::{
    connections::item::Found,
    list::{ConnectionPage, ListQuery, PageToken},
};
use super::{
    CallError, FlowService, Identity, Permit, Refusal, Timeouts, TokenSource, UpstreamState,
    client::{AdobeClient, Post, Route},
};
use crate::{
    domain::{
        Column, Connection, ConnectionChanges, ConnectionRef, CreatedConnection, Etag, NewConnection,
        Progress, RequestId, SandboxName, Stage, Table, TablePath, reference::stored_description,
    },
    error::Cause,
    metrics::UpstreamMetrics,
    secret::redaction::without,
};

/// The requests that show in the metrics before the first one is sent.
const ROUTES: [&[&Route]; 3] = [&connections::ROUTES, &explore::ROUTES, &connection_specs::ROUTES];

/// The Flow Service, called over HTTP.
#[derive(Debug)]
pub struct HttpFlowService {
    client: AdobeClient,
}

impl HttpFlowService {
    /// Combines what a call needs.
    ///
    /// # Errors
    /// The identity cannot be sent in headers.
    pub fn new(
        client: Client,
        base: &Url,
        identity: Identity<'_>,
        tokens: TokenSource,
        timeouts: Timeouts,
        metrics: UpstreamMetrics,
    ) -> Result<Self, Cause> {
        let mut client = AdobeClient::new(client, base, identity, tokens, timeouts, metrics)?;
        client.expect(&ROUTES);
        Ok(Self { client })
    }

    /// What prevents requests from being sent, or from being accepted.
    pub fn state(&self) -> UpstreamState {
        self.client.state.clone()
    }
}

impl FlowService for HttpFlowService {
    type Permit = Permit;

    async fn permit(&self, deadline: Instant) -> Result<Permit, CallError> {
        self.client.state.resilience.permit(deadline).await
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
        self.client.post(post, permit, send_by, progress).await
    }

    async fn list_connections(
        &self,
        query: &ListQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> Result<ConnectionPage, CallError> {
        self.client.call(connections::list(query, page), deadline).await
    }

    async fn count_connections(&self, sandbox: &SandboxName, deadline: Instant) -> Result<u64, CallError> {
        self.client.call(connections::count(sandbox), deadline).await
    }

    async fn get_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> Result<Option<Connection>, CallError> {
        match self.client.call(connections::get(at), deadline).await {
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
        self.client.call(connections::update(sandbox, before, changes), deadline).await
    }

    async fn delete_connection(&self, at: &ConnectionRef, deadline: Instant) -> Result<(), CallError> {
        self.client.call(connections::delete(at), deadline).await
    }

    async fn test_connection(&self, at: &ConnectionRef, deadline: Instant) -> Result<bool, CallError> {
        self.client.call(explore::test(at), deadline).await
    }

    async fn list_tables(&self, at: &ConnectionRef, deadline: Instant) -> Result<Vec<Table>, CallError> {
        self.client.call(explore::tables(at), deadline).await
    }

    async fn list_columns(
        &self,
        at: &ConnectionRef,
        table: &TablePath,
        deadline: Instant,
    ) -> Result<Vec<Column>, CallError> {
        self.client.call(explore::columns(at, table), deadline).await
    }

    async fn spec_drift(&self, sandbox: &SandboxName, deadline: Instant) -> Result<Vec<String>, CallError> {
        match self.client.call(connection_specs::drift(sandbox), deadline).await {
            Err(error) if error.refusal() == Some(Refusal::NotFound) => {
                Ok(vec!["it does not exist any more".to_owned()])
            }
            Err(error) => Err(error),
            Ok(drift) => match self.client.state.resilience.tokens.token().now_or_never() {
                Some(Ok(token)) => {
                    Ok(drift.iter().map(|text| without(text, &[token.expose_secret()])).collect())
                }
                Some(Err(_)) | None => Ok(drift),
            },
        }
    }

    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration> {
        self.client.state.resilience.retry_in(attempt, asked, deadline)
    }
}
