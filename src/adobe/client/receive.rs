//! Reads a reply, and classifies it if it is no usable success.

use reqwest::Response;

use super::{AdobeClient, Route, unavailable};
use crate::{
    adobe::{
        CallError, Problem,
        answer::{
            classify::{Asked, Meaning},
            problem::Refusal,
            reply::{self, ErrorReply, Head},
        },
        resilience::Permit,
    },
    error::Cause,
    http_client::read_body,
    upstream::attempt::Attempt,
};

/// A full page of connections has some 100 KiB.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// The code of the gateway for too many requests.
const GATEWAY_THROTTLES: &str = "429050";

impl AdobeClient {
    /// Reads a reply. `secrets` are those in the body of the request.
    pub(super) async fn receive<T>(
        &self,
        route: &'static Route,
        permit: &Permit,
        secrets: &[&str],
        response: Response,
        attempt: &mut Attempt<'_>,
        read: impl Fn(&[u8]) -> Result<T, Cause>,
    ) -> Result<T, CallError> {
        attempt.replied(&response);
        let secrets = || [secrets, &[permit.token.expose_secret()]].concat();
        if !response.status().is_success() {
            let reply = reply::read_error(response, self.service, route.asked, &secrets()).await;
            attempt.complete();
            attempt.set_request_id(reply.problem.request_id.as_deref());
            return Err(self.failure(route, permit, reply));
        }
        let head = Head::of(&response);
        let is_creation = matches!(route.asked, Asked::Create | Asked::CreatePart);
        // The search for secrets is worth its time only for a recorded span.
        if is_creation && attempt.is_recorded() {
            attempt.set_request_id(head.without_body(&secrets()).request_id.as_deref());
        }
        // What the Schema Registry creates comes back with all its fields.
        let max_body = if route.asked == Asked::Create { reply::MAX_SHORT } else { MAX_BODY };
        // The object of a creation exists, and the reply names the request. Of other replies only the cause counts.
        let unusable = |problem: Problem, cause| {
            if is_creation { unavailable(Some(problem), cause) } else { CallError::Undecodable(cause) }
        };
        if response.content_length().is_some_and(|length| length > max_body as u64) {
            attempt.complete();
            let cause = format!("the reply is longer than {max_body} bytes").into();
            return Err(unusable(head.without_body(&secrets()), cause));
        }
        let body = match read_body(response, max_body).await {
            Ok(body) => body,
            Err(cause) => {
                attempt.failed(&*cause);
                let problem = is_creation.then(|| head.without_body(&secrets()));
                return Err(unavailable(problem, attempt.located(cause)));
            }
        };
        attempt.complete();
        read(&body).map_err(|cause| {
            let problem = head.unreadable(&body, route.fields, &secrets());
            if problem.is_unrecognized() {
                CallError::Unrecognized { retry_after: None, problem: Box::new(problem) }
            } else {
                unusable(problem, cause)
            }
        })
    }

    /// The error that a reply other than a success means. It may take the token out of use or close the throttle
    /// gate.
    fn failure(&self, route: &'static Route, permit: &Permit, reply: ErrorReply) -> CallError {
        let ErrorReply { meaning, retry_after, problem } = reply;
        match meaning {
            Meaning::TokenRefused => {
                self.state.resilience.tokens.refuse(&permit.token);
                CallError::TokenRefused { problem }
            }
            Meaning::Refused(refusal) => {
                if refusal == Refusal::OwnRequest {
                    self.state.own_requests.refused(route, &problem);
                }
                CallError::Refused { refusal, problem }
            }
            Meaning::Throttled => {
                // The limits of HubSpot concern one connection only.
                let is_adobes = route.asked != Asked::ReadSource && !problem.is_of_source();
                if is_adobes || problem.code.as_deref() == Some(GATEWAY_THROTTLES) {
                    self.state.resilience.gate.close(retry_after);
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
}
