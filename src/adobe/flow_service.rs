//! The Flow Service over HTTP.
//!
//! Every request passes, in this order: the throttle gate, which may make it wait; the circuit
//! breaker, which may refuse it; and the source of access tokens.

pub(crate) mod connection_specs;
pub(crate) mod connections;
pub(crate) mod explore;
pub(crate) mod list;
pub(crate) mod next_page;
pub(crate) mod wire;
pub(crate) mod wire_explore;

pub(crate) use crate::adobe::answer::reply::media_type;

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use opentelemetry::{
    Context,
    trace::{SpanKind, Status, TraceContextExt as _},
};
use reqwest::{Client, Request, Url};
use tokio::time::Instant;

use crate::adobe::client::own_requests::OwnRequests;
use crate::{
    adobe::{
        CallError, ConnectionPage, CreateError, FlowService, ListQuery, PageToken,
        client::attempt::{Attempt, Attempts},
        identity::token::{AccessToken, TokenError, TokenSource},
        resilience::{
            backoff::{self, RetryBudget},
            breaker::{Breaker, Permit},
            throttle::ThrottleGate,
        },
    },
    error::Cause,
};
use crate::{
    domain::{
        Column, Connection, ConnectionChanges, ConnectionRef, CreatedConnection, Etag, NewConnection,
        Progress, RequestId, SandboxName, Table, TablePath,
    },
    metrics::UpstreamMetrics,
    telemetry::spans,
};

pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub(crate) const ORG_ID: HeaderName = HeaderName::from_static("x-gw-ims-org-id");
pub(crate) const SANDBOX_NAME: HeaderName = HeaderName::from_static("x-sandbox-name");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The paths below the base URL, as what is measured has them.
pub(crate) const CONNECTIONS: &str = "/connections";
pub(crate) const CONNECTION: &str = "/connections/{id}";
pub(crate) const TEST: &str = "/connections/{id}/test";
pub(crate) const EXPLORE: &str = "/connections/{id}/explore";
pub(crate) const SPEC: &str = "/connectionSpecs/{id}";

/// The requests that are made, with the status of a success.
pub(crate) const REQUESTS: [(Method, &str, StatusCode); 8] = [
    (Method::POST, CONNECTIONS, StatusCode::CREATED),
    (Method::GET, CONNECTIONS, StatusCode::OK),
    (Method::GET, CONNECTION, StatusCode::OK),
    (Method::PATCH, CONNECTION, StatusCode::OK),
    (Method::DELETE, CONNECTION, StatusCode::NO_CONTENT),
    (Method::GET, TEST, StatusCode::OK),
    (Method::GET, EXPLORE, StatusCode::OK),
    (Method::GET, SPEC, StatusCode::OK),
];

/// The Flow Service, called over HTTP.
#[derive(Debug)]
pub struct HttpFlowService {
    pub(crate) client: Client,
    pub(crate) connections: Url,
    /// The connection specification of HubSpot.
    pub(crate) spec: Url,
    pub(crate) tokens: TokenSource,
    /// The headers that are the same for every request.
    pub(crate) headers: HeaderMap,
    pub(crate) timeouts: Timeouts,
    pub(crate) gate: Arc<ThrottleGate>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) budget: RetryBudget,
    pub(crate) own_requests: Arc<OwnRequests>,
    pub(crate) attempts: Attempts,
}

/// Room for every header that a request can have.
pub(crate) const MOST_HEADERS: usize = 12;

/// What keeps requests from being sent, or from being accepted.
#[derive(Clone, Debug)]
pub struct UpstreamState {
    gate: Arc<ThrottleGate>,
    breaker: Arc<Breaker>,
    own_requests: Arc<OwnRequests>,
}

impl UpstreamState {
    /// Whether requests wait because the Flow Service asked for a pause.
    pub fn is_gate_closed(&self) -> bool {
        self.gate.closed_for().is_some()
    }

