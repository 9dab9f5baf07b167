//! The most requests per second, for all calls together: HubSpot limits them for each application and account.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// One request in this time, on average.
const INTERVAL: Duration = Duration::from_millis(100);
/// How far ahead of the average a burst may be: 20 requests.
const BURST: Duration = Duration::from_secs(2);

/// Shared by all requests.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The time at which the requests so far would have been sent evenly.
    even: Mutex<Option<Instant>>,
}

impl Pace {
    /// Waits until the next request may be sent. False, at once, if that is after `deadline`.
    pub(super) async fn wait(&self, deadline: Instant) -> bool {
        let Some(start) = self.reserve(deadline) else { return false };
        sleep_until(start).await;
        true
    }

    fn reserve(&self, deadline: Instant) -> Option<Instant> {
        let now = Instant::now();
        let mut even = self.even.lock();
        let ahead = even.map_or(Duration::ZERO, |even| even.saturating_duration_since(now));
        let start = now + ahead.saturating_sub(BURST - INTERVAL);
        if start >= deadline {
            return None;
        }
        *even = Some(now + ahead + INTERVAL);
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn at_once(pace: &Pace) -> usize {
        let now = Instant::now();
        (0..1000).take_while(|_| pace.reserve(now + Duration::from_millis(1)) == Some(now)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_sent_at_once_and_then_ten_requests_per_second() {
        let pace = Pace::default();
        assert_eq!(at_once(&pace), 20);
        advance(Duration::from_secs(1)).await;
        assert_eq!(at_once(&pace), 10);
        advance(Duration::from_secs(86_400)).await;
        assert_eq!(at_once(&pace), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_its_turn_or_is_refused_at_once() {
        let pace = Pace::default();
        assert_eq!(at_once(&pace), 20);
        let start = Instant::now();
        assert!(!pace.wait(start + INTERVAL).await);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(pace.wait(start + 2 * INTERVAL).await);
        assert!(start.elapsed() >= INTERVAL && start.elapsed() < 2 * INTERVAL);
    }
}
