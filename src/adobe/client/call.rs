//! Sends a request that may be retried, and reads its reply: everything but a creation.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, header};
use tokio::time::{Instant, sleep, timeout_at};

use super::{AdobeClient, JSON, Route, unavailable};
use crate::{
    adobe::{
        CallError,
        answer::classify::Asked,
        resilience::{Permit, pause},
    },
    domain::{Etag, SandboxName},
    error::Cause,
    http_client::without_url,
};

const MOST_ATTEMPTS: u32 = 3;

/// Reads the body of a success.
type Read<'a, T> = Box<dyn Fn(&[u8]) -> Result<T, Cause> + Send + Sync + 'a>;

/// One request, whose reply is read as a `T`.
pub(crate) struct Call<'a, T> {
    pub(crate) route: &'static Route,
    pub(crate) sandbox: &'a SandboxName,
    /// Takes the place of `{id}` in the route's template.
    pub(crate) id: Option<&'a str>,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) if_match: Option<&'a Etag>,
    pub(crate) body: Option<Bytes>,
    /// The secrets in the body, which are removed from the reply.
    pub(crate) secrets: Vec<&'a str>,
    pub(crate) read: Read<'a, T>,
}

impl<'a, T> Call<'a, T> {
    pub(crate) fn new(
        route: &'static Route,
        sandbox: &'a SandboxName,
        read: impl Fn(&[u8]) -> Result<T, Cause> + Send + Sync + 'a,
    ) -> Self {
        let (query, secrets) = (Vec::new(), Vec::new());
        Self { route, sandbox, id: None, query, if_match: None, body: None, secrets, read: Box::new(read) }
    }
}

impl AdobeClient {
    /// Sends a request and reads its reply, with retries until `deadline`. A request that may have changed
    /// something is not retried. The future is boxed, so that a caller of several needs no space for each.
    pub(crate) fn call<'a, T: Send + 'a>(
        &'a self,
        call: Call<'a, T>,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = Result<T, CallError>> + Send + 'a>> {
        Box::pin(self.retry(call, deadline))
    }

    async fn retry<T>(&self, call: Call<'_, T>, deadline: Instant) -> Result<T, CallError> {
        let is_read = matches!(call.route.asked, Asked::Read | Asked::ReadSource);
        let (mut attempt, mut sent, mut is_token_fresh) = (1, 0, false);
        loop {
            let error = match self.attempt(&call, deadline, &mut sent).await {
                Err(CallError::TokenRefused { .. }) if !is_token_fresh => {
                    is_token_fresh = true;
                    continue;
                }
                Err(error) if attempt < MOST_ATTEMPTS && (is_read || !error.may_have_arrived()) => error,
                outcome => return outcome,
            };
            let Some(wait) = self.wait(&call, &error, attempt, deadline) else { return Err(error) };
            tracing::debug!(attempt, wait = %format_args!("{wait:.3?}"), %error, "a request is retried");
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// The time to wait before a retry; `None` if there is none. HubSpot is asked again once, without the retry
    /// budget: a source in trouble must not exhaust it.
    fn wait<T>(
        &self,
        call: &Call<'_, T>,
        error: &CallError,
        attempt: u32,
        deadline: Instant,
    ) -> Option<Duration> {
        let asked = Some(error.retry_after()?);
        if call.route.asked != Asked::ReadSource && error.is_retryable() {
            self.state.resilience.retry_in(attempt, asked, deadline)
        } else if attempt == 1 {
            pause(attempt, asked, deadline)
        } else {
            None
        }
    }

    async fn attempt<T>(
        &self,
        call: &Call<'_, T>,
        deadline: Instant,
        sent: &mut u32,
    ) -> Result<T, CallError> {
        let permit = self.state.resilience.permit(deadline).await?;
        self.state.resilience.deposit();
        let Ok(outcome) = timeout_at(deadline, self.send(call, &permit, *sent)).await else {
            // An impatient caller says nothing about the service: no verdict.
            return Err(unavailable(None, "the deadline was exceeded".into()));
        };
        if !matches!(outcome, Err(CallError::Unreachable(_))) {
            *sent += 1;
        }
        self.note(call.route, &permit, &outcome);
        outcome
    }

    async fn send<T>(&self, call: &Call<'_, T>, permit: &Permit, sent_before: u32) -> Result<T, CallError> {
        let Route { method, template, .. } = call.route;
        let mut attempt = self.attempts.begin(call.route, sent_before);
        let mut url = self.url(template, call.id);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
            // A space is `%20` to every server, and `+` only to one that reads queries as forms.
            let query = url.query().map(|query| query.replace('+', "%20"));
            url.set_query(query.as_deref());
        }
        let mut request = self.request(method, url, call.sandbox, permit, &attempt);
        *request.timeout_mut() = Some(self.timeouts.attempt);
        if let Some(etag) = call.if_match {
            let etag = HeaderValue::from_str(etag.as_str()).expect("an etag is visible ASCII");
            request.headers_mut().insert(header::IF_MATCH, etag);
        }
        if let Some(body) = &call.body {
            request.headers_mut().insert(header::CONTENT_TYPE, JSON);
            *request.body_mut() = Some(body.clone().into());
        }
        let response = self.http.execute(request).await.map_err(|error| {
            attempt.failed(&error);
            let is_sent = !error.is_connect();
            let cause = attempt.located(without_url(error));
            if is_sent { unavailable(None, cause) } else { CallError::Unreachable(cause) }
        })?;
        self.receive(call.route, permit, &call.secrets, response, &mut attempt, &call.read).await
    }
}
