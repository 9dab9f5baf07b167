//! Adobe access tokens: one at a time, fetched by one task, shared by every call.
//!
//! A background task fetches a token at the start, renews it ahead of its expiry, and at once when Adobe refuses
//! it. Calls only read what the task has published, so that any number of waiters share one fetch. If a fetch
//! fails, calls wait for the next attempt if it is due before their deadline. No pause between two attempts is
//! longer than a minute.
//!
//! A refusal proves little: it may be a stray reply, or about something else than the token. So the issuer may
//! return the same token again, which is then used like any other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use opentelemetry::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    error::{TokenError, TokenErrorKind},
    renewal::{LONGEST_BACKOFF, Renewal},
};
use crate::metrics::TokenMetrics;

/// How much earlier than its deadline a call gets the error that there is no token.
const REPORTING: Duration = Duration::from_millis(100);

/// Issues access tokens.
pub trait IssueToken: Send + 'static {
    /// Fetches one token.
    fn issue(&self) -> impl Future<Output = Result<IssuedToken, TokenError>> + Send;
}

/// A token as it was issued.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub value: SecretString,
    /// How long it is valid from the moment of its issue, if that is known.
    pub lifetime: Option<Duration>,
    /// How long after its issue the next one is due.
    pub renew_after: Duration,
}

/// An access token in the form in which it is sent.
#[derive(Debug)]
pub struct AccessToken {
    /// `Bearer …`, marked as sensitive.
    authorization: HeaderValue,
    value: SecretString,
    pub(super) issued_at: Instant,
    /// Later than the issue if the issuer returned the token again.
    fetched_at: Instant,
    expires_at: Option<Instant>,
    /// Whether it was fetched because the one before was refused.
    follows_refusal: bool,
    is_accepted: AtomicBool,
}

impl AccessToken {
    pub(super) fn new(issued: &IssuedToken, follows_refusal: bool) -> Result<Self, TokenError> {
        let header = format!("Bearer {}", issued.value.expose_secret());
        let mut authorization = HeaderValue::try_from(header)
            .map_err(|error| TokenError::caused_by(TokenErrorKind::Unavailable, error))?;
        authorization.set_sensitive(true);
        let now = Instant::now();
        Ok(Self {
            authorization,
            value: issued.value.clone(),
            issued_at: now,
            fetched_at: now,
            expires_at: issued.lifetime.map(|lifetime| now + lifetime),
            follows_refusal,
            is_accepted: AtomicBool::new(false),
        })
    }

    /// The value of the `Authorization` header.
    pub fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    pub(in crate::adobe) fn expose_secret(&self) -> &str {
        self.value.expose_secret()
    }

    /// Notes that Adobe has accepted it.
    pub fn accepted(&self) {
        self.is_accepted.store(true, Ordering::Relaxed);
    }

    fn is_accepted(&self) -> bool {
        self.is_accepted.load(Ordering::Relaxed)
    }

    /// Whether it was fetched within this time and never accepted.
    pub(super) fn is_unproven_since(&self, age: Duration) -> bool {
        !self.is_accepted() && self.fetched_at.elapsed() < age
    }

    /// Whether a refusal is most likely about something else than this token: a moment ago it replaced a
    /// refused one, and it was accepted since.
    fn is_proven(&self) -> bool {
        self.follows_refusal && self.is_accepted() && self.fetched_at.elapsed() < LONGEST_BACKOFF
    }

    pub(super) fn is_valid(&self) -> bool {
        self.expires_at.is_none_or(|expires_at| Instant::now() < expires_at)
    }
}

/// What the task has published. With neither a token nor a failure, a fetch is running.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) token: Option<Arc<AccessToken>>,
    pub(super) failure: Option<Arc<TokenError>>,
    /// When the next attempt after the failure is due.
    pub(super) next_attempt: Option<Instant>,
    /// Whether an attempt since the last token failed for a reason that somebody has to correct.
    pub(super) was_rejected: bool,
    /// When the last token was issued, even if it is no longer in use.
    pub(super) issued_at: Option<Instant>,
    /// The call whose token was refused: the next fetch is a part of its trace.
    pub(super) requested_by: Context,
}