    /// Whether the circuit breaker refuses requests.
    pub fn is_breaker_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// Whether the Flow Service refuses what this service itself writes into some kind of request.
    pub fn are_own_requests_refused(&self) -> bool {
        self.own_requests.are_refused()
    }
}

/// Who calls: the organization and the client ID of its credential.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Sent as `x-gw-ims-org-id`.
    pub org_id: &'a str,
    /// Sent as `x-api-key`.
    pub client_id: &'a str,
}

/// How long a request may take, from its connection to the end of its answer.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A creation.
    pub create: Duration,
    /// One attempt of anything else.
    pub attempt: Duration,
}

/// The leave to send one request.
#[derive(Debug)]
pub struct Pass {
    pub(crate) token: Arc<AccessToken>,
    pub(crate) permit: Permit,
}

impl HttpFlowService {
    /// Combines what a call needs.
    ///
    /// # Errors
    /// Where the base URL cannot take a path, or the identity cannot be sent in headers.
    pub fn new(
        client: Client,
        base: &Url,
        identity: Identity<'_>,
        tokens: TokenSource,
        timeouts: Timeouts,
    ) -> Result<Self, Cause> {
        let attempts = Attempts::at(base, UpstreamMetrics::default());
        let base = base.as_str().trim_end_matches('/');
        let connections = Url::parse(&format!("{base}/connections"))?;
        let spec = Url::parse(&format!("{base}/connectionSpecs/{}", wire::HUBSPOT_SPEC_ID))?;
        let headers = HeaderMap::from_iter([
            (header::ACCEPT, JSON),
            (API_KEY, HeaderValue::try_from(identity.client_id)?),
            (ORG_ID, HeaderValue::try_from(identity.org_id)?),
        ]);
        Ok(Self {
            client,
            connections,
            spec,
            tokens,
            headers,
            timeouts,
            gate: Arc::default(),
            breaker: Arc::default(),
            budget: RetryBudget::new(),
            own_requests: Arc::default(),
            attempts,
        })
    }

    /// Counts what happens here.
    #[must_use]
    pub fn counted_by(mut self, metrics: UpstreamMetrics) -> Self {
        self.breaker = Arc::new(Breaker::counted_by(metrics.breaker_opened.clone()));
        self.gate = Arc::new(ThrottleGate::counted_by(metrics.throttled.clone()));
        self.attempts = Attempts::at(&self.connections, metrics);
        for (method, template, status) in REQUESTS {
            self.attempts.expect(&method, template, status);
            self.attempts.expect_retries(&method, template);
        }
        self
    }

    /// What keeps requests from being sent, or from being accepted.
    pub fn state(&self) -> UpstreamState {
        UpstreamState {
            gate: Arc::clone(&self.gate),
            breaker: Arc::clone(&self.breaker),
            own_requests: Arc::clone(&self.own_requests),
        }
    }

    /// A request with all headers but those that only some have.
    pub(crate) fn request(
        &self,
        method: Method,
        url: Url,
        sandbox: &SandboxName,
        pass: &Pass,
        attempt: &Attempt<'_>,
    ) -> Request {
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.reserve(MOST_HEADERS);
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        let sandbox = HeaderValue::from_str(sandbox.as_str()).expect("a sandbox name is visible ASCII");
        headers.insert(SANDBOX_NAME, sandbox);
        headers.insert(header::AUTHORIZATION, pass.token.authorization());
        attempt.tell(headers);
        request
    }

    pub(crate) async fn admit(&self, deadline: Instant) -> Result<Pass, NoPass> {
        self.gate.wait(deadline).await.map_err(NoPass::Throttled)?;
        let permit = self.breaker.admit().map_err(NoPass::BreakerOpen)?;
        let token = match self.tokens.token().now_or_never() {
            Some(Ok(token)) => token,
            Some(Err(error)) if !error.may_pass() => return Err(NoPass::Token(error)),
            Some(Err(_)) | None => self.wait_for_token(deadline).await?,
        };
        // Another call may have been throttled while this one waited for the token.
        match self.gate.closed_for() {
            Some(rest) => Err(NoPass::Throttled(rest)),
            None => Ok(Pass { token, permit }),
        }
    }

