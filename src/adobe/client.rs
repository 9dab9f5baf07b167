//! Calls one service of Adobe over HTTP, with what its requests share.

pub(super) mod attempt;
mod body;
mod call;
mod deadline_body;
mod own_requests;
mod post;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Client, Request, Url};
use secrecy::ExposeSecret as _;

use self::{
    attempt::{Attempt, Attempts},
    own_requests::OwnRequests,
};
pub(super) use self::{body::json, call::Call, post::Post};
use super::{
    CallError, TokenSource,
    answer::{
        classify::{Asked, Meaning},
        problem::Refusal,
        reply::ErrorReply,
    },
    resilience::{Permit, Resilience, breaker::Breaker, breaker::Verdict, throttle::ThrottleGate},
};
use crate::{domain::SandboxName, error::Cause, metrics::UpstreamMetrics};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ORG_ID: HeaderName = HeaderName::from_static("x-gw-ims-org-id");
const SANDBOX_NAME: HeaderName = HeaderName::from_static("x-sandbox-name");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The number of headers that a request can have.
const MOST_HEADERS: usize = 12;
/// The code of the gateway for too many requests.
const GATEWAY_THROTTLES: &str = "429050";

/// A kind of request.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// The path below the base URL; `{id}` stands for a segment that varies.
    pub(super) template: &'static str,
    /// The status of a success.
    pub(super) success: StatusCode,
    pub(super) asked: Asked,
    /// The fields of a success. A success with none of them is not Adobe's.
    pub(super) fields: &'static [&'static str],
}

impl Route {
    pub(super) const fn create(template: &'static str, fields: &'static [&'static str]) -> Self {
        Self { method: Method::POST, template, success: StatusCode::CREATED, asked: Asked::Create, fields }
    }

    pub(super) const fn read(template: &'static str, fields: &'static [&'static str]) -> Self {
        Self { method: Method::GET, template, success: StatusCode::OK, asked: Asked::Read, fields }
    }

    /// Reads what the source of a connection has.
    pub(super) const fn read_source(template: &'static str, fields: &'static [&'static str]) -> Self {
        Self { method: Method::GET, template, success: StatusCode::OK, asked: Asked::ReadSource, fields }
    }

    pub(super) const fn change(
        method: Method,
        template: &'static str,
        success: StatusCode,
        fields: &'static [&'static str],
    ) -> Self {
        Self { method, template, success, asked: Asked::Change, fields }
    }

    /// Whether it is the same kind of request.
    fn is(&self, other: &Self) -> bool {
        self.method == other.method && self.template == other.template
    }
}

/// A client of one service.
#[derive(Debug)]
pub(super) struct AdobeClient {
    http: Client,
    base: Url,
    /// The headers that are the same for every request.
    headers: HeaderMap,
    timeouts: Timeouts,
    resilience: Resilience,
    own_requests: Arc<OwnRequests>,
    attempts: Attempts,
}

/// The organization and the client ID of its credential.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Sent as `x-gw-ims-org-id`.
    pub org_id: &'a str,
    /// Sent as `x-api-key`.
    pub client_id: &'a str,
}

/// How long a request may take, from its connection to the end of its reply.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A creation.
    pub create: Duration,
    /// One attempt of anything else.
    pub attempt: Duration,
}

/// What prevents requests from being sent, or from being accepted.
#[derive(Clone, Debug)]
pub struct UpstreamState {
    gate: Arc<ThrottleGate>,
    breaker: Arc<Breaker>,
    own_requests: Arc<OwnRequests>,
}

impl UpstreamState {
    /// Whether requests wait because Adobe asked for a pause.
    pub fn is_gate_closed(&self) -> bool {
        self.gate.closed_for().is_some()
    }

    /// Whether the circuit breaker rejects requests.
    pub fn is_breaker_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// Whether Adobe refuses what this service itself writes into some kind of request.
    pub fn are_own_requests_refused(&self) -> bool {
        self.own_requests.are_refused()
    }
}

impl AdobeClient {
    /// # Errors
    /// The identity cannot be sent in headers.
    pub(super) fn new(
        http: Client,
        base: &Url,
        identity: Identity<'_>,
        tokens: TokenSource,
        timeouts: Timeouts,
    ) -> Result<Self, Cause> {
        let headers = HeaderMap::from_iter([
            (header::ACCEPT, JSON),
            (API_KEY, HeaderValue::try_from(identity.client_id)?),
            (ORG_ID, HeaderValue::try_from(identity.org_id)?),
        ]);
        let metrics = UpstreamMetrics::default();
        Ok(Self {
            http,
            base: base.clone(),
            headers,
            timeouts,
            resilience: Resilience::new(tokens, &metrics),
            own_requests: Arc::default(),
            attempts: Attempts::at(base, metrics),
        })
    }