impl Published {
    /// The valid token or the failure; `None` while a fetch is running.
    fn known(&self) -> Option<Result<Arc<AccessToken>, Arc<TokenError>>> {
        let token = self.token.as_ref().filter(|token| token.is_valid());
        token.map(|token| Ok(Arc::clone(token))).or_else(|| Some(Err(Arc::clone(self.failure.as_ref()?))))
    }

    pub(super) fn wants_a_token(&self) -> bool {
        self.token.is_none() && self.failure.is_none()
    }
}

/// Provides the access token. Clones share one token.
#[derive(Clone, Debug)]
pub struct TokenSource {
    published: Arc<watch::Sender<Published>>,
}

impl TokenSource {
    /// Starts the task that fetches tokens. It ends when the last clone is dropped.
    pub fn start(issuer: impl IssueToken) -> Self {
        Self::start_counted(issuer, TokenMetrics::default())
    }

    /// The same, and counts the attempts to fetch a token.
    pub fn start_counted(issuer: impl IssueToken, metrics: TokenMetrics) -> Self {
        let published = Arc::new(watch::Sender::default());
        let renewal = Renewal::new(Arc::downgrade(&published), metrics);
        tokio::spawn(renewal.run(issuer, published.subscribe()));
        Self { published }
    }

    /// A valid token, after the running fetch if there is one.
    ///
    /// # Errors
    /// The failure of the last attempt, until the next one.
    pub async fn token(&self) -> Result<Arc<AccessToken>, Arc<TokenError>> {
        let mut published = self.published.subscribe();
        loop {
            if let Some(known) = published.borrow_and_update().known() {
                return known;
            }
            if published.changed().await.is_err() {
                return Err(Arc::new(TokenError::of_kind(TokenErrorKind::Unavailable)));
            }
        }
    }

    /// The same, and after a failure that may pass waits for the next attempt if it is due before the deadline.
    /// A known failure is returned a moment earlier, while the caller still listens.
    ///
    /// # Errors
    /// The failure of the last attempt; `None` if none has ended by the deadline.
    pub async fn token_by(&self, deadline: Instant) -> Result<Arc<AccessToken>, Option<Arc<TokenError>>> {
        let report_by = deadline.checked_sub(REPORTING).unwrap_or(deadline);
        let mut published = self.published.subscribe();
        let mut last = None;
        loop {
            let (next_attempt, had_token) = {
                let published = published.borrow_and_update();
                (published.next_attempt, published.issued_at.is_some())
            };
            let wait_until = if had_token || last.is_some() { report_by } else { deadline };
            let failure = match timeout_at(wait_until, self.token()).await {
                Ok(Ok(token)) => return Ok(token),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(last),
            };
            if !failure.may_pass() || next_attempt.is_some_and(|next| next >= deadline) {
                return Err(Some(failure));
            }
            last = Some(failure);
            if !matches!(timeout_at(report_by, published.changed()).await, Ok(Ok(()))) {
                return Err(last);
            }
        }
    }

    /// The age of the last token, even if it is no longer in use; `None` before the first one.
    pub fn age(&self) -> Option<Duration> {
        self.published.borrow().issued_at.map(|issued_at| issued_at.elapsed())
    }

    /// Whether there is a token that calls can use.
    pub fn has_token(&self) -> bool {
        matches!(self.published.borrow().known(), Some(Ok(_)))
    }

    /// Resolves once there was a token, or attempts to fetch one failed only for reasons that may pass: after a
    /// rejection an attempt that fails otherwise proves nothing.
    pub async fn not_rejected(&self) {
        let mut published = self.published.subscribe();
        // The sender lives as long as `self`.
        let _ = published
            .wait_for(|published| {
                published.token.is_some() || (published.failure.is_some() && !published.was_rejected)
            })
            .await;
    }

    /// Takes a token that Adobe refused out of use, so that the next one is fetched at once. It has no effect on a
    /// token that was replaced already, or on a new one that other requests were accepted with.
    pub fn refuse(&self, token: &Arc<AccessToken>) {
        self.published.send_if_modified(|published| {
            let is_current = published.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token));
            let is_refused = is_current && !token.is_proven();
            if is_refused {
                published.token = None;
                published.failure = None;
                published.requested_by = Context::current();
            }
            is_refused
        });
    }
}

#[cfg(test)]
mod tests;
