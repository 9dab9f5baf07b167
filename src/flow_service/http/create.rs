//! `POST /connections`: the one request that must not be repeated blindly.

use std::sync::Arc;

use http::{Method, header};
use reqwest::{Body, Response};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::{
    CONNECTIONS, HttpFlowService, JSON, Pass, answer,
    answer::ErrorAnswer,
    timely_body::{Fate, TimelyBody},
};
use crate::{
    domain::{CreatedConnection, NewConnection, Progress, RequestId, Stage, reference::stored_description},
    flow_service::{
        Cause, CreateError,
        attempt::Attempt,
        breaker::Verdict,
        classify::{Asked, Meaning},
        upstream_client::{read_body, without_url},
        wire,
    },
};

impl HttpFlowService {
    pub(super) async fn create(
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
        if let Some(verdict) = verdict(&outcome) {
            pass.permit.judge(verdict);
        }
        match &outcome {
            Ok(_) | Err(CreateError::Unreachable(_)) => {}
            Err(CreateError::OutcomeUnknown { .. }) => progress.set_may_exist(true),
            Err(
                CreateError::Token(_)
                | CreateError::BreakerOpen { .. }
                | CreateError::TooLate
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
                pass.token.accepted();
                attempt.answered(&response);
                created(response, &secrets, &mut attempt).await
            }
            Ok(response) => {
                attempt.answered(&response);
                let answer = answer::read_error(response, Asked::Create, &secrets).await;
                attempt.complete();
                attempt.is_called(answer.problem.request_id.as_deref());
                Err(self.not_created(pass, answer))
            }
            Err(error) => {
                attempt.failed(&error);
                Err(match fate {
                    Fate::TooLate => CreateError::TooLate,
                    Fate::Waiting | Fate::Withdrawn => CreateError::Unreachable(without_url(error)),
                    Fate::Sent => CreateError::OutcomeUnknown { problem: None, cause: without_url(error) },
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
            Meaning::Refused(refusal) => CreateError::Refused { refusal, problem },
            Meaning::Throttled => {
                self.gate.close(retry_after);
                CreateError::Throttled { retry_after, problem: Some(problem) }
            }
            Meaning::Unknown => {
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
    let problem = answer::without_body(&response, secrets);
    attempt.is_called(problem.request_id.as_deref());
    let unusable = |cause: Cause| CreateError::OutcomeUnknown { problem: Some(problem.clone()), cause };
    let body = read_body(response, answer::MAX_SHORT).await.map_err(|cause| {
        attempt.failed(&*cause);
        unusable(cause)
    })?;
    attempt.complete();
    wire::read_created(&body).map_err(unusable)
}

/// What a creation says about the Flow Service; a throttle says neither, nor does what was not sent
/// for this service's own reasons, nor what a proxy may have refused.
fn verdict(outcome: &Result<CreatedConnection, CreateError>) -> Option<Verdict> {
    match outcome {
        Ok(_) | Err(CreateError::TokenRefused { .. } | CreateError::Refused { .. }) => Some(Verdict::Works),
        Err(CreateError::OutcomeUnknown { problem: Some(problem), .. }) if problem.is_refusal() => None,
        Err(CreateError::Unreachable(_) | CreateError::OutcomeUnknown { .. }) => Some(Verdict::Fails),
        Err(
            CreateError::Token(_)
            | CreateError::BreakerOpen { .. }
            | CreateError::TooLate
            | CreateError::Throttled { .. },
        ) => None,
    }
}
