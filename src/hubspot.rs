//! Asks HubSpot whether credentials work, before they are used.
//!
//! The only request is the introspection of a token. It reads, and changes nothing at HubSpot. The credentials are in
//! its body, never in a URL, and a redirect is not followed. HubSpot gets nothing else: no trace context, no name.
//!
//! What HubSpot says is worth little time: a request is sent once, and both tokens together take three seconds at most.
//! Whatever is no clear reply is [`NoAnswer`], which is neither a yes nor a no.

mod answer;
mod form;
mod pace;
pub(crate) mod reply;
pub(crate) mod scopes;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Method, StatusCode, header};
use prometheus_client::metrics::counter::Counter;
use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret as _;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

pub use self::answer::{Answer, ClientAnswer, Introspection, NoAnswer, TokenInfo, TokenKind};
use self::{form::form, pace::Pace, reply::Head};
use crate::{
    domain::{HubSpotCredentials, UpstreamWait},
    error::{Cause, error_chain},
    http_client::{read_body, without_url},
    metrics::UpstreamMetrics,
    upstream::{
        attempt::{Attempt, Attempts, RequestKind},
        breaker::{Breaker, Verdict},
        media_type::media_type,
        retry_after::retry_after,
        throttle::ThrottleGate,
    },
};

/// The longest that both introspections take, from the wait for permission to the end of the replies.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A request that had less time, because of its caller or of the requests before it, says nothing about HubSpot.
const FAIR: Duration = Duration::from_secs(2);
/// More requests would be queued by HubSpot, too.
const MOST_AT_ONCE: usize = 16;
/// A reply has some 500 bytes, and longer ones the scopes.
const MAX_BODY: usize = 64 * 1024;
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// The start of the names of headers that only HubSpot sends.
const OF_HUBSPOT: &str = "x-hubspot-";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

static INTROSPECT: RequestKind = RequestKind {
    method: Method::POST,
    template: "/oauth/2026-03/token/introspect",
    success: StatusCode::OK,
};

/// The client of HubSpot.
pub struct HubSpot {
    client: Client,
    url: Url,
    attempts: Attempts,
    gate: ThrottleGate,
    breaker: Arc<Breaker>,
    at_once: Semaphore,
    pace: Pace,
}

impl HubSpot {
    /// The label of its metrics.
    pub(crate) const LABEL: &str = "hubspot";

