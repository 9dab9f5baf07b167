//! The throttle gate: after a 429 of Adobe, no call sends a request before the pause is over.

use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, sleep_until};

/// How long the gate stays closed if the reply has no time: `Retry-After` is optional with a
/// status 429 (RFC 6585, section 4).
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// The longest time for which one reply closes the gate. A longer time may be due to a clock that is wrong:
/// the next request finds out.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Shared by all calls; open at the start.
#[derive(Debug, Default)]
pub(crate) struct ThrottleGate {
    closed_until: Mutex<Option<Instant>>,
    throttled: Counter,
}

impl ThrottleGate {
    pub(crate) fn counted_by(throttled: Counter) -> Self {
        Self { throttled, ..Self::default() }
    }

    /// Closes the gate for as long as a reply asks for, a minute at most. This never shortens a pause.
    pub(crate) fn close(&self, retry_after: Option<Duration>) {
        self.throttled.inc();
        let until = Instant::now() + retry_after.unwrap_or(DEFAULT_PAUSE).min(LONGEST_PAUSE);
        let mut closed_until = self.closed_until.lock();
        *closed_until = (*closed_until).max(Some(until));
    }

    /// How much longer the gate is closed; `None` while it is open.
    pub(crate) fn closed_for(&self) -> Option<Duration> {
        let until = (*self.closed_until.lock())?;
        until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
    }

    /// Waits until the gate is open.
    ///
    /// # Errors
    /// How much longer it is closed, at once, if that is not over before the deadline.
    pub(crate) async fn wait(&self, deadline: Instant) -> Result<(), Duration> {
        // It may be closed again meanwhile.
        while let Some(rest) = self.closed_for() {
            let opens = Instant::now() + rest;
            if opens >= deadline {
                return Err(rest);
            }
            sleep_until(opens).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{advance, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_a_closed_gate_or_fails_at_once() {
        let gate = ThrottleGate::default();
        let start = Instant::now();
        assert_eq!(gate.wait(start).await, Ok(()));

        gate.close(Some(3 * SECOND));
        assert_eq!(gate.wait(start + 3 * SECOND).await, Err(3 * SECOND));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(gate.wait(start + 4 * SECOND).await, Ok(()));
        assert!((3 * SECOND..4 * SECOND).contains(&start.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_pause_does_not_open_it_earlier() {
        let gate = ThrottleGate::default();
        gate.close(Some(10 * SECOND));
        gate.close(Some(SECOND));
        gate.close(None);
        assert_eq!(gate.closed_for(), Some(10 * SECOND));
        advance(10 * SECOND).await;
        assert_eq!(gate.closed_for(), None);
        gate.close(None);
        assert_eq!(gate.closed_for(), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn no_reply_closes_it_for_longer_than_a_minute() {
        let gate = ThrottleGate::default();
        gate.close(Some(300 * SECOND));
        assert_eq!(gate.closed_for(), Some(60 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_keeps_waiting_when_the_gate_closes_again() {
        let gate = Arc::new(ThrottleGate::default());
        let start = Instant::now();
        gate.close(Some(2 * SECOND));
        let waiting = {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.wait(start + 60 * SECOND).await })
        };
        sleep(SECOND).await;
        gate.close(Some(4 * SECOND));
        waiting.await.unwrap().unwrap();
        assert!(start.elapsed() >= 5 * SECOND);
    }
}
