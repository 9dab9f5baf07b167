//! Adobe access tokens: one at a time, fetched by one task, shared by every call.
//!
//! A background task keeps a valid token at hand: it fetches one at the start, renews it ahead of
//! its expiry, and at once when Adobe refuses it. Calls only read what the task has published, so
//! however many wait, one fetch is under way. Where fetching fails the calls wait for the next attempt
//! if it comes before their deadline. No pause between two attempts is longer than a minute.
//!
//! A refusal proves little: it may be one stray reply, or about something else than the token. So the
//! issuer may return the same token again, and that one is tried again like any other.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;
use opentelemetry::{Context, context::FutureExt as _};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    error::error_chain,
    metrics::{RefreshOutcome, TokenMetrics},
};

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
    /// How long it is valid from the moment of its issue; `None` where nobody says.
    pub lifetime: Option<Duration>,
    /// How long after its issue the next one is due.
    pub renew_after: Duration,
}

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}", self.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct TokenError {
    /// What has to be done about it.
    pub kind: TokenErrorKind,
    /// The HTTP status that IMS answered with.
    pub status: Option<u16>,
    /// The error code that IMS answered with: `invalid_client`.
    pub code: Option<String>,
    /// The media type of a reply that is not IMS's.
    pub content_type: Option<String>,
    /// How long to wait before the next attempt.
    pub retry_after: Option<Duration>,
    /// The cause, for the log.
    #[source]
    pub source: Option<crate::error::Cause>,
}

/// The kinds of failure to get an access token, told apart by who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenErrorKind {
    /// The client ID or secret is wrong.
    #[error("IMS refuses the client credentials")]
    BadCredentials,
    /// The scopes are not those of the credential.
    #[error("IMS refuses the scopes")]
    BadScope,
    /// Too many tokens were asked for.
    #[error("IMS throttles")]
    Throttled,
    /// IMS cannot be reached, or answers with something else than a token.
    #[error("IMS gives no token")]
    Unavailable,
    /// The reply is not IMS's.
    #[error("the reply is not IMS's")]
    Unrecognized,
    /// The Flow Service refuses each new token.
    #[error("the Flow Service refuses each new token")]
    TokenRefused,
    /// The configured secret cannot be read.
    #[error("the secret cannot be read")]
    SecretUnreadable,
}

impl TokenErrorKind {
    fn refresh_outcome(self) -> RefreshOutcome {
        match self {
            Self::BadCredentials | Self::BadScope | Self::SecretUnreadable => RefreshOutcome::Refused,
            Self::Throttled => RefreshOutcome::Throttled,
            Self::TokenRefused | Self::Unavailable | Self::Unrecognized => RefreshOutcome::Unavailable,
        }
    }
}

impl TokenError {
    /// An error that consists of its kind.
    pub fn of_kind(kind: TokenErrorKind) -> Self {
        Self { kind, status: None, code: None, content_type: None, retry_after: None, source: None }
    }
}

/// An access token in the form in which it is sent.
pub struct AccessToken {
    /// `Bearer …`, marked as sensitive.
    authorization: HeaderValue,
    value: SecretString,
    issued_at: Instant,
    /// Later than the issue where the issuer has returned the token again.
    fetched_at: Instant,
    expires_at: Option<Instant>,
    /// Whether it was fetched because the one before was refused.
    follows_refusal: bool,
    is_accepted: AtomicBool,
}