    /// The access token, where it is being fetched: time of the call that is worth a span.
    async fn wait_for_token(&self, deadline: Instant) -> Result<Arc<AccessToken>, NoPass> {
        let context = Context::current();
        let trace = spans::begin(&context, SpanKind::Internal, || "adobe_token".into(), Vec::new);
        let token = self.tokens.token_by(deadline).await;
        let span = trace.span();
        if span.is_recording() && token.is_err() {
            span.set_status(Status::error(""));
        }
        span.end();
        token.map_err(|failure| failure.map_or(NoPass::TooLate, NoPass::Token))
    }
}

/// Why a request may not be sent.
#[derive(Debug)]
pub(crate) enum NoPass {
    /// For this long, after an earlier throttle.
    Throttled(Duration),
    /// For this long.
    BreakerOpen(Duration),
    /// There is none, nor will there be one in time.
    Token(Arc<TokenError>),
    /// The deadline was spent with waiting.
    TooLate,
}

impl From<NoPass> for CreateError {
    fn from(reason: NoPass) -> Self {
        match reason {
            NoPass::Throttled(rest) => Self::Throttled { retry_after: Some(rest), problem: None },
            NoPass::BreakerOpen(retry_after) => Self::BreakerOpen { retry_after },
            NoPass::Token(error) => Self::Token(error),
            NoPass::TooLate => Self::NoTokenInTime,
        }
    }
}

impl FlowService for HttpFlowService {
    type Pass = Pass;

    async fn pass(&self, deadline: Instant) -> Result<Pass, CreateError> {
        Ok(self.admit(deadline).await?)
    }

    async fn create_connection(
        &self,
        pass: &Pass,
        connection: &NewConnection,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedConnection, CreateError> {
        self.create(pass, connection, reference, send_by, progress).await
    }

    async fn list_connections(
        &self,
        query: &ListQuery<'_>,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> Result<ConnectionPage, CallError> {
        self.list(query, page, deadline).await
    }

    async fn count_connections(&self, sandbox: &SandboxName, deadline: Instant) -> Result<u64, CallError> {
        self.count(sandbox, deadline).await
    }

    async fn get_connection(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> Result<Option<Connection>, CallError> {
        self.get(at, deadline).await
    }

    async fn update_connection(
        &self,
        sandbox: &SandboxName,
        before: &Connection,
        changes: &ConnectionChanges,
        deadline: Instant,
    ) -> Result<Etag, CallError> {
        self.update(sandbox, before, changes, deadline).await
    }

    async fn delete_connection(&self, at: &ConnectionRef, deadline: Instant) -> Result<(), CallError> {
        self.delete(at, deadline).await
    }

    async fn test_connection(&self, at: &ConnectionRef, deadline: Instant) -> Result<bool, CallError> {
        self.test(at, deadline).await
    }

    async fn list_tables(&self, at: &ConnectionRef, deadline: Instant) -> Result<Vec<Table>, CallError> {
        self.tables(at, deadline).await
    }

    async fn list_columns(
        &self,
        at: &ConnectionRef,
        table: &TablePath,
        deadline: Instant,
    ) -> Result<Vec<Column>, CallError> {
        self.columns(at, table, deadline).await
    }

    async fn spec_drift(&self, sandbox: &SandboxName, deadline: Instant) -> Result<Vec<String>, CallError> {
        self.drift(sandbox, deadline).await
    }

    fn retry_in(&self, attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration> {
        // Added, so that those who were asked to wait for the same time do not come back together.
        let wait = asked.unwrap_or_default() + backoff::backoff(attempt);
        if Instant::now() + wait >= deadline {
            return None;
        }
        if !self.budget.withdraw() {
            self.attempts.metrics.retries_refused.inc();
            return None;
        }
        Some(wait)
    }
}
