//! Every request but a creation: sent, repeated where that is harmless, and its answer read.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use reqwest::{Response, Url};
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep, timeout_at};

use crate::adobe::{
    answer::reply::{self, ErrorAnswer, Head},
    flow_service::{HttpFlowService, JSON, NoPass, Pass},
};
use crate::{
    adobe::{
        CallError, FlowService, Problem, Refusal,
        answer::classify::{Asked, Meaning},
        client::attempt::Attempt,
        resilience::{backoff, breaker::Verdict},
    },
    domain::SandboxName,
    error::Cause,
    http_client::{read_body, without_url},
};

/// A full page of connections is some 100 KiB.
const MAX_BODY: usize = 4 * 1024 * 1024;
const MOST_ATTEMPTS: u32 = 3;
/// The code of the gateway in front of the Flow Service for too many requests.
const GATEWAY_THROTTLES: &str = "429050";

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// The path of the URL, as what is measured has it.
    pub(crate) template: &'static str,
    pub(crate) sandbox: &'a SandboxName,
    pub(crate) if_match: Option<HeaderValue>,
    pub(crate) body: Option<Bytes>,
    /// The secrets in the body: an answer that repeats one does not get it any further.
    pub(crate) secrets: Vec<&'a str>,
    /// Whether a failure is the Flow Service's own. It may as well be HubSpot's, where that is asked: a
    /// time-out, too, which therefore says nothing about the Flow Service. A slow account would open the
    /// circuit breaker for all.
    pub(crate) is_its_own: bool,
    /// The fields of a success, of which there is at least one. A success without any is not Adobe's.
    pub(crate) fields: &'static [&'static str],
}

impl<'a> Call<'a> {
    /// A read of a reply with these fields.
    pub(crate) fn get(
        url: Url,
        template: &'static str,
        sandbox: &'a SandboxName,
        fields: &'static [&'static str],
    ) -> Self {
        let (method, if_match, body, secrets) = (Method::GET, None, None, Vec::new());
        Self { method, url, template, sandbox, if_match, body, secrets, is_its_own: true, fields }
    }

    fn asked(&self) -> Asked {
        match self.is_read() {
            true if self.is_its_own => Asked::Read,
            true => Asked::ReadSource,
            false => Asked::Change,
        }
    }

    /// Whether it may be sent again although it may have arrived.
    fn is_read(&self) -> bool {
        self.method == Method::GET
    }
}

/// An attempt that gave nothing.
enum Failure {
    /// The access token is not accepted, a fresh one may be.
    TokenRefused(Problem),
    /// It may help to try again, after this time where one was asked for.
    Passing(CallError, Option<Duration>),
    Lasting(CallError),
}

