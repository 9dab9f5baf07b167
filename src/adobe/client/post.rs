//! Sends a `POST` that creates something: once, and never blindly again.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use reqwest::{Body, Url};
use tokio::time::Instant;

use super::{
    AdobeClient, JSON, Route,
    deadline_body::{DeadlineBody, Fate},
    unavailable,
};
use crate::{
    adobe::{CallError, resilience::Permit},
    domain::{Progress, SandboxName},
    error::Cause,
    http_client::without_url,
};

/// A creation, whose reply is read as a `T`.
pub(crate) struct Post<'a, T> {
    pub(crate) route: &'static Route,
    pub(crate) url: Url,
    pub(crate) sandbox: &'a SandboxName,
    pub(crate) body: Bytes,
    /// The secrets in the body, which are removed from the reply.
    pub(crate) secrets: &'a [&'a str],
    pub(crate) read: fn(&[u8]) -> Result<T, Cause>,
}

impl AdobeClient {
    /// Sends a creation once, and only if its first byte leaves before `send_by`. `progress` reports from when
    /// on the object may exist.
    pub(crate) async fn post<T>(
        &self,
        post: Post<'_, T>,
        permit: &Permit,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<T, CallError> {
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
        let Post { route, url, sandbox, body, secrets, read } = post;
        let (body, guard) = DeadlineBody::new(body, send_by, Arc::clone(progress));
        let mut attempt = self.attempts.begin(route, progress.sent_before());
        let response = {
            let mut request = self.request(&route.method, url, sandbox, permit, &attempt);
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
