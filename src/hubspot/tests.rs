use std::future::pending;

use reqwest::dns::{Name, Resolve, Resolving};
use tokio::time::sleep;

use super::*;
use crate::domain::UpstreamTime;

/// A name server that never replies.
struct Silent;

impl Resolve for Silent {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(pending())
    }
}

fn silent() -> HubSpot {
    let client = Client::builder().dns_resolver(Arc::new(Silent)).no_proxy().build().unwrap();
    let url = Url::parse("http://hubspot.test").unwrap();
    HubSpot::new(client, &url, UpstreamMetrics::default())
}

/// Asks with this much time. How long it took.
async fn ask(hubspot: &HubSpot, time: Duration) -> (Introspection, Duration) {
    let credentials =
        HubSpotCredentials::parse(["id-0123", "secret-0123", "access-0123", "refresh-0123"]).unwrap();
    let start = Instant::now();
    let asked = hubspot.introspect(&credentials, start + time).await;
    (asked, start.elapsed())
}

fn is_late(asked: &Introspection) -> bool {
    [&asked.refresh_token, &asked.access_token]
        .into_iter()
        .all(|answer| matches!(answer, Err(NoAnswer::TimedOut(_))))
}

const MINUTE: Duration = Duration::from_secs(60);
/// The clock of a test goes on in steps.
const STEP: Duration = Duration::from_millis(5);

#[tokio::test(start_paused = true)]
async fn a_hubspot_that_never_replies_costs_three_seconds() {
    let hubspot = silent();
    let (asked, took) = ask(&hubspot, MINUTE).await;
    assert!(is_late(&asked), "{asked:?}");
    assert!(took >= TIMEOUT && took <= TIMEOUT + STEP, "{took:?}");
    // Or less, if its caller has less.
    let (asked, took) = ask(&hubspot, TIMEOUT / 2).await;
    assert!(is_late(&asked) && took >= TIMEOUT / 2 && took <= TIMEOUT / 2 + STEP, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_hubspot_is_not_this_services_own_time() {
    let hubspot = silent();
    let time = Arc::default();
    let (_, took) = UpstreamTime::of(&time, ask(&hubspot, MINUTE)).await;
    assert_eq!(time.total(), took);
    // The wait for its turn is none either.
    let _all = hubspot.at_once.acquire_many(16).await.unwrap();
    let (asked, waited) = UpstreamTime::of(&time, ask(&hubspot, MINUTE)).await;
    assert!(matches!(asked.refresh_token, Err(NoAnswer::Busy)), "{asked:?}");
    assert_eq!(time.total(), took + waited);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_tries_hubspot_again_lets_both_tokens_pass() {
    let hubspot = silent();
    while !hubspot.is_breaker_open() {
        ask(&hubspot, MINUTE).await;
    }
    let (asked, took) = ask(&hubspot, MINUTE).await;
    assert!(matches!(
        asked,
        Introspection { refresh_token: Err(NoAnswer::BreakerOpen), access_token: Err(NoAnswer::BreakerOpen) }
    ));
    assert_eq!(took, Duration::ZERO);
    sleep(MINUTE).await;
    let (asked, _) = ask(&hubspot, MINUTE).await;
    assert!(is_late(&asked), "{asked:?}");
}
