//! `GET /connections`: one page of a sandbox's HubSpot connections. A read may be repeated freely.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, header};
use reqwest::{Response, Url};
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep, timeout_at};

use super::{HttpFlowService, NoPass, Pass, SANDBOX_NAME, answer, answer::ErrorAnswer};
use crate::{
    domain::SandboxName,
    flow_service::{
        Cause, ConnectionPage, FlowService, PageToken, Problem, ReadError, Refusal,
        breaker::Verdict,
        classify::Meaning,
        token::TokenErrorKind,
        upstream_client::{read_body, without_url},
        wire,
    },
};

/// A full page of connections is some 100 KiB.
const MAX_PAGE: usize = 4 * 1024 * 1024;
/// The largest page that Adobe's OpenAPI document for destinations allows.
const LIMIT: &str = "100";
const MOST_ATTEMPTS: u32 = 3;

/// An attempt that gave no page.
enum Failure {
    /// The access token is not accepted, a fresh one may be.
    TokenRefused(Problem),
    /// It may help to try again, after this time where one was asked for.
    Passing(ReadError, Option<Duration>),
    Lasting(ReadError),
}

impl HttpFlowService {
    pub(super) async fn list(
        &self,
        sandbox: &SandboxName,
        page: Option<&PageToken>,
        deadline: Instant,
    ) -> Result<ConnectionPage, ReadError> {
        let url = self.page_url(page);
        let mut attempt = 1;
        let mut is_token_fresh = false;
        loop {
            match self.attempt(&url, sandbox, deadline).await {
                Ok(page) => return Ok(page),
                Err(Failure::TokenRefused(_)) if !is_token_fresh => is_token_fresh = true,
                Err(Failure::TokenRefused(problem)) => {
                    return Err(ReadError::Refused { refusal: Refusal::Credentials, problem });
                }
                Err(Failure::Passing(error, asked)) if attempt < MOST_ATTEMPTS => {
                    let Some(wait) = self.retry_in(attempt, asked, deadline) else { return Err(error) };
                    tracing::debug!(attempt, ?wait, %error, "a read is repeated");
                    sleep(wait).await;
                    attempt += 1;
                }
                Err(Failure::Passing(error, _) | Failure::Lasting(error)) => return Err(error),
            }
        }
    }

    fn page_url(&self, page: Option<&PageToken>) -> Url {
        let mut url = self.connections.clone();
        url.query_pairs_mut()
            .append_pair("property", &format!("connectionSpec.id=={}", wire::HUBSPOT_SPEC_ID))
            .append_pair("orderby", "-createdAt")
            .append_pair("limit", LIMIT);
        if let Some(PageToken(token)) = page {
            url.query_pairs_mut().append_pair("continuationToken", token);
        }
        url
    }