impl AccessToken {
    fn new(issued: &IssuedToken, follows_refusal: bool) -> Result<Self, TokenError> {
        let header = format!("Bearer {}", issued.value.expose_secret());
        let mut authorization = HeaderValue::try_from(header).map_err(|error| TokenError {
            source: Some(error.into()),
            ..TokenError::of_kind(TokenErrorKind::Unavailable)
        })?;
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

    /// Notes that Adobe has accepted it.
    pub fn accepted(&self) {
        self.is_accepted.store(true, Ordering::Relaxed);
    }

    fn is_accepted(&self) -> bool {
        self.is_accepted.load(Ordering::Relaxed)
    }

    /// Whether a refusal is most likely about something else than this token: a moment ago it replaced a
    /// refused one, and it was accepted since.
    fn is_proven(&self) -> bool {
        self.follows_refusal && self.is_accepted() && self.fetched_at.elapsed() < LONGEST_BACKOFF
    }

    fn is_same(&self, other: Option<&Self>) -> bool {
        other.is_some_and(|other| self.expose_secret() == other.expose_secret())
    }

    fn is_valid(&self) -> bool {
        self.expires_at.is_none_or(|expires_at| Instant::now() < expires_at)
    }
}

impl ExposeSecret<str> for AccessToken {
    fn expose_secret(&self) -> &str {
        self.value.expose_secret()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

/// What the task has published. With neither field set, a fetch is under way.
#[derive(Debug, Default)]
struct Published {
    token: Option<Arc<AccessToken>>,
    failure: Option<Arc<TokenError>>,
    /// When the next attempt after the failure is due.
    next_attempt: Option<Instant>,
    /// Whether an attempt since the last token failed for something that somebody has to correct.
    was_rejected: bool,
    /// When the last token was issued, whether it is still in use or not.
    issued_at: Option<Instant>,
    /// The call that found the last token refused: the next fetch is a part of its trace.
    asked_by: Context,
}

impl Published {
    fn wants_a_token(&self) -> bool {
        self.token.is_none() && self.failure.is_none()
    }
}

/// Where calls get their access token from. Clones share one token.
#[derive(Clone, Debug)]
pub struct TokenSource {
    published: Arc<watch::Sender<Published>>,
}

impl TokenSource {
    /// Starts the task that keeps a token at hand. It ends when the last clone is gone.
    pub fn start(issuer: impl IssueToken) -> Self {
        Self::start_counted(issuer, TokenMetrics::default())
    }

    /// The same, and counts the attempts to get a token.
    pub fn start_counted(issuer: impl IssueToken, metrics: TokenMetrics) -> Self {
        let published = Arc::new(watch::Sender::default());
        let published_by_task = Arc::downgrade(&published);
        let renewal =
            Renewal { published: published_by_task, failures: 0, refusals: 0, warned: None, metrics };
        tokio::spawn(renewal.run(issuer, published.subscribe()));
        Self { published }
    }

    /// A valid token, waited for where the first one is being fetched.
    ///
    /// # Errors
    /// The failure of the last attempt, until the next one.
    pub async fn token(&self) -> Result<Arc<AccessToken>, Arc<TokenError>> {
        if let Some(token) = self.published.borrow().token.as_ref().filter(|token| token.is_valid()) {
            return Ok(Arc::clone(token));
        }
        let mut published = self.published.subscribe();
        loop {
            {
                let published = published.borrow_and_update();
                if let Some(token) = published.token.as_ref().filter(|token| token.is_valid()) {
                    return Ok(Arc::clone(token));
                }
                if let Some(failure) = &published.failure {
                    return Err(Arc::clone(failure));
                }
            }
            if published.changed().await.is_err() {
                return Err(Arc::new(TokenError::of_kind(TokenErrorKind::Unavailable)));
            }
        }
    }

    /// The same, and where fetching fails waited for as long as another attempt comes before the deadline.
    /// What somebody has to correct is not waited out. What is known by the deadline is returned a moment earlier, while
    /// the caller still listens.
    ///
    /// # Errors
    /// The failure of the last attempt; `None` where none has ended by the deadline.
    pub async fn token_by(&self, deadline: Instant) -> Result<Arc<AccessToken>, Option<Arc<TokenError>>> {
        let mut published = self.published.subscribe();
        let mut last = None;
        loop {
            let (next_attempt, had_token) = {
                let published = published.borrow_and_update();
                (published.next_attempt, published.issued_at.is_some())
            };
            let is_known = had_token || last.is_some();
            let answered_by = deadline.checked_sub(ANSWERING).filter(|_| is_known).unwrap_or(deadline);
            let failure = match timeout_at(answered_by, self.token()).await {
                Ok(Ok(token)) => return Ok(token),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(last),
            };
            if !failure.may_pass() || next_attempt.is_some_and(|next| next >= deadline) {
                return Err(Some(failure));
            }
            last = Some(failure);
            let answered_by = deadline.checked_sub(ANSWERING).unwrap_or(deadline);
            if !matches!(timeout_at(answered_by, published.changed()).await, Ok(Ok(()))) {
                return Err(last);
            }
        }
    }

    /// How old the last token is, whether it is still in use or not; `None` before the first one.
    pub fn age(&self) -> Option<Duration> {
        self.published.borrow().issued_at.map(|issued_at| issued_at.elapsed())
    }

    /// Whether there is a token for calls to use.
    pub fn has_token(&self) -> bool {
        self.published.borrow().token.as_ref().is_some_and(|token| token.is_valid())
    }

    /// Resolves once there was a token, or attempts to get one failed only for what may pass by itself: after a
    /// rejection an attempt that fails otherwise proves nothing.
    pub async fn not_rejected(&self) {
        let mut published = self.published.subscribe();
        // The sender lives as long as this.
        let _ = published
            .wait_for(|published| {
                published.token.is_some() || (published.failure.is_some() && !published.was_rejected)
            })
            .await;
    }

    /// Takes a token out of use that Adobe refused, so that the next one is fetched at once.
    /// A token that is already replaced is left alone, and so is a new one that works for other requests.
    pub fn refuse(&self, token: &Arc<AccessToken>) {
        self.published.send_if_modified(|published| {
            let is_current = published.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token));
            let is_refused = is_current && !token.is_proven();
            if is_refused {
                published.token = None;
                published.failure = None;
                published.asked_by = Context::current();
            }
            is_refused
        });
    }
}

/// A token refused so soon after it was fetched, before any request was accepted with it, counts as a
/// failure of its issuer: without a pause, a persistent refusal would fetch a token for every call, and
/// Adobe throttles those who do.
const YOUNG: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// How much earlier than its deadline a call gets the error that there is no token.
const ANSWERING: Duration = Duration::from_millis(100);
/// The longest pause before another attempt, whatever the issuer asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The shortest time between two fetches: an issuer may state a lifetime of next to nothing.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// How often a failure is logged that goes on.
const WARN_AGAIN: Duration = Duration::from_secs(60);

struct Renewal {
    published: std::sync::Weak<watch::Sender<Published>>,
    /// Failed attempts in a row.
    failures: u32,
    /// Tokens in a row that were refused while they were young, and never accepted.
    refusals: u32,
    /// What was last warned of, and when.
    warned: Option<(TokenErrorKind, Instant)>,
    metrics: TokenMetrics,
}

impl Renewal {
    async fn run(mut self, issuer: impl IssueToken, mut watch: watch::Receiver<Published>) {
        let mut last: Option<Arc<AccessToken>> = None;
        let mut follows_refusal = false;
        loop {
            let asked_by = watch.borrow().asked_by.clone();
            let issued = issuer.issue().with_context(asked_by).await;
            let token = issued.and_then(|issued| Ok((AccessToken::new(&issued, follows_refusal)?, issued)));
            let due = match token {
                Ok((mut token, IssuedToken { lifetime, renew_after, .. })) => {
                    self.failures = 0;
                    match last.as_deref().filter(|last| token.is_same(Some(*last))) {
                        // It was looked for, and is as old as before.
                        Some(last) => token.issued_at = last.issued_at,
                        None => {
                            self.metrics.refreshed(RefreshOutcome::Ok);
                            tracing::info!("a new Adobe access token is in use");
                        }
                    }
                    if !follows_refusal {
                        self.warned = None;
                    }
                    self.metrics.expiry.set(lifetime.map_or(0.0, in_unix_time));
                    let token = Arc::new(token);
                    last = Some(Arc::clone(&token));
                    self.publish(|published| {
                        let issued_at = Some(token.issued_at);
                        *published = Published { token: Some(token), issued_at, ..Published::default() };
                    });
                    Instant::now() + renew_after.max(SHORTEST_PAUSE)
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    let pause = back_off(self.failures).max(error.retry_after.unwrap_or_default());
                    self.fail(error, pause.min(LONGEST_PAUSE))
                }
            };

            let refused = timeout_at(due, watch.wait_for(Published::wants_a_token)).await;
            match refused.map(|published| published.is_ok()) {
                // Time for the next token, or for the next attempt.
                Err(_) => follows_refusal = false,
                Ok(true) => {
                    follows_refusal = true;
                    let is_failure = last
                        .as_ref()
                        .is_some_and(|last| !last.is_accepted() && last.fetched_at.elapsed() < YOUNG);
                    self.refusals = if is_failure { self.refusals.saturating_add(1) } else { 0 };
                    if self.refusals > 1 {
                        let pause = back_off(self.refusals);
                        let due = self.fail(TokenError::of_kind(TokenErrorKind::TokenRefused), pause);
                        tokio::time::sleep_until(due).await;
                        // Calls wait for the token that is now being fetched.
                        self.publish(|published| published.failure = None);
                    }
                }
                // The last user of the token is gone.
                Ok(false) => return,
            }
        }
    }