impl HttpFlowService {
    /// Sends a request and reads its answer. It does so in a box: whatever makes several requests has no
    /// room of its own for each of them.
    pub(crate) fn call<'a, T: Send + 'a>(
        &'a self,
        call: &'a Call<'_>,
        deadline: Instant,
        read: impl Fn(&Bytes) -> Result<T, Cause> + Send + Sync + 'a,
    ) -> Pin<Box<dyn Future<Output = Result<T, CallError>> + Send + 'a>> {
        Box::pin(self.repeat(call, deadline, read))
    }

    async fn repeat<T>(
        &self,
        call: &Call<'_>,
        deadline: Instant,
        read: impl Fn(&Bytes) -> Result<T, Cause>,
    ) -> Result<T, CallError> {
        let mut attempt = 1;
        let mut sent = 0;
        let mut is_token_fresh = false;
        loop {
            match self.attempt(call, deadline, &mut sent, &read).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::TokenRefused(_)) if !is_token_fresh => is_token_fresh = true,
                Err(Failure::TokenRefused(problem)) => {
                    return Err(CallError::TokenRefused { problem });
                }
                Err(Failure::Passing(error, asked))
                    if attempt < MOST_ATTEMPTS && (call.is_read() || !error.may_have_arrived()) =>
                {
                    let wait = if call.is_its_own && error.is_worth_repeating() {
                        self.retry_in(attempt, asked, deadline)
                    } else {
                        once(attempt, asked, deadline)
                    };
                    let Some(wait) = wait else { return Err(error) };
                    tracing::debug!(attempt, wait = %format_args!("{wait:.3?}"), %error, "a request is repeated");
                    sleep(wait).await;
                    attempt += 1;
                }
                Err(Failure::Passing(error, _) | Failure::Lasting(error)) => return Err(error),
            }
        }
    }

    async fn attempt<T>(
        &self,
        call: &Call<'_>,
        deadline: Instant,
        sent: &mut u32,
        read: &impl Fn(&Bytes) -> Result<T, Cause>,
    ) -> Result<T, Failure> {
        let pass = self.admit(deadline).await?;
        self.budget.deposit();
        // The caller's impatience says nothing about the Flow Service: no verdict on it.
        let answer = timeout_at(deadline, self.send(call, &pass, *sent)).await;
        // Without a connection nothing was.
        if !matches!(answer, Ok(Err(Failure::Passing(CallError::Unreachable(_), _)))) {
            *sent += 1;
        }
        let answer = answer.map_err(|_| Failure::Lasting(unavailable("the deadline was spent".into())))?;
        let answer = match answer {
            Ok((head, body)) => read(&body).map_err(|cause| {
                let problem = head.unreadable(&body, call.fields, &secrets(call, &pass));
                Failure::Lasting(if problem.is_unrecognized() {
                    CallError::Unrecognized { retry_after: None, problem: Box::new(problem) }
                } else {
                    CallError::Undecodable(cause)
                })
            }),
            Err(failure) => Err(failure),
        };
        if answer.is_ok() {
            pass.token.accepted();
            self.own_requests.accepted(&call.method, call.template);
        }
        if let Some(verdict) = verdict(&answer, call.is_its_own) {
            pass.permit.judge(verdict);
        }
        answer
    }

    async fn send(&self, call: &Call<'_>, pass: &Pass, sent_before: u32) -> Result<(Head, Bytes), Failure> {
        let mut attempt = self.attempts.begin(&call.method, call.template, sent_before);
        let mut request = self.request(call.method.clone(), call.url.clone(), call.sandbox, pass, &attempt);
        *request.timeout_mut() = Some(self.timeouts.attempt);
        if let Some(etag) = &call.if_match {
            request.headers_mut().insert(header::IF_MATCH, etag.clone());
        }
        if let Some(body) = &call.body {
            request.headers_mut().insert(header::CONTENT_TYPE, JSON);
            *request.body_mut() = Some(body.clone().into());
        }
        let response = self.client.execute(request).await.map_err(|error| {
            attempt.failed(&error);
            let is_sent = !error.is_connect();
            let cause = attempt.located(without_url(error));
            let error = if is_sent { unavailable(cause) } else { CallError::Unreachable(cause) };
            Failure::Passing(error, None)
        })?;
        attempt.answered(&response);
        if response.status().is_success() {
            Ok((Head::of(&response), success(response, &mut attempt).await?))
        } else {
            let secrets = secrets(call, pass);
            let answer = reply::read_error(response, call.asked(), &secrets).await;
            attempt.complete();
            attempt.is_called(answer.problem.request_id.as_deref());
            Err(self.not_done(call, pass, answer))
        }
    }

    fn not_done(&self, call: &Call<'_>, pass: &Pass, answer: ErrorAnswer) -> Failure {
        let ErrorAnswer { meaning, retry_after, problem } = answer;
        match meaning {
            Meaning::TokenRefused => {
                self.tokens.refuse(&pass.token);
                Failure::TokenRefused(problem)
            }
            Meaning::Refused(refusal) => {
                if refusal == Refusal::OwnRequest {
                    self.own_requests.refused(&call.method, call.template, &problem);
                }
                Failure::Lasting(CallError::Refused { refusal, problem })
            }
            Meaning::Throttled => {
                // HubSpot has limits as well, which concern nobody else.
                let is_adobes = call.is_its_own && !problem.is_of_source();
                if is_adobes || problem.code.as_deref() == Some(GATEWAY_THROTTLES) {
                    self.gate.close(retry_after);
                }
                let error = CallError::Throttled { retry_after, problem: Some(problem) };
                Failure::Passing(error, retry_after)
            }
            Meaning::Unknown => {
                let cause = format!("an answer that leaves it open: {problem}").into();
                let error = CallError::Unavailable { retry_after, problem: Some(Box::new(problem)), cause };
                Failure::Passing(error, retry_after)
            }
            Meaning::Unrecognized => {
                // Neither is the token taken out of use nor the gate closed: nobody at Adobe has said so, and
                // a firewall that limits or blocks one path would stop all others.
                let may_pass = problem.may_pass();
                let error = CallError::Unrecognized { retry_after, problem: Box::new(problem) };
                if may_pass { Failure::Passing(error, retry_after) } else { Failure::Lasting(error) }
            }
        }
    }
}

