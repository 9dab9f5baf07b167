//! `POST /connections`: the one request that must not be repeated blindly.

use std::sync::Arc;

use http::{Method, header};
use reqwest::{Body, Response};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::adobe::{
    answer::reply::{self, ErrorAnswer, Head},
    client::deadline_body::{Fate, TimelyBody},
    flow_service::{CONNECTIONS, HttpFlowService, JSON, Pass},
};
use crate::{
    adobe::{
        CreateError, Refusal,
        answer::classify::{Asked, Meaning},
        client::attempt::Attempt,
        flow_service::wire,
        resilience::breaker::Verdict,
    },
    domain::{CreatedConnection, NewConnection, Progress, RequestId, Stage, reference::stored_description},
    http_client::{read_body, without_url},
};

impl HttpFlowService {
    pub(crate) async fn create(
        &self,
        pass: &Pass,
        connection: &NewConnection,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedConnection, CreateError> {
        progress.enter(Stage::Create);
        // Another call may have been throttled since the pass was given.
        if let Some(rest) = self.gate.closed_for() {
            return Err(CreateError::Throttled { retry_after: Some(rest), problem: None });
        }
        self.budget.deposit();
        let outcome = self.post(pass, connection, reference, send_by, progress).await;
        if let Err(CreateError::OutcomeUnknown { problem: Some(problem), .. }) = &outcome
            && problem.is_unrecognized()
        {
            // The caller may only read that the deadline was exceeded with looking for it.
            tracing::warn!(reply = %problem, "the reply to a creation is not Adobe's");
        }
        if let Some(verdict) = verdict(&outcome) {
            pass.permit.judge(verdict);
        }
        match &outcome {
            Ok(_) => {
                pass.token.accepted();
                self.own_requests.accepted(&Method::POST, CONNECTIONS);
            }
            Err(CreateError::Unreachable(_)) => {}
            Err(CreateError::OutcomeUnknown { .. }) => progress.set_may_exist(true),
            Err(
                CreateError::Token(_)
                | CreateError::BreakerOpen { .. }
                | CreateError::TooLate
                | CreateError::NoTokenInTime
                | CreateError::Stopping
                | CreateError::Throttled { .. }
                | CreateError::TokenRefused { .. }
                | CreateError::Refused { .. },
            ) => progress.set_may_exist(false),
        }
        outcome
    }

    async fn post(
        &self,
        pass: &Pass,
        connection: &NewConnection,
        reference: Option<RequestId>,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedConnection, CreateError> {
        let description = stored_description(connection.description.as_ref(), reference);
        let body = wire::body(&wire::CreateConnection::new(connection, description.as_deref()));
        let (body, departure) = TimelyBody::new(body, send_by, Arc::clone(progress));
        let mut attempt = self.attempts.begin(&Method::POST, CONNECTIONS, progress.sent_before());
        let response = {
            let url = self.connections.clone();
            let mut request = self.request(Method::POST, url, &connection.sandbox, pass, &attempt);
            request.headers_mut().insert(header::CONTENT_TYPE, JSON);
            *request.timeout_mut() = Some(self.timeouts.create);
            *request.body_mut() = Some(Body::wrap(body));
            self.client.execute(request)
        };
        let response = response.await;
        let fate = departure.conclude();
        if response.is_ok() || fate == Fate::Sent {
            progress.sent();
        }
        let [client_id, client_secret, access_token, refresh_token] =
            connection.credentials.all().map(|secret| secret.expose_secret());
        let secrets = [client_id, client_secret, access_token, refresh_token, pass.token.expose_secret()];
        match response {
            Ok(response) if response.status().is_success() => {
                attempt.answered(&response);
                created(response, &secrets, &mut attempt).await
            }
            Ok(response) => {
                attempt.answered(&response);
                let answer = reply::read_error(response, Asked::Create, &secrets).await;
                attempt.complete();
                attempt.is_called(answer.problem.request_id.as_deref());
                Err(self.not_created(pass, answer))
            }
            Err(error) => {
                attempt.failed(&error);
                Err(match fate {
                    Fate::TooLate => CreateError::TooLate,
                    Fate::Waiting | Fate::Withdrawn => {
                        CreateError::Unreachable(attempt.located(without_url(error)))
                    }
                    Fate::Sent => {
                        let cause = attempt.located(without_url(error));
                        CreateError::OutcomeUnknown { problem: None, cause }
                    }
                })
            }
        }
    }

    fn not_created(&self, pass: &Pass, answer: ErrorAnswer) -> CreateError {
        let ErrorAnswer { meaning, retry_after, problem } = answer;
        match meaning {
            Meaning::TokenRefused => {
                self.tokens.refuse(&pass.token);
                CreateError::TokenRefused { problem }
            }
            Meaning::Refused(refusal) => {
                if refusal == Refusal::OwnRequest {
                    self.own_requests.refused(&Method::POST, CONNECTIONS, &problem);
                }
                CreateError::Refused { refusal, problem }
            }
            Meaning::Throttled => {
                if !problem.is_of_source() {
                    self.gate.close(retry_after);
                }
                CreateError::Throttled { retry_after, problem: Some(problem) }
            }
            // A refusal by nobody knows whom proves nothing: it may have been forwarded all the same.
            Meaning::Unknown | Meaning::Unrecognized => {
                let cause = format!("an answer that leaves it open: {problem}").into();
                CreateError::OutcomeUnknown { problem: Some(problem), cause }
            }
        }
    }
}

/// Reads a success. Without both values in it the connection exists and cannot be named.
async fn created(
    response: Response,
    secrets: &[&str],
    attempt: &mut Attempt<'_>,
) -> Result<CreatedConnection, CreateError> {
    let head = Head::of(&response);
    // The search for secrets is worth its time only where somebody gets to see the result.
    if attempt.is_recorded() {
        attempt.is_called(head.without_body(secrets).request_id.as_deref());
    }
    let body = match read_body(response, reply::MAX_SHORT).await {
        Ok(body) => body,
        Err(cause) => {
            attempt.failed(&*cause);
            let cause = attempt.located(cause);
            return Err(CreateError::OutcomeUnknown { problem: Some(head.without_body(secrets)), cause });
        }
    };
    attempt.complete();
    wire::read_created(&body).map_err(|cause| {
        let problem = head.unreadable(&body, &["id", "etag"], secrets);
        CreateError::OutcomeUnknown { problem: Some(problem), cause }
    })
}

/// What a creation says about the Flow Service; a throttle says neither, nor does what was not sent
/// for this service's own reasons, nor what a source or a proxy has replied.
fn verdict(outcome: &Result<CreatedConnection, CreateError>) -> Option<Verdict> {
    match outcome {
        Err(CreateError::Refused { problem, .. }) if problem.is_of_source() => None,
        Ok(_) | Err(CreateError::TokenRefused { .. } | CreateError::Refused { .. }) => Some(Verdict::Works),
        Err(CreateError::OutcomeUnknown { problem: Some(problem), .. }) => {
            problem.is_failure().then_some(Verdict::Fails)
        }
        Err(CreateError::Unreachable(_) | CreateError::OutcomeUnknown { problem: None, .. }) => {
            Some(Verdict::Fails)
        }
        Err(
            CreateError::Token(_)
            | CreateError::BreakerOpen { .. }
            | CreateError::TooLate
            | CreateError::NoTokenInTime
            | CreateError::Stopping
            | CreateError::Throttled { .. },
        ) => None,
    }
}