    /// Publishes a failure, unless the token at hand is still valid, and says when the next attempt is
    /// due.
    fn fail(&mut self, error: TokenError, pause: Duration) -> Instant {
        self.metrics.refreshed(error.kind.refresh_outcome());
        let now = Instant::now();
        let next_attempt_in = format_args!("{pause:.3?}");
        let is_news = self.warned.is_none_or(|(kind, at)| kind != error.kind || now - at >= WARN_AGAIN);
        if is_news {
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
            published.asked_by = Context::default();
        });
        now + pause
    }

    fn publish(&self, change: impl FnOnce(&mut Published)) {
        if let Some(published) = self.published.upgrade() {
            published.send_modify(change);
        }
    }
}

/// The time that is so far ahead, by the clock on the wall: told once, so that it does not drift with
/// each look at it.
fn in_unix_time(ahead: Duration) -> f64 {
    (SystemTime::now() + ahead).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The pause after so many failures in a row, with jitter.
fn back_off(failures: u32) -> Duration {
    let longest = FIRST_BACKOFF.saturating_mul(1 << failures.min(10)).min(LONGEST_BACKOFF);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use tokio::time::{advance, sleep};

    use super::*;

    type Script = VecDeque<Result<Duration, TokenError>>;

    /// Issues `token-1`, `token-2`, … or fails as its script says, after a second each.
    #[derive(Clone)]
    struct ScriptedIssuer {
        script: Arc<Mutex<Script>>,
        issued: Arc<Mutex<u32>>,
        takes: Duration,
    }

    impl Default for ScriptedIssuer {
        fn default() -> Self {
            Self::new([])
        }
    }

    impl ScriptedIssuer {
        fn new(script: impl IntoIterator<Item = Result<Duration, TokenError>>) -> Self {
            let script = script.into_iter().collect();
            Self {
                script: Arc::new(Mutex::new(script)),
                issued: Arc::default(),
                takes: Duration::from_secs(1),
            }
        }

        fn attempts(&self) -> u32 {
            *self.issued.lock().unwrap()
        }
    }

    impl IssueToken for ScriptedIssuer {
        async fn issue(&self) -> Result<IssuedToken, TokenError> {
            sleep(self.takes).await;
            let number = {
                let mut issued = self.issued.lock().unwrap();
                *issued += 1;
                *issued
            };
            let lifetime =
                self.script.lock().unwrap().pop_front().unwrap_or(Ok(Duration::from_secs(86_400)))?;
            Ok(IssuedToken {
                value: SecretString::from(format!("token-{number}")),
                lifetime: Some(lifetime),
                renew_after: lifetime / 2,
            })
        }
    }

    fn unavailable() -> TokenError {
        TokenError::of_kind(TokenErrorKind::Unavailable)
    }

    fn value(token: &AccessToken) -> &str {
        token.expose_secret()
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_calls_wait_one_token_is_fetched() {
        let issuer = ScriptedIssuer::default();
        let source = TokenSource::start(issuer.clone());
        let calls = (0..100).map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.token().await.unwrap() })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(value(&call.await.unwrap()), "token-1");
        }
        assert_eq!(issuer.attempts(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_ahead_of_its_expiry_without_a_call_waiting() {
        let issuer = ScriptedIssuer::default();
        let source = TokenSource::start(issuer.clone());
        assert_eq!(value(&source.token().await.unwrap()), "token-1");
        sleep(Duration::from_secs(43_210)).await;
        let before = Instant::now();
        assert_eq!(value(&source.token().await.unwrap()), "token-2");
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(issuer.attempts(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_outlives_failed_renewals_and_an_expired_one_does_not() {
        let issuer = ScriptedIssuer::new(
            [Ok(Duration::from_secs(100))].into_iter().chain((0..50).map(|_| Err(unavailable()))),
        );
        let source = TokenSource::start(issuer.clone());
        source.token().await.unwrap();
        sleep(Duration::from_secs(80)).await;
        assert!(issuer.attempts() > 1);
        assert_eq!(value(&source.token().await.unwrap()), "token-1");
        sleep(Duration::from_secs(30)).await;
        assert_eq!(source.token().await.unwrap_err().kind, TokenErrorKind::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_answered_at_once_until_the_next_attempt() {
        let issuer = ScriptedIssuer::new([Err(unavailable())]);
        let source = TokenSource::start(issuer.clone());
        let error = source.token().await.unwrap_err();
        assert_eq!(error.kind, TokenErrorKind::Unavailable);
        let before = Instant::now();
        source.token().await.unwrap_err();
        assert_eq!((before.elapsed(), issuer.attempts()), (Duration::ZERO, 1));

        sleep(error.retry_after.unwrap() + Duration::from_secs(2)).await;
        assert_eq!(value(&source.token().await.unwrap()), "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_for_the_next_attempt_where_it_comes_in_time() {
        let source = TokenSource::start(ScriptedIssuer::new((0..4).map(|_| Err(unavailable()))));
        let start = Instant::now();
        // The first attempt takes a second, and the pause after it at least another one.
        let error = source.token_by(start + Duration::from_secs(2)).await.unwrap_err().unwrap();
        assert_eq!((error.kind, start.elapsed()), (TokenErrorKind::Unavailable, Duration::from_secs(1)));
        let waiting = (0..100).map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.token_by(start + Duration::from_secs(60)).await })
        });
        for token in waiting.collect::<Vec<_>>() {
            assert_eq!(value(&token.await.unwrap().unwrap()), "token-5");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_the_wait_for_an_attempt_that_hangs() {
        let hanging = ScriptedIssuer { takes: Duration::from_secs(20), ..ScriptedIssuer::default() };
        let source = TokenSource::start(hanging);
        let start = Instant::now();
        assert!(source.token_by(start + Duration::from_secs(3)).await.unwrap_err().is_none());
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_told_before_its_deadline_why_there_is_no_token() {
        let failing = (0..100).map(|_| Err(unavailable()));
        let issuer = ScriptedIssuer { takes: Duration::from_secs(20), ..ScriptedIssuer::new(failing) };
        let source = TokenSource::start(issuer);
        let start = Instant::now();
        let error = source.token_by(start + Duration::from_secs(30)).await.unwrap_err().unwrap();
        assert_eq!(error.kind, TokenErrorKind::Unavailable);
        assert_eq!(start.elapsed(), Duration::from_secs(30) - ANSWERING);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejection_by_ims_is_not_waited_out() {
        for kind in [TokenErrorKind::BadCredentials, TokenErrorKind::BadScope] {
            let source = TokenSource::start(ScriptedIssuer::new([Err(TokenError::of_kind(kind))]));
            let start = Instant::now();
            let error = source.token_by(start + Duration::from_secs(60)).await.unwrap_err().unwrap();
            assert_eq!((error.kind, start.elapsed()), (kind, Duration::from_secs(1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_honour_what_is_asked_for_up_to_a_minute() {
        for (asked, waited) in [(45, 45), (61, 60), (300, 60), (u64::MAX, 60)] {
            let throttled = TokenError {
                retry_after: Some(Duration::from_secs(asked)),
                ..TokenError::of_kind(TokenErrorKind::Throttled)
            };
            let issuer = ScriptedIssuer::new([Err(throttled)]);
            let source = TokenSource::start(issuer.clone());
            let error = source.token().await.unwrap_err();
            assert_eq!(error.retry_after, Some(Duration::from_secs(waited)));
            sleep(Duration::from_secs(waited)).await;
            assert_eq!(issuer.attempts(), 1);
            sleep(Duration::from_secs(2)).await;
            assert_eq!(issuer.attempts(), 2);
        }

        let issuer = ScriptedIssuer::new((0..1000).map(|_| Err(unavailable())));
        let _source = TokenSource::start(issuer.clone());
        sleep(Duration::from_secs(600)).await;
        // A second for each attempt, and 7.5 to 15 seconds between two once the back-off is spent.
        assert!((37..=80).contains(&issuer.attempts()), "{}", issuer.attempts());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_replaced_once_for_all_calls() {
        let issuer = ScriptedIssuer::default();
        let source = TokenSource::start(issuer.clone());
        let first = source.token().await.unwrap();
        advance(YOUNG).await;
        source.refuse(&first);
        source.refuse(&first);
        let second = source.token().await.unwrap();
        assert_eq!(value(&second), "token-2");
        source.refuse(&first);
        assert_eq!(value(&source.token().await.unwrap()), "token-2");
        assert_eq!(issuer.attempts(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_are_refused_again_and_again_are_not_fetched_for_every_call() {
        let issuer = ScriptedIssuer::default();
        let source = TokenSource::start(issuer.clone());
        let start = Instant::now();
        let mut refused = 0;
        while start.elapsed() < Duration::from_secs(300) {
            match source.token().await {
                Ok(token) => source.refuse(&token),
                Err(error) => {
                    assert_eq!(error.kind, TokenErrorKind::TokenRefused);
                    refused += 1;
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        assert!(refused > 100 && issuer.attempts() < 45, "{refused} {}", issuer.attempts());
    }

    /// Issues the same token for ever.
    struct FixedToken;

    impl IssueToken for FixedToken {
        async fn issue(&self) -> Result<IssuedToken, TokenError> {
            let lifetime = Duration::from_secs(86_400);
            Ok(IssuedToken { value: SecretString::from("fixed"), lifetime: None, renew_after: lifetime / 2 })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_found_again_is_as_old_as_before_and_counts_once() {
        let metrics = TokenMetrics::default();
        let source = TokenSource::start_counted(FixedToken, metrics.clone());
        source.token().await.unwrap();
        sleep(Duration::from_secs(100_000)).await;
        assert!(source.age().unwrap() >= Duration::from_secs(99_999), "{:?}", source.age());
        assert_eq!((metrics.refreshes(RefreshOutcome::Ok), metrics.expiry.get()), (1, 0.0));
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_token_that_is_gone_the_age_and_the_expiry_stay_known() {
        let issuer = ScriptedIssuer::new(
            [Ok(Duration::from_secs(100))].into_iter().chain((0..50).map(|_| Err(unavailable()))),
        );
        let metrics = TokenMetrics::default();
        let source = TokenSource::start_counted(issuer, metrics.clone());
        assert!((source.age(), source.has_token()) == (None, false));
        source.token().await.unwrap();
        let expiry = metrics.expiry.get();
        assert!(source.has_token() && expiry >= in_unix_time(Duration::from_secs(90)));
        sleep(Duration::from_secs(200)).await;
        assert!(!source.has_token());
        assert!(source.age() >= Some(Duration::from_secs(200)), "{:?}", source.age());
        assert!((metrics.expiry.get() - expiry).abs() < f64::EPSILON);
        assert_eq!(metrics.refreshes(RefreshOutcome::Ok), 1);
        assert!(metrics.refreshes(RefreshOutcome::Unavailable) > 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_issued_again_after_one_refusal_is_used_again_at_once() {
        let source = TokenSource::start(FixedToken);
        for age in [0, 100_000] {
            advance(Duration::from_secs(age)).await;
            let token = source.token().await.unwrap();
            token.accepted();
            source.refuse(&token);
            let start = Instant::now();
            assert_eq!(value(&source.token().await.unwrap()), "fixed");
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_refused_for_an_hour_is_tried_again_all_the_time() {
        let metrics = TokenMetrics::default();
        let source = TokenSource::start_counted(FixedToken, metrics.clone());
        let start = Instant::now();
        let (mut tries, mut failures) = (Vec::new(), 0);
        while start.elapsed() < Duration::from_secs(3600) {
            match source.token().await {
                Ok(token) => {
                    tries.push(Instant::now());
                    source.refuse(&token);
                }
                Err(error) => {
                    assert_eq!(error.kind, TokenErrorKind::TokenRefused);
                    assert!(error.retry_after.unwrap() <= LONGEST_BACKOFF);
                    failures += 1;
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let longest = tries.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest <= Duration::from_secs(16), "{longest:?}");
        assert!((200..600).contains(&tries.len()) && failures > 10_000, "{} {failures}", tries.len());
        assert!(metrics.refreshes(RefreshOutcome::Unavailable) >= 200);
        // The first call after it is accepted again.
        sleep(Duration::from_secs(16)).await;
        source.token().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_one_request_do_not_take_the_token_from_those_that_it_works_for() {
        let issuer = ScriptedIssuer { takes: Duration::ZERO, ..ScriptedIssuer::default() };
        let source = TokenSource::start(issuer.clone());
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(600) {
            let token = source.token().await.unwrap();
            token.accepted();
            source.refuse(&token);
            sleep(Duration::from_millis(100)).await;
        }
        // One each quarter of a minute.
        assert!((30..=50).contains(&issuer.attempts()), "{}", issuer.attempts());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lifetime_of_next_to_nothing_does_not_fetch_without_a_pause() {
        let issuer = ScriptedIssuer {
            takes: Duration::ZERO,
            ..ScriptedIssuer::new((0..100_000).map(|_| Ok(Duration::from_micros(1))))
        };
        let _source = TokenSource::start(issuer.clone());
        sleep(Duration::from_secs(10)).await;
        assert!(issuer.attempts() <= 101, "{}", issuer.attempts());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_goes_on_is_logged_once_a_minute() {
        use crate::telemetry::{self, LogConfig, LogFormat, testing::Captured};
        let captured = Captured::default();
        let config = LogConfig { filter: "info".to_owned(), format: LogFormat::Json };
        let subscriber = telemetry::subscriber(&config, captured.writer(), false).unwrap();
        let _guard = tracing::subscriber::set_default(subscriber);
        let script = (0..1000).map(|_| Err(unavailable()));
        let _source = TokenSource::start(ScriptedIssuer::new(script));
        sleep(Duration::from_secs(600)).await;
        let text = captured.text();
        assert!((9..=11).contains(&text.lines().count()), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_not_taken_for_a_refusal_of_new_tokens() {
        let issuer =
            ScriptedIssuer::new([Err(unavailable()), Ok(Duration::from_secs(100)), Err(unavailable())]);
        let source = TokenSource::start(issuer.clone());
        let error = source.token().await.unwrap_err();
        sleep(error.retry_after.unwrap() + Duration::from_secs(2)).await;
        let token = source.token().await.unwrap();
        source.refuse(&token);
        assert_eq!(source.token().await.unwrap_err().kind, TokenErrorKind::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_failures_are_followed_by_a_pause_as_well() {
        let issuer = ScriptedIssuer {
            takes: Duration::from_secs(20),
            ..ScriptedIssuer::new((0..1000).map(|_| Err(unavailable())))
        };
        let _source = TokenSource::start(issuer.clone());
        sleep(Duration::from_secs(700)).await;
        // 20 seconds for each attempt, and 7.5 to 15 seconds between two.
        assert!((18..=27).contains(&issuer.attempts()), "{}", issuer.attempts());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_marked_as_sensitive_and_does_not_print() {
        let source = TokenSource::start(ScriptedIssuer::default());
        let token = source.token().await.unwrap();
        assert!(token.authorization().is_sensitive());
        assert!(!format!("{token:?} {source:?}").contains("token-1"));
    }
}
