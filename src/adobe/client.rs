//! Calls one service of Adobe over HTTP, with what its requests share.

mod body;
mod call;
mod deadline_body;
mod own_requests;
mod receive;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Client, Request, Url};

use self::own_requests::OwnRequests;
pub(super) use self::{
    body::json,
    call::{Call, Post},
};
use super::{
    AskedService, CallError, Problem, TokenSource,
    answer::classify::Asked,
    resilience::{Permit, Resilience},
};
use crate::{
    domain::SandboxName,
    error::Cause,
    metrics::UpstreamMetrics,
    upstream::{
        attempt::{Attempt, Attempts, RequestKind},
        breaker::Verdict,
    },
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ORG_ID: HeaderName = HeaderName::from_static("x-gw-ims-org-id");
const SANDBOX_NAME: HeaderName = HeaderName::from_static("x-sandbox-name");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The number of headers that a request can have.
const MOST_HEADERS: usize = 12;

/// A kind of request.
#[derive(Debug)]
pub(crate) struct Route {
    pub(super) kind: RequestKind,
    pub(super) asked: Asked,
    /// The fields of a success. A success with none of them is not Adobe's.
    pub(super) fields: &'static [&'static str],
}

impl Route {
    pub(super) const fn create(template: &'static str, fields: &'static [&'static str]) -> Self {
        Self::new(Method::POST, template, StatusCode::CREATED, Asked::Create, fields)
    }

    pub(super) const fn read(template: &'static str, fields: &'static [&'static str]) -> Self {
        Self::new(Method::GET, template, StatusCode::OK, Asked::Read, fields)
    }

    /// Creates something that names other things: it can be refused for them.
    pub(super) const fn create_part(template: &'static str, fields: &'static [&'static str]) -> Self {
        Self::new(Method::POST, template, StatusCode::CREATED, Asked::CreatePart, fields)
    }

    /// Reads with a body, such as one to validate.
    pub(super) const fn ask(template: &'static str, fields: &'static [&'static str]) -> Self {
        Self::new(Method::POST, template, StatusCode::OK, Asked::Read, fields)
    }

    /// Reads what the source of a connection has.
    pub(super) const fn read_source(template: &'static str, fields: &'static [&'static str]) -> Self {
        Self::new(Method::GET, template, StatusCode::OK, Asked::ReadSource, fields)
    }

    pub(super) const fn change(
        method: Method,
        template: &'static str,
        success: StatusCode,
        fields: &'static [&'static str],
    ) -> Self {
        Self::new(method, template, success, Asked::Change, fields)
    }

    pub(super) const fn new(
        method: Method,
        template: &'static str,
        success: StatusCode,
        asked: Asked,
        fields: &'static [&'static str],
    ) -> Self {
        Self { kind: RequestKind { method, template, success }, asked, fields }
    }
}

/// A client of one service.
#[derive(Debug)]
pub(super) struct AdobeClient {
    http: Client,
    base: Url,
    service: AskedService,
    /// The headers that are the same for every request.
    headers: HeaderMap,
    timeouts: Timeouts,
    pub(super) state: UpstreamState,
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

/// What prevents requests to one service from being sent, or from being accepted.
#[derive(Clone, Debug)]
pub struct UpstreamState {
    service: AskedService,
    pub(super) resilience: Arc<Resilience>,
    own_requests: Arc<OwnRequests>,
}

impl UpstreamState {
    pub fn service(&self) -> AskedService {
        self.service
    }

    /// Whether requests wait because Adobe asked for a pause.
    pub fn is_gate_closed(&self) -> bool {
        self.resilience.check_throttle().is_err()
    }

    /// Whether the circuit breaker rejects requests.
    pub fn is_breaker_open(&self) -> bool {
        self.resilience.breaker.is_open()
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
        (service, base): (AskedService, &Url),
        identity: Identity<'_>,
        tokens: TokenSource,
        timeouts: Timeouts,
        metrics: UpstreamMetrics,
    ) -> Result<Self, Cause> {
        let headers = HeaderMap::from_iter([
            (header::ACCEPT, JSON),
            (API_KEY, HeaderValue::try_from(identity.client_id)?),
            (ORG_ID, HeaderValue::try_from(identity.org_id)?),
        ]);
        Ok(Self {
            http,
            base: base.clone(),
            service,
            headers,
            timeouts,
            state: UpstreamState {
                service,
                resilience: Arc::new(Resilience::new(service, tokens, &metrics)),
                own_requests: Arc::new(OwnRequests::of(service)),
            },
            attempts: Attempts::at(base, metrics),
        })
    }

    /// Makes these kinds of requests show in the metrics before the first one is sent.
    pub(super) fn expect(&mut self, routes: &[&[&'static Route]]) {
        for route in routes.iter().copied().flatten() {
            self.attempts.expect(&route.kind);
            self.attempts.expect_retries(&route.kind);
        }
    }

    /// A request with the headers that all requests have.
    fn request(
        &self,
        route: &Route,
        id: Option<&str>,
        sandbox: &SandboxName,
        permit: &Permit,
        attempt: &Attempt<'_>,
    ) -> Request {
        let url = below(&self.base, route.kind.template, id);
        let mut request = Request::new(route.kind.method.clone(), url);
        let headers = request.headers_mut();
        headers.reserve(MOST_HEADERS);
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        let sandbox = HeaderValue::from_str(sandbox.as_str()).expect("a sandbox name is visible ASCII");
        headers.insert(SANDBOX_NAME, sandbox);
        headers.insert(header::AUTHORIZATION, permit.token.authorization());
        attempt.propagate(headers);
        request
    }

    /// Notes what the outcome of an attempt says about the service, the token and this kind of request.
    fn note<T>(&self, route: &'static Route, permit: &Permit, outcome: &Result<T, CallError>) {
        if outcome.is_ok() {
            permit.token.accepted();
            self.state.own_requests.accepted(route);
        }
        if let Some(verdict) = verdict(outcome, route.asked) {
            permit.breaker.judge(verdict);
        }
    }
}

/// The URL of a template below a base URL.
pub(super) fn below(base: &Url, template: &str, id: Option<&str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        let segments = template.split('/').skip(1);
        let segments = segments.map(|part| if part == "{id}" { id.unwrap_or_default() } else { part });
        path.pop_if_empty().extend(segments);
    }
    url
}

fn unavailable(problem: Option<Problem>, cause: Cause) -> CallError {
    CallError::Unavailable { retry_after: None, problem: problem.map(Box::new), cause }
}

/// What an attempt says about the service. Neither a throttle says anything, nor a success that cannot be read,
/// nor, if HubSpot was asked, a failure, which may be HubSpot's: a slow account would open the circuit
/// breaker for all.
fn verdict<T>(outcome: &Result<T, CallError>, asked: Asked) -> Option<Verdict> {
    use CallError::{Refused, TokenRefused, Unavailable, Unreachable, Unrecognized};
    match outcome {
        Err(Refused { problem, .. }) if problem.is_of_source() => None,
        Ok(_) | Err(Refused { .. } | TokenRefused { .. }) => Some(Verdict::Works),
        Err(Unreachable(_)) => Some(Verdict::Fails),
        Err(error) => {
            let fails = matches!(error, Unavailable { .. } | Unrecognized { .. })
                && asked != Asked::ReadSource
                && error.problem().is_none_or(Problem::is_failure);
            fails.then_some(Verdict::Fails)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_a_path_below_the_base_url() {
        for base in ["http://adobe.test/flowservice", "http://adobe.test/flowservice/"] {
            let base = Url::parse(base).unwrap();
            let url = |template, id| below(&base, template, id).as_str().to_owned();
            assert_eq!(url("/connections", None), "http://adobe.test/flowservice/connections");
            assert_eq!(
                url("/connections/{id}/test", Some("a/b?c")),
                "http://adobe.test/flowservice/connections/a%2Fb%3Fc/test"
            );
        }
        let root = Url::parse("http://adobe.test").unwrap();
        assert_eq!(below(&root, "/flows", None).as_str(), "http://adobe.test/flows");
    }
}
