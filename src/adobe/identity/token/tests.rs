//! Tokens over time, with a moved clock.

use std::{collections::VecDeque, sync::Mutex};

use secrecy::SecretString;
use tokio::time::{advance, sleep};

use super::*;
use crate::{
    adobe::identity::renewal::{YOUNG, in_unix_time},
    metrics::RefreshOutcome,
};

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
        Self { script: Arc::new(Mutex::new(script)), issued: Arc::default(), takes: Duration::from_secs(1) }
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
        let lifetime = self.script.lock().unwrap().pop_front().unwrap_or(Ok(Duration::from_secs(86_400)))?;
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
async fn concurrent_calls_share_one_fetch() {
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
async fn a_failure_is_returned_at_once_until_the_next_attempt() {
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
async fn calls_wait_for_the_next_attempt_if_it_is_in_time() {
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
async fn a_call_gets_the_failure_before_its_deadline() {
    let failing = (0..100).map(|_| Err(unavailable()));
    let issuer = ScriptedIssuer { takes: Duration::from_secs(20), ..ScriptedIssuer::new(failing) };
    let source = TokenSource::start(issuer);
    let start = Instant::now();
    let error = source.token_by(start + Duration::from_secs(30)).await.unwrap_err().unwrap();
    assert_eq!(error.kind, TokenErrorKind::Unavailable);
    assert_eq!(start.elapsed(), Duration::from_secs(30) - REPORTING);
}

#[tokio::test(start_paused = true)]
async fn a_call_does_not_wait_after_a_rejection_by_ims() {
    for kind in [TokenErrorKind::BadCredentials, TokenErrorKind::BadScope] {
        let source = TokenSource::start(ScriptedIssuer::new([Err(TokenError::of_kind(kind))]));
        let start = Instant::now();
        let error = source.token_by(start + Duration::from_secs(60)).await.unwrap_err().unwrap();
        assert_eq!((error.kind, start.elapsed()), (kind, Duration::from_secs(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_honour_a_requested_pause_up_to_a_minute() {
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
    // A second for each attempt, and 7.5 to 15 seconds between two once the backoff has its full length.
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

/// Always issues the same token.
struct FixedToken;

impl IssueToken for FixedToken {
    async fn issue(&self) -> Result<IssuedToken, TokenError> {
        let lifetime = Duration::from_secs(86_400);
        Ok(IssuedToken { value: SecretString::from("fixed"), lifetime: None, renew_after: lifetime / 2 })
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_issued_again_keeps_its_age_and_counts_once() {
    let metrics = TokenMetrics::default();
    let source = TokenSource::start_counted(FixedToken, metrics.clone());
    source.token().await.unwrap();
    sleep(Duration::from_secs(100_000)).await;
    assert!(source.age().unwrap() >= Duration::from_secs(99_999), "{:?}", source.age());
    assert_eq!((metrics.refreshes(RefreshOutcome::Ok), metrics.expiry.get()), (1, 0.0));
}

#[tokio::test(start_paused = true)]
async fn the_age_and_the_expiry_of_an_expired_token_stay_known() {
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
    // The first call after the refusals end.
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
async fn an_outage_does_not_count_as_a_refusal_of_new_tokens() {
    let issuer = ScriptedIssuer::new([Err(unavailable()), Ok(Duration::from_secs(100)), Err(unavailable())]);
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
