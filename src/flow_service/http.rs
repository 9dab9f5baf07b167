//! The Flow Service over HTTP.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret;

use super::{
    Cause, CreateError, FlowService, Problem,
    classify::{Meaning, classify},
    error_body::ErrorBody,
    redaction::presentable,
    retry_after::retry_after,
    token::{AccessToken, TokenSource},
    upstream_client::{read_body, without_url},
    wire,
};
use crate::domain::{CreatedConnection, NewConnection, Progress, Stage};

/// An answer to a creation is about 100 bytes, an error about 1 KiB.
const MAX_BODY: usize = 64 * 1024;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ORG_ID: HeaderName = HeaderName::from_static("x-gw-ims-org-id");
const SANDBOX_NAME: HeaderName = HeaderName::from_static("x-sandbox-name");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The Flow Service, called over HTTP.
#[derive(Debug)]
pub struct HttpFlowService {
    client: Client,
    connections: Url,
    tokens: TokenSource,
    /// The headers that are the same for every request.
    headers: HeaderMap,
    create_timeout: Duration,
}

/// Who calls: the organization and the client ID of its credential.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Sent as `x-gw-ims-org-id`.
    pub org_id: &'a str,
    /// Sent as `x-api-key`.
    pub client_id: &'a str,
}

impl HttpFlowService {
    /// Combines what a call needs. `create_timeout` bounds a creation's request.
    ///
    /// # Errors
    /// Where the base URL cannot take a path, or the identity cannot be sent in headers.
    pub fn new(
        client: Client,
        base: &Url,
        identity: Identity<'_>,
        tokens: TokenSource,
        create_timeout: Duration,
    ) -> Result<Self, Cause> {
        let connections = Url::parse(&format!("{}/connections", base.as_str().trim_end_matches('/')))?;
        let headers = HeaderMap::from_iter([
            (header::ACCEPT, JSON),
            (API_KEY, HeaderValue::try_from(identity.client_id)?),
            (ORG_ID, HeaderValue::try_from(identity.org_id)?),
        ]);
        Ok(Self { client, connections, tokens, headers, create_timeout })
    }

    /// Sends one request that can create the connection.
    async fn post(
        &self,
        connection: &NewConnection,
        body: Bytes,
        token: &AccessToken,
        progress: &Progress,
    ) -> Result<Posted, CreateError> {
        let request = self
            .client
            .post(self.connections.clone())
            .headers(self.headers.clone())
            .header(SANDBOX_NAME, connection.sandbox.as_str())
            .header(header::AUTHORIZATION, token.authorization())
            .header(header::CONTENT_TYPE, JSON)
            .timeout(self.create_timeout)
            .body(body);

        progress.enter(Stage::Create);
        let response = request.send().await.map_err(|error| match error.is_connect() {
            true => CreateError::Unreachable(without_url(error)),
            false => CreateError::OutcomeUnknown { problem: None, cause: without_url(error) },
        })?;
        if response.status().is_success() {
            created(response).await.map(Posted::Created)
        } else {
            let mut secrets = connection.credentials.all().map(|secret| secret.expose_secret()).to_vec();
            secrets.push(token.expose_secret());
            not_created(response, &secrets).await
        }
    }
}

/// What an answer to a creation settles.
enum Posted {
    Created(CreatedConnection),
    TokenRefused(Problem),
}

impl FlowService for HttpFlowService {
    type Pass = Arc<AccessToken>;
    async fn pass(&self, _: tokio::time::Instant) -> Result<Self::Pass, CreateError> {
        self.tokens.token().await.map_err(CreateError::Token)
    }
    fn retry_in(&self, _: u32, _: Option<Duration>, _: tokio::time::Instant) -> Option<Duration> {
        None
    }
    async fn create_connection(
        &self,
        token: &Self::Pass,
        connection: &NewConnection,
        _: tokio::time::Instant,
        progress: &Progress,
    ) -> Result<CreatedConnection, CreateError> {
        let body = wire::CreateConnection::from(connection);
        let body = Bytes::from(serde_json::to_vec(&body).expect("strings always serialize"));
        match self.post(connection, body.clone(), token, progress).await? {
            Posted::Created(connection) => Ok(connection),
            Posted::TokenRefused(problem) => {
                self.tokens.refuse(token);
                Err(CreateError::TokenRefused { problem })
            }
        }
    }
    async fn list_connections(
        &self,
        _: &crate::domain::SandboxName,
        _: Option<&super::PageToken>,
        _: tokio::time::Instant,
    ) -> Result<super::ConnectionPage, super::ReadError> {
        Ok(Default::default())
    }
}

/// Reads a success. Without both values in it the connection exists and cannot be named.
async fn created(response: Response) -> Result<CreatedConnection, CreateError> {
    let unusable = |cause: Cause| CreateError::OutcomeUnknown { problem: None, cause };
    let body = read_body(response, MAX_BODY).await.map_err(unusable)?;
    // The parser's message could quote the body.
    let created: wire::Created =
        serde_json::from_slice(&body).map_err(|_| unusable("the success holds no id and etag".into()))?;
    CreatedConnection::try_from(created).map_err(|invalid| unusable(invalid.into()))
}

/// Reads an answer other than a success. One that is too long or cut off is judged by its status.
async fn not_created(response: Response, secrets: &[&str]) -> Result<Posted, CreateError> {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let request_id = response.headers().get(REQUEST_ID).cloned();
    let body = read_body(response, MAX_BODY).await.map(|body| ErrorBody::parse(&body)).unwrap_or_default();

    let meaning = classify(status, body.code.as_ref());
    let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
    let problem = presentable(status, body, request_id, secrets);
    match meaning {
        Meaning::TokenRefused => Ok(Posted::TokenRefused(problem)),
        Meaning::Refused(refusal) => Err(CreateError::Refused { refusal, problem }),
        Meaning::Throttled => Err(CreateError::Throttled { retry_after, problem: Some(problem) }),
        Meaning::Unknown => {
            let cause = format!("an answer that leaves it open: {problem}").into();
            Err(CreateError::OutcomeUnknown { problem: Some(problem), cause })
        }
    }
}