    /// Counts these kinds of requests, which show in the metrics before the first one is sent.
    #[must_use]
    pub(super) fn counted_by(mut self, metrics: UpstreamMetrics, routes: &[&[&'static Route]]) -> Self {
        self.resilience = Resilience::new(self.resilience.tokens, &metrics);
        self.attempts = Attempts::at(&self.base, metrics);
        for route in routes.iter().copied().flatten() {
            self.attempts.expect(route);
            self.attempts.expect_retries(route);
        }
        self
    }

    pub(super) fn state(&self) -> UpstreamState {
        UpstreamState {
            gate: Arc::clone(&self.resilience.gate),
            breaker: Arc::clone(&self.resilience.breaker),
            own_requests: Arc::clone(&self.own_requests),
        }
    }

    pub(super) fn resilience(&self) -> &Resilience {
        &self.resilience
    }

    /// The URL of a template.
    pub(super) fn url(&self, template: &str, id: Option<&str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            let segments = template.split('/').skip(1);
            path.pop_if_empty()
                .extend(segments.map(|part| if part == "{id}" { id.unwrap_or_default() } else { part }));
        }
        url
    }

    /// A request with the headers that all requests have.
    fn request(
        &self,
        method: &Method,
        url: Url,
        sandbox: &SandboxName,
        permit: &Permit,
        attempt: &Attempt<'_>,
    ) -> Request {
        let mut request = Request::new(method.clone(), url);
        let headers = request.headers_mut();
        headers.reserve(MOST_HEADERS);
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        let sandbox = HeaderValue::from_str(sandbox.as_str()).expect("a sandbox name is visible ASCII");
        headers.insert(SANDBOX_NAME, sandbox);
        headers.insert(header::AUTHORIZATION, permit.token.authorization());
        attempt.propagate(headers);
        request
    }

    /// The error that a reply other than a success means. It may take the token out of use or close the throttle
    /// gate.
    fn failure(&self, route: &'static Route, permit: &Permit, reply: ErrorReply) -> CallError {
        let ErrorReply { meaning, retry_after, problem } = reply;
        match meaning {
            Meaning::TokenRefused => {
                self.resilience.tokens.refuse(&permit.token);
                CallError::TokenRefused { problem }
            }
            Meaning::Refused(refusal) => {
                if refusal == Refusal::OwnRequest {
                    self.own_requests.refused(route, &problem);
                }
                CallError::Refused { refusal, problem }
            }
            Meaning::Throttled => {
                // The limits of HubSpot concern one connection only.
                let is_adobes = route.asked != Asked::ReadSource && !problem.is_of_source();
                if is_adobes || problem.code.as_deref() == Some(GATEWAY_THROTTLES) {
                    self.resilience.gate.close(retry_after);
                }
                CallError::Throttled { retry_after, problem: Some(problem) }
            }
            Meaning::Unknown => {
                let cause = format!("the reply leaves the outcome open: {problem}").into();
                CallError::Unavailable { retry_after, problem: Some(Box::new(problem)), cause }
            }
            // The token stays in use and the gate open: the reply is not known to be Adobe's, and a firewall
            // that limits or blocks one path would stop all others.
            Meaning::Unrecognized => CallError::Unrecognized { retry_after, problem: Box::new(problem) },
        }
    }

    /// Notes what the outcome of an attempt says about the service, the token and this kind of request.
    fn note<T>(&self, route: &'static Route, permit: &Permit, outcome: &Result<T, CallError>) {
        if outcome.is_ok() {
            permit.token.accepted();
            self.own_requests.accepted(route);
        }
        if let Some(verdict) = verdict(outcome, route.asked) {
            permit.judge(verdict);
        }
    }
}

/// The secrets that were sent with a request: its own and the access token.
fn sent_secrets<'a>(secrets: &[&'a str], permit: &'a Permit) -> Vec<&'a str> {
    [secrets, &[permit.token.expose_secret()]].concat()
}

fn unavailable(cause: Cause) -> CallError {
    CallError::Unavailable { retry_after: None, problem: None, cause }
}

/// What an attempt says about the service. Neither a throttle says anything, nor a success that cannot be read,
/// nor, if HubSpot was asked, a failure, which may be HubSpot's: a slow account would open the circuit
/// breaker for all.
fn verdict<T>(outcome: &Result<T, CallError>, asked: Asked) -> Option<Verdict> {
    let error = match outcome {
        Ok(_) => return Some(Verdict::Works),
        Err(error) => error,
    };
    let fails = (asked != Asked::ReadSource).then_some(Verdict::Fails);
    match error {
        CallError::Refused { problem, .. } if problem.is_of_source() => None,
        CallError::Refused { .. } | CallError::TokenRefused { .. } => Some(Verdict::Works),
        CallError::Unreachable(_) => Some(Verdict::Fails),
        CallError::Unavailable { problem: None, .. } => fails,
        CallError::Unavailable { problem: Some(problem), .. } | CallError::Unrecognized { problem, .. } => {
            fails.filter(|_| problem.is_failure())
        }
        CallError::Token(_)
        | CallError::NoTokenInTime
        | CallError::TooLate
        | CallError::Stopping
        | CallError::BreakerOpen { .. }
        | CallError::Throttled { .. }
        | CallError::OtherSource
        | CallError::Undecodable(_) => None,
    }
}