    async fn attempt(
        &self,
        url: &Url,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> Result<ConnectionPage, Failure> {
        let pass = self.admit(deadline).await?;
        self.budget.deposit();
        // The caller's impatience says nothing about the Flow Service: no verdict on it.
        let read = timeout_at(deadline, self.get_page(url, sandbox, &pass)).await;
        let page = read.map_err(|_| Failure::Lasting(unavailable("the deadline was spent".into())))?;
        if let Some(verdict) = verdict(&page) {
            pass.permit.judge(verdict);
        }
        page
    }

    async fn get_page(
        &self,
        url: &Url,
        sandbox: &SandboxName,
        pass: &Pass,
    ) -> Result<ConnectionPage, Failure> {
        let request = self
            .client
            .get(url.clone())
            .headers(self.headers.clone())
            .header(SANDBOX_NAME, sandbox.as_str())
            .header(header::AUTHORIZATION, pass.token.authorization())
            .timeout(self.timeouts.attempt);
        let response = request.send().await.map_err(|error| passing(without_url(error)))?;
        if response.status().is_success() {
            page(response).await
        } else {
            let answer = answer::read_error(response, &[pass.token.expose_secret()]).await;
            Err(self.not_read(pass, answer))
        }
    }

    fn not_read(&self, pass: &Pass, answer: ErrorAnswer) -> Failure {
        let ErrorAnswer { meaning, retry_after, problem } = answer;
        match meaning {
            Meaning::TokenRefused => {
                self.tokens.refuse(&pass.token);
                Failure::TokenRefused(problem)
            }
            Meaning::Refused(refusal) => Failure::Lasting(ReadError::Refused { refusal, problem }),
            Meaning::Throttled => {
                self.gate.close(retry_after);
                let error = ReadError::Throttled { retry_after, problem: Some(problem) };
                Failure::Passing(error, retry_after)
            }
            Meaning::Unknown => {
                let cause = format!("not an answer to a read: {problem}").into();
                Failure::Passing(ReadError::Unavailable { problem: Some(problem), cause }, retry_after)
            }
        }
    }
}

async fn page(response: Response) -> Result<ConnectionPage, Failure> {
    let undecodable = |cause| Failure::Lasting(ReadError::Undecodable(cause));
    let server_time_ms = server_time_ms(response.headers()).map_err(undecodable)?;
    let body = read_body(response, MAX_PAGE).await.map_err(passing)?;
    wire::read_page(&body, server_time_ms).map_err(undecodable)
}

/// The time of the answer by the Flow Service's clock, which `Date` tells in whole seconds.
fn server_time_ms(headers: &HeaderMap) -> Result<i64, Cause> {
    let date = headers.get(header::DATE).ok_or("the answer has no date")?;
    let date: SystemTime = httpdate::parse_http_date(date.to_str()?)?;
    Ok(i64::try_from(date.duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn passing(cause: Cause) -> Failure {
    Failure::Passing(unavailable(cause), None)
}

fn unavailable(cause: Cause) -> ReadError {
    ReadError::Unavailable { problem: None, cause }
}

impl From<NoPass> for Failure {
    fn from(reason: NoPass) -> Self {
        match reason {
            NoPass::Throttled(rest) => {
                Self::Lasting(ReadError::Throttled { retry_after: Some(rest), problem: None })
            }
            NoPass::BreakerOpen(retry_after) => Self::Lasting(ReadError::BreakerOpen { retry_after }),
            NoPass::TooLate => Self::Lasting(unavailable("there was no access token in time".into())),
            NoPass::Token(error) => match error.kind {
                TokenErrorKind::Throttled | TokenErrorKind::Unavailable => {
                    let asked = error.retry_after;
                    Self::Passing(ReadError::Token(error), asked)
                }
                TokenErrorKind::BadCredentials
                | TokenErrorKind::BadScope
                | TokenErrorKind::TokenRefused
                | TokenErrorKind::SecretUnreadable => Self::Lasting(ReadError::Token(error)),
            },
        }
    }
}

/// What an attempt says about the Flow Service; a throttle says neither.
fn verdict(outcome: &Result<ConnectionPage, Failure>) -> Option<Verdict> {
    let error = match outcome {
        Ok(_) | Err(Failure::TokenRefused(_)) => return Some(Verdict::Works),
        Err(Failure::Passing(error, _) | Failure::Lasting(error)) => error,
    };
    match error {
        ReadError::Refused { .. } => Some(Verdict::Works),
        ReadError::Unavailable { .. } | ReadError::Undecodable(_) => Some(Verdict::Fails),
        ReadError::Token(_) | ReadError::BreakerOpen { .. } | ReadError::Throttled { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn time(date: &str) -> Option<i64> {
        let headers = [(header::DATE, HeaderValue::from_str(date).unwrap())].into_iter().collect();
        server_time_ms(&headers).ok()
    }

    #[test]
    fn the_servers_clock_is_read_or_not_guessed() {
        assert_eq!(time("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        for date in ["", "soon", "1994-11-06T08:49:37Z"] {
            assert_eq!(time(date), None, "{date}");
        }
        assert!(server_time_ms(&HeaderMap::new()).is_err());
    }
}
