//! The task that fetches access tokens.

use std::{
    sync::{Arc, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{Context, context::FutureExt as _};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    error::{TokenError, TokenErrorKind},
    token::{AccessToken, IssueToken, IssuedToken, Published},
};
use crate::{
    backoff::Backoff,
    error::error_chain,
    metrics::{RefreshOutcome, TokenMetrics},
};

/// A token that is refused within this time, and was never accepted, counts as a failure of its issuer. Otherwise a
/// persistent refusal would fetch a token for every call, and Adobe throttles clients that do so.
pub(super) const YOUNG: Duration = Duration::from_secs(60);
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), LONGEST_BACKOFF, 0.5);
/// The longest pause before another attempt, whatever the issuer asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The shortest time between two fetches: an issuer may state a lifetime of nearly zero.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// How often the same failure is logged as a warning.
const WARN_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Renewal {
    published: Weak<watch::Sender<Published>>,
    /// Failed attempts in a row.
    failures: u32,
    /// Young tokens in a row that were refused.
    refusals: u32,
    /// The last warning, and its time.
    warned: Option<(TokenErrorKind, Instant)>,
    metrics: TokenMetrics,
}

impl Renewal {
    pub(super) fn new(published: Weak<watch::Sender<Published>>, metrics: TokenMetrics) -> Self {
        Self { published, failures: 0, refusals: 0, warned: None, metrics }
    }

    pub(super) async fn run(mut self, issuer: impl IssueToken, mut watch: watch::Receiver<Published>) {
        let mut last: Option<Arc<AccessToken>> = None;
        let mut follows_refusal = false;
        loop {
            let requested_by = watch.borrow().requested_by.clone();
            let issued = issuer.issue().with_context(requested_by).await;
            let token = issued.and_then(|issued| Ok((AccessToken::new(&issued, follows_refusal)?, issued)));
            let due = match token {
                Ok((token, issued)) => {
                    if !follows_refusal {
                        self.warned = None;
                    }
                    last = Some(self.publish_token(token, &issued, last.as_deref()));
                    Instant::now() + issued.renew_after.max(SHORTEST_PAUSE)
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    let pause = BACKOFF.pause(self.failures).max(error.retry_after.unwrap_or_default());
                    self.publish_failure(error, pause.min(LONGEST_PAUSE))
                }
            };

            let refused = timeout_at(due, watch.wait_for(Published::wants_a_token)).await;
            match refused.map(|published| published.is_ok()) {
                // Time for the next token, or for the next attempt.
                Err(_) => follows_refusal = false,
                Ok(true) => {
                    follows_refusal = true;
                    let is_failure = last.as_ref().is_some_and(|last| last.is_unproven_since(YOUNG));
                    self.refusals = if is_failure { self.refusals.saturating_add(1) } else { 0 };
                    if self.refusals > 1 {
                        let error = TokenError::of_kind(TokenErrorKind::TokenRefused);
                        sleep_until(self.publish_failure(error, BACKOFF.pause(self.refusals))).await;
                        // From now on calls wait for the next fetch.
                        self.publish(|published| published.failure = None);
                    }
                }
                // The last `TokenSource` is dropped.
                Ok(false) => return,
            }
        }
    }

    fn publish_token(
        &mut self,
        mut token: AccessToken,
        issued: &IssuedToken,
        last: Option<&AccessToken>,
    ) -> Arc<AccessToken> {
        self.failures = 0;
        match last.filter(|last| last.expose_secret() == token.expose_secret()) {
            // The same token as before keeps its age.
            Some(last) => token.issued_at = last.issued_at,
            None => {
                self.metrics.refreshed(RefreshOutcome::Ok);
                tracing::info!("a new Adobe access token is in use");
            }
        }
        self.metrics.expiry.set(issued.lifetime.map_or(0.0, in_unix_time));
        let token = Arc::new(token);
        self.publish(|published| {
            *published = Published {
                issued_at: Some(token.issued_at),
                token: Some(Arc::clone(&token)),
                ..Published::default()
            };
        });
        token
    }

    /// Publishes a failure, unless the current token is still valid, and returns when the next attempt is due.
    fn publish_failure(&mut self, error: TokenError, pause: Duration) -> Instant {
        self.metrics.refreshed(error.kind.refresh_outcome());
        let now = Instant::now();
        let next_attempt_in = format_args!("{pause:.3?}");
        if self.warned.is_none_or(|(kind, at)| kind != error.kind || now - at >= WARN_AGAIN) {
            self.warned = Some((error.kind, now));
            tracing::warn!(error = error_chain(&error), %next_attempt_in, "no new Adobe access token");
        } else {
            tracing::debug!(error = error_chain(&error), %next_attempt_in, "no new Adobe access token");
        }
        let error = Arc::new(TokenError { retry_after: Some(pause), ..error });
        self.publish(|published| {
            published.token = published.token.take().filter(|token| token.is_valid());
            published.was_rejected |= !error.may_pass() || error.kind == TokenErrorKind::SecretUnreadable;
            published.failure = Some(error);
            published.next_attempt = Some(now + pause);
            published.requested_by = Context::default();
        });
        now + pause
    }

    fn publish(&self, change: impl FnOnce(&mut Published)) {
        if let Some(published) = self.published.upgrade() {
            published.send_modify(change);
        }
    }
}

/// The wall-clock time that is so far ahead, computed once, so that the metric does not drift.
pub(super) fn in_unix_time(ahead: Duration) -> f64 {
    (SystemTime::now() + ahead).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
