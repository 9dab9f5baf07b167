//! Adobe access tokens: one at a time, fetched by one task, shared by every call.
//!
//! A background task keeps a valid token at hand: it fetches one at the start, renews it ahead of
//! its expiry, and at once when Adobe refuses it. Calls only read what the task has published, so
//! however many wait, one fetch is under way. Where fetching fails the calls fail with it until the
//! next attempt: nobody queues behind an outage.

use std::{
    fmt,
    sync::Arc,
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
    error_chain::error_chain,
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
    /// How long to wait before the next attempt.
    pub retry_after: Option<Duration>,
    /// The cause, for the log.
    #[source]
    pub source: Option<super::Cause>,
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
            Self::BadCredentials | Self::BadScope | Self::TokenRefused | Self::SecretUnreadable => {
                RefreshOutcome::Refused
            }
            Self::Throttled => RefreshOutcome::Throttled,
            Self::Unavailable => RefreshOutcome::Unavailable,
        }
    }
}

impl TokenError {
    /// An error that consists of its kind.
    pub fn of_kind(kind: TokenErrorKind) -> Self {
        Self { kind, status: None, code: None, retry_after: None, source: None }
    }
}

/// An access token in the form in which it is sent.
#[derive(Clone)]
pub struct AccessToken {
    /// `Bearer …`, marked as sensitive.
    authorization: HeaderValue,
    value: SecretString,
    issued_at: Instant,
    expires_at: Option<Instant>,
}

impl AccessToken {
    fn new(issued: &IssuedToken) -> Result<Self, TokenError> {
        let header = format!("Bearer {}", issued.value.expose_secret());
        let mut authorization = HeaderValue::try_from(header).map_err(|error| TokenError {
            source: Some(error.into()),
            ..TokenError::of_kind(TokenErrorKind::Unavailable)
        })?;
        authorization.set_sensitive(true);
        let issued_at = Instant::now();
        Ok(Self {
            authorization,
            value: issued.value.clone(),
            issued_at,
            expires_at: issued.lifetime.map(|lifetime| issued_at + lifetime),
        })
    }

    /// The value of the `Authorization` header.
    pub fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
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
        let renewal = Renewal { published: Arc::downgrade(&published), failures: 0, refusals: 0, metrics };
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

    /// How old the last token is, whether it is still in use or not; `None` before the first one.
    pub fn age(&self) -> Option<Duration> {
        self.published.borrow().issued_at.map(|issued_at| issued_at.elapsed())
    }

    /// Whether there is a token for calls to use.
    pub fn has_token(&self) -> bool {
        self.published.borrow().token.as_ref().is_some_and(|token| token.is_valid())
    }

    /// Resolves once there was a token, or an attempt to get one failed for anything but the credential.
    pub async fn not_rejected(&self) {
        let is_rejected = |error: &TokenError| {
            matches!(
                error.kind,
                TokenErrorKind::BadCredentials | TokenErrorKind::BadScope | TokenErrorKind::SecretUnreadable
            )
        };
        let mut published = self.published.subscribe();
        // The sender lives as long as this.
        let _ = published
            .wait_for(|published| {
                published.token.is_some()
                    || published.failure.as_ref().is_some_and(|error| !is_rejected(error))
            })
            .await;
    }

    /// Takes a token out of use that Adobe refused, so that the next one is fetched at once.
    /// A token that is already replaced is left alone.
    pub fn refuse(&self, token: &Arc<AccessToken>) {
        self.published.send_if_modified(|published| {
            let is_current = published.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token));
            if is_current {
                published.token = None;
                published.failure = None;
                published.asked_by = Context::current();
            }
            is_current
        });
    }
}

/// A token refused so soon after its issue counts as a failure of its issuer: without a pause, a
/// persistent refusal would fetch a token for every call, and Adobe throttles those who do.
const YOUNG: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

struct Renewal {
    published: std::sync::Weak<watch::Sender<Published>>,
    /// Failed attempts in a row.
    failures: u32,
    /// Tokens in a row that were refused while they were young.
    refusals: u32,
    metrics: TokenMetrics,
}

impl Renewal {
    async fn run(mut self, issuer: impl IssueToken, mut watch: watch::Receiver<Published>) {
        let mut last: Option<Arc<AccessToken>> = None;
        let mut was_refused = false;
        loop {
            let asked_by = watch.borrow().asked_by.clone();
            let issued = issuer.issue().with_context(asked_by).await;
            let token = issued.and_then(|issued| Ok((AccessToken::new(&issued)?, issued)));
            let due = match token {
                // A fixed token: the one that was refused is all there is.
                Ok((token, issued)) if was_refused && token.is_same(last.as_deref()) => {
                    self.metrics.refreshed(RefreshOutcome::Refused);
                    self.fail(TokenError::of_kind(TokenErrorKind::TokenRefused), issued.renew_after)
                }
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
                    self.metrics.expiry.set(lifetime.map_or(0.0, in_unix_time));
                    let token = Arc::new(token);
                    last = Some(Arc::clone(&token));
                    self.publish(|published| {
                        let issued_at = Some(token.issued_at);
                        *published = Published { token: Some(token), issued_at, ..Published::default() };
                    });
                    Instant::now() + renew_after
                }
                Err(error) => {
                    self.metrics.refreshed(error.kind.refresh_outcome());
                    self.failures = self.failures.saturating_add(1);
                    let pause = back_off(self.failures).max(error.retry_after.unwrap_or_default());
                    self.fail(error, pause)
                }
            };

            let refused = timeout_at(due, watch.wait_for(Published::wants_a_token)).await;
            match refused.map(|published| published.is_ok()) {
                // Time for the next token, or for the next attempt.
                Err(_) => was_refused = false,
                Ok(true) => {
                    was_refused = true;
                    let is_young = last.as_ref().is_some_and(|token| token.issued_at.elapsed() < YOUNG);
                    self.refusals = if is_young { self.refusals.saturating_add(1) } else { 0 };
                    if self.refusals > 1 {
                        let pause = back_off(self.refusals);
                        let due = self.fail(TokenError::of_kind(TokenErrorKind::TokenRefused), pause);
                        tokio::time::sleep_until(due).await;
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
        tracing::warn!(error = error_chain(&error), next_attempt_in = ?pause, "no new Adobe access token");
        let error = Arc::new(TokenError { retry_after: Some(pause), ..error });
        self.publish(|published| {
            published.token = published.token.take().filter(|token| token.is_valid());
            published.failure = Some(error);
            published.asked_by = Context::default();
        });
        Instant::now() + pause
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
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
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
    async fn failures_back_off_and_honour_what_is_asked_for() {
        let throttled = TokenError {
            retry_after: Some(Duration::from_secs(120)),
            ..TokenError::of_kind(TokenErrorKind::Throttled)
        };
        let issuer = ScriptedIssuer::new([Err(throttled)]);
        let source = TokenSource::start(issuer.clone());
        source.token().await.unwrap_err();
        sleep(Duration::from_secs(115)).await;
        assert_eq!(issuer.attempts(), 1);

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
    async fn a_fixed_token_that_is_refused_is_not_tried_again() {
        let source = TokenSource::start(FixedToken);
        let token = source.token().await.unwrap();
        source.refuse(&token);
        assert_eq!(source.token().await.unwrap_err().kind, TokenErrorKind::TokenRefused);
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