    /// A client of the HubSpot at this base URL.
    pub fn new(client: Client, base: &Url, metrics: UpstreamMetrics) -> Self {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(INTROSPECT.template.split('/').skip(1));
        }
        let mut attempts = Attempts::at(base, metrics);
        attempts.expect(&INTROSPECT);
        Self {
            client,
            url,
            attempts,
            gate: ThrottleGate::default(),
            breaker: Arc::new(Breaker::of("HubSpot", Counter::default())),
            at_once: Semaphore::new(MOST_AT_ONCE),
            pace: Pace::default(),
        }
    }

    /// Whether requests are not sent because HubSpot asked for a pause.
    pub(crate) fn is_gate_closed(&self) -> bool {
        self.gate.closed_for().is_some()
    }

    /// Whether the circuit breaker rejects requests.
    pub(crate) fn is_breaker_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// Asks about both tokens at once, until the timeout or this deadline, whichever is earlier.
    pub async fn introspect(&self, credentials: &HubSpotCredentials, deadline: Instant) -> Introspection {
        let _wait = UpstreamWait::begin();
        let deadline = deadline.min(Instant::now() + TIMEOUT);
        // One for both: a breaker that tries whether HubSpot works again has only one.
        let Ok(permit) = self.breaker.admit() else {
            let (refresh_token, access_token) = (Err(NoAnswer::BreakerOpen), Err(NoAnswer::BreakerOpen));
            return Introspection { refresh_token, access_token };
        };
        let ((refresh_token, of_refresh), (access_token, of_access)) = tokio::join!(
            self.ask(credentials, TokenKind::Refresh, deadline),
            self.ask(credentials, TokenKind::Access, deadline),
        );
        let verdicts = [of_refresh, of_access];
        let known =
            [Verdict::Works, Verdict::Fails].into_iter().find(|known| verdicts.contains(&Some(*known)));
        if let Some(verdict) = known {
            permit.judge(verdict);
        }
        Introspection { refresh_token, access_token }
    }

    /// Asks about a token. With what this says about HubSpot.
    async fn ask(
        &self,
        credentials: &HubSpotCredentials,
        token: TokenKind,
        deadline: Instant,
    ) -> (Result<Answer, NoAnswer>, Option<Verdict>) {
        let (_permit, time) = match self.permission(deadline).await {
            Ok(permission) => permission,
            Err(error) => return (Err(error), None),
        };
        let answer = self.send(credentials, token, time).await;
        if let Err(error) = &answer {
            let error = error_chain(error);
            tracing::warn!(error, token = token.name(), "HubSpot did not say whether credentials work");
        }
        let verdict = verdict(&answer, time >= FAIR);
        (answer, verdict)
    }

    /// Waits until a request may be sent. With the time that is left for it.
    async fn permission(&self, deadline: Instant) -> Result<(SemaphorePermit<'_>, Duration), NoAnswer> {
        self.check_gate()?;
        // It is never closed.
        let Ok(Ok(permit)) = timeout_at(deadline, self.at_once.acquire()).await else {
            return Err(NoAnswer::Busy);
        };
        if !self.pace.wait(deadline).await {
            return Err(NoAnswer::Busy);
        }
        self.check_gate()?;
        Ok((permit, deadline.saturating_duration_since(Instant::now())))
    }

    fn check_gate(&self) -> Result<(), NoAnswer> {
        if self.is_gate_closed() { Err(NoAnswer::Throttled) } else { Ok(()) }
    }

    async fn send(
        &self,
        credentials: &HubSpotCredentials,
        token: TokenKind,
        time: Duration,
    ) -> Result<Answer, NoAnswer> {
        let mut attempt = self.attempts.begin(&INTROSPECT, 0);
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, FORM)
            .header(header::ACCEPT, JSON)
            .timeout(time)
            .body(form(credentials, token));
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                attempt.failed(&error);
                let is_late = error.is_timeout();
                return Err(silence(is_late, attempt.located(without_url(error))));
            }
        };
        attempt.replied(&response);
        self.receive(response, credentials, &mut attempt).await
    }

    async fn receive(
        &self,
        response: Response,
        credentials: &HubSpotCredentials,
        attempt: &mut Attempt<'_>,
    ) -> Result<Answer, NoAnswer> {
        let secrets = credentials.all().map(|credential| credential.expose_secret());
        let headers = response.headers();
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| media_type(value, &secrets));
        let is_hubspots = headers.keys().any(|name| name.as_str().starts_with(OF_HUBSPOT));
        let head = Head { status: response.status().as_u16(), content_type, is_hubspots };
        let pause = retry_after(headers, SystemTime::now());
        match read_body(response, MAX_BODY).await {
            Ok(body) => {
                attempt.complete();
                let answer = reply::read(&head, &body, credentials);
                if matches!(answer, Err(NoAnswer::Throttled)) {
                    self.gate.close(pause);
                }
                answer
            }
            Err(cause) => {
                attempt.failed(&*cause);
                match cause.downcast_ref().map(reqwest::Error::is_timeout) {
                    Some(is_late) => Err(silence(is_late, attempt.located(cause))),
                    // Its body is too long.
                    None => Err(head.unrecognized()),
                }
            }
        }
    }
}

/// What an answer says about HubSpot.
fn verdict(answer: &Result<Answer, NoAnswer>, had_time: bool) -> Option<Verdict> {
    match answer {
        Ok(_) | Err(NoAnswer::Unclear { .. }) => Some(Verdict::Works),
        Err(NoAnswer::TimedOut(_)) => had_time.then_some(Verdict::Fails),
        Err(NoAnswer::Unreachable(_) | NoAnswer::Fails { .. }) => Some(Verdict::Fails),
        // What replies in HubSpot's place may also be about this request alone.
        Err(NoAnswer::Unrecognized { status, .. }) => (*status >= 500).then_some(Verdict::Fails),
        Err(NoAnswer::Throttled | NoAnswer::Busy | NoAnswer::BreakerOpen) => None,
    }
}

fn silence(is_late: bool, cause: Cause) -> NoAnswer {
    if is_late { NoAnswer::TimedOut(cause) } else { NoAnswer::Unreachable(cause) }
}

impl fmt::Debug for HubSpot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSpot").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