/// The secrets that went out with a request.
fn secrets<'a>(call: &Call<'a>, pass: &'a Pass) -> Vec<&'a str> {
    [&call.secrets[..], &[pass.token.expose_secret()]].concat()
}

async fn success(response: Response, attempt: &mut Attempt<'_>) -> Result<Bytes, Failure> {
    // One that is too long stays so.
    if response.content_length().is_some_and(|length| length > MAX_BODY as u64) {
        attempt.complete();
        let cause = format!("the answer is longer than {MAX_BODY} bytes").into();
        return Err(Failure::Lasting(CallError::Undecodable(cause)));
    }
    let body = read_body(response, MAX_BODY).await.map_err(|cause| {
        attempt.failed(&*cause);
        Failure::Passing(unavailable(attempt.located(cause)), None)
    })?;
    attempt.complete();
    Ok(body)
}

fn unavailable(cause: Cause) -> CallError {
    CallError::Unavailable { retry_after: None, problem: None, cause }
}

impl From<NoPass> for Failure {
    fn from(reason: NoPass) -> Self {
        match reason {
            NoPass::Throttled(rest) => {
                Self::Lasting(CallError::Throttled { retry_after: Some(rest), problem: None })
            }
            NoPass::BreakerOpen(retry_after) => Self::Lasting(CallError::BreakerOpen { retry_after }),
            NoPass::TooLate => Self::Lasting(CallError::NoTokenInTime),
            // It was waited for already.
            NoPass::Token(error) => Self::Lasting(CallError::Token(error)),
        }
    }
}

/// When to repeat a request to HubSpot: once, and without a part in the budget of all calls, which a
/// HubSpot in trouble must not spend.
fn once(attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration> {
    let wait = asked.unwrap_or_default() + backoff::backoff(attempt);
    (attempt == 1 && Instant::now() + wait < deadline).then_some(wait)
}

/// What an attempt says about the Flow Service; a throttle says neither, nor does an answer that only
/// cannot be read. Where HubSpot was asked a failure may be its own.
fn verdict<T>(outcome: &Result<T, Failure>, is_its_own: bool) -> Option<Verdict> {
    let error = match outcome {
        Ok(_) | Err(Failure::TokenRefused(_)) => return Some(Verdict::Works),
        Err(Failure::Passing(error, _) | Failure::Lasting(error)) => error,
    };
    match error {
        CallError::Refused { problem, .. } if problem.is_of_source() => None,
        CallError::Refused { .. } | CallError::TokenRefused { .. } | CallError::OtherSource => {
            Some(Verdict::Works)
        }
        CallError::Unreachable(_) => Some(Verdict::Fails),
        CallError::Unavailable { problem: None, .. } => is_its_own.then_some(Verdict::Fails),
        CallError::Unavailable { problem: Some(problem), .. } | CallError::Unrecognized { problem, .. } => {
            (is_its_own && problem.is_failure()).then_some(Verdict::Fails)
        }
        CallError::Token(_)
        | CallError::NoTokenInTime
        | CallError::BreakerOpen { .. }
        | CallError::Throttled { .. }
        | CallError::Undecodable(_) => None,
    }
}
