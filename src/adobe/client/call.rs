//! Sends requests and reads their replies: a [`Call`] with retries, and a [`Post`], which creates something, once.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, header};
use reqwest::Body;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    AdobeClient, JSON, Route,
    deadline_body::{DeadlineBody, Fate},
    unavailable,
};
use crate::{
    adobe::{
        CallError,
        answer::classify::Asked,
        resilience::{Permit, pause},
    },
    domain::{Etag, Progress, SandboxName, UpstreamWait},
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
    /// The media type to reply with, other than JSON.
    pub(crate) accept: Option<&'static str>,
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
        Self {
            route,
            sandbox,
            id: None,
            query,
            accept: None,
            if_match: None,
            body: None,
            secrets,
            read: Box::new(read),
        }
    }
}

/// A creation, whose reply is read as a `T`.
pub(crate) struct Post<'a, T> {
    pub(crate) route: &'static Route,
    pub(crate) sandbox: &'a SandboxName,
    pub(crate) body: Bytes,
    /// The secrets in the body, which are removed from the reply.
    pub(crate) secrets: &'a [&'a str],
    pub(crate) read: fn(&[u8]) -> Result<T, Cause>,
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
        let _wait = UpstreamWait::begin();
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
        let mut attempt = self.attempts.begin(&call.route.kind, sent_before);
        let mut request = self.request(call.route, call.id, call.sandbox, permit, &attempt);
        if !call.query.is_empty() {
            let url = request.url_mut();
            url.query_pairs_mut().extend_pairs(&call.query);
            // A space is `%20` to every server, and `+` only to one that reads queries as forms.
            let query = url.query().map(|query| query.replace('+', "%20"));
            url.set_query(query.as_deref());
        }
        let is_creation = call.route.asked == Asked::CreatePart;
        let timeout = if is_creation { self.timeouts.create } else { self.timeouts.attempt };
        *request.timeout_mut() = Some(timeout);
        if let Some(accept) = call.accept {
            request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
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

    /// Sends a creation once, and only if its first byte leaves before `send_by`. `progress` reports from when
    /// on the object may exist.
    pub(crate) async fn post<T>(
        &self,
        post: Post<'_, T>,
        permit: &Permit,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<T, CallError> {
        let _wait = UpstreamWait::begin();
        // Another call may have been throttled since the permit was issued.
        self.state.resilience.check_throttle()?;
        self.state.resilience.deposit();
        let route = post.route;
        let outcome = self.send_once(post, permit, send_by, progress).await;
        self.note(route, permit, &outcome);
        match &outcome {
            Ok(_) | Err(CallError::Unreachable(_)) => {}
            Err(error) => progress.set_may_exist(error.may_have_arrived()),
        }
        if let Err(CallError::Unrecognized { problem, .. }) = &outcome {
            // The caller may only read that the deadline was exceeded during the search.
            tracing::warn!(reply = %problem, "the reply to a creation is not Adobe's");
        }
        outcome
    }

    async fn send_once<T>(
        &self,
        post: Post<'_, T>,
        permit: &Permit,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<T, CallError> {
        let Post { route, sandbox, body, secrets, read } = post;
        let (body, guard) = DeadlineBody::new(body, send_by, Arc::clone(progress));
        let mut attempt = self.attempts.begin(&route.kind, progress.sent_before());
        let response = {
            let mut request = self.request(route, None, sandbox, permit, &attempt);
            request.headers_mut().insert(header::CONTENT_TYPE, JSON);
            *request.timeout_mut() = Some(self.timeouts.create);
            *request.body_mut() = Some(Body::wrap(body));
            self.http.execute(request)
        };
        let response = response.await;
        let fate = guard.finish();
        if response.is_ok() || fate == Fate::Sent {
            progress.sent();
        }
        match response {
            Ok(response) => self.receive(route, permit, secrets, response, &mut attempt, read).await,
            Err(error) => {
                attempt.failed(&error);
                Err(match fate {
                    Fate::TooLate => CallError::TooLate,
                    Fate::Waiting | Fate::Withdrawn => {
                        CallError::Unreachable(attempt.located(without_url(error)))
                    }
                    Fate::Sent => unavailable(None, attempt.located(without_url(error))),
                })
            }
        }
    }
}
