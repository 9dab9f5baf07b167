//! Decides whether and when an attempt is sent. This file has the order, which is the same for every attempt:
//!
//! 1. The throttle gate: wait until the pause that Adobe asked for is over.
//! 2. The circuit breaker: reject while the service keeps failing.
//! 3. The access token: wait until there is one.
//! 4. The throttle gate again: another call may have been throttled meanwhile.
//! 5. The attempt, which needs the [`Permit`] and reports its verdict to the breaker.
//!
//! A retry needs a withdrawal from the retry budget, and starts again at 1.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use opentelemetry::{
    Context,
    trace::{SpanKind, Status, TraceContextExt as _},
};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tower::retry::budget::{Budget as _, TpsBudget};

use super::{
    AskedService, CallError,
    identity::token::{AccessToken, TokenSource},
};
use crate::{
    backoff::Backoff,
    domain::UpstreamWait,
    metrics::UpstreamMetrics,
    telemetry::spans,
    upstream::{
        breaker::{Breaker, BreakerPermit},
        throttle::ThrottleGate,
    },
};

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5), 1.0);

/// How long a request counts for the retry budget.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// The retries that the budget allows whatever the load.
const RETRIES_PER_SECOND: u32 = 1;
/// The part of the requests that may be retries.
const RETRY_PART: f32 = 0.2;

/// What all attempts share.
#[derive(Debug)]
pub(super) struct Resilience {
    pub(super) gate: ThrottleGate,
    pub(super) breaker: Arc<Breaker>,
    pub(super) tokens: TokenSource,
    /// Keeps retries from multiplying the load on a service in trouble.
    budget: TpsBudget,
    retries_refused: Counter,
}

/// The permission to send one request.
#[derive(Debug)]
pub struct Permit {
    pub(super) token: Arc<AccessToken>,
    pub(super) breaker: BreakerPermit,
}

impl Resilience {
    pub(super) fn new(service: AskedService, tokens: TokenSource, metrics: &UpstreamMetrics) -> Self {
        Self {
            gate: ThrottleGate::counted_by(metrics.throttled.clone()),
            breaker: Arc::new(Breaker::of(service.name(), metrics.breaker_opened.clone())),
            tokens,
            budget: TpsBudget::new(BUDGET_WINDOW, RETRIES_PER_SECOND, RETRY_PART),
            retries_refused: metrics.retries_refused.clone(),
        }
    }

    /// Waits for the permission to send one request.
    ///
    /// # Errors
    /// Nothing was sent: the wait would pass `deadline`, or the request is rejected at once.
    pub(super) async fn permit(&self, deadline: Instant) -> Result<Permit, CallError> {
        let _wait = UpstreamWait::begin();
        self.gate.wait(deadline).await.map_err(throttled)?;
        let breaker = self.breaker.admit().map_err(|retry_after| CallError::BreakerOpen { retry_after })?;
        let token = match self.tokens.token().now_or_never() {
            Some(Ok(token)) => token,
            Some(Err(error)) if !error.may_pass() => return Err(CallError::Token(error)),
            Some(Err(_)) | None => self.wait_for_token(deadline).await?,
        };
        self.check_throttle()?;
        Ok(Permit { token, breaker })
    }

    /// Fails while the throttle gate is closed.
    pub(super) fn check_throttle(&self) -> Result<(), CallError> {
        self.gate.closed_for().map_or(Ok(()), |rest| Err(throttled(rest)))
    }

    /// Waits for the access token, in a span of its own.
    async fn wait_for_token(&self, deadline: Instant) -> Result<Arc<AccessToken>, CallError> {
        let context = Context::current();
        let trace = spans::begin(&context, SpanKind::Internal, || "adobe_token".into(), Vec::new);
        let token = self.tokens.token_by(deadline).await;
        let span = trace.span();
        if span.is_recording() && token.is_err() {
            span.set_status(Status::error(""));
        }
        span.end();
        token.map_err(|failure| failure.map_or(CallError::NoTokenInTime, CallError::Token))
    }

    /// Counts a request, a part of which may be retries.
    pub(super) fn deposit(&self) {
        self.budget.deposit();
    }

    /// The pause before the next attempt; `None` if it would pass the deadline or exceed the retry budget.
    pub(super) fn retry_in(
        &self,
        attempt: u32,
        asked: Option<Duration>,
        deadline: Instant,
    ) -> Option<Duration> {
        let pause = pause(attempt, asked, deadline)?;
        if !self.budget.withdraw() {
            self.retries_refused.inc();
            return None;
        }
        Some(pause)
    }
}

/// The pause before the next attempt, at least as long as it was `asked` for; `None` if it would pass the
/// deadline.
pub(super) fn pause(attempt: u32, asked: Option<Duration>, deadline: Instant) -> Option<Duration> {
    // Added, so that clients that were asked to wait for the same time do not return together.
    let pause = asked.unwrap_or_default() + BACKOFF.pause(attempt);
    (Instant::now() + pause < deadline).then_some(pause)
}

fn throttled(rest: Duration) -> CallError {
    CallError::Throttled { retry_after: Some(rest), problem: None }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn budget() -> TpsBudget {
        TpsBudget::new(BUDGET_WINDOW, RETRIES_PER_SECOND, RETRY_PART)
    }

    fn withdrawals(budget: &TpsBudget) -> u32 {
        (0..).take_while(|_| budget.withdraw()).count().try_into().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_requests_may_be_retries_besides_the_reserve() {
        let budget = budget();
        assert_eq!(withdrawals(&budget), 10);
        for _ in 0..100 {
            budget.deposit();
        }
        assert_eq!(withdrawals(&budget), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_an_hour_allow_no_more_retries_than_those_of_the_last_seconds() {
        let budget = budget();
        for _ in 0..3_600 {
            (0..10).for_each(|_| budget.deposit());
            advance(Duration::from_secs(1)).await;
        }
        assert!((10..=10 + 10 * 11 / 5).contains(&withdrawals(&budget)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_exhausted_reserve_returns_and_grows_no_larger() {
        let budget = budget();
        assert_eq!(withdrawals(&budget), 10);
        advance(Duration::from_secs(5)).await;
        assert_eq!(withdrawals(&budget), 0);
        for seconds in [6, 86_400] {
            advance(Duration::from_secs(seconds)).await;
            assert_eq!(withdrawals(&budget), 10, "{seconds}");
        }
    }
}
