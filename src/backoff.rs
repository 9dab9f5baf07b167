//! Exponential backoff with jitter.

use std::time::Duration;

/// Pauses that double with each failure, up to a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    /// The random part of each pause, from 0 (none) to 1 (all of it). It keeps clients that failed together
    /// from retrying together.
    jitter: f64,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration, jitter: f64) -> Self {
        Self { first, longest, jitter }
    }

    /// The pause after so many failures in a row, of which there is at least one.
    pub(crate) fn pause(self, failures: u32) -> Duration {
        self.limit(failures).mul_f64(1.0 - self.jitter * fastrand::f64())
    }

    fn limit(self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_limit_doubles_until_the_longest_pause() {
        let backoff = Backoff::new(millis(100), millis(5_000), 1.0);
        let limits = [1, 2, 3, 6, 7, 100, u32::MAX].map(|failures| backoff.limit(failures).as_millis());
        assert_eq!(limits, [100, 200, 400, 3_200, 5_000, 5_000, 5_000]);
        assert_eq!(backoff.limit(0), backoff.limit(1));
    }

    #[test]
    fn jitter_spreads_pauses_over_its_part_of_the_limit() {
        for (jitter, shortest) in [(1.0, 0), (0.5, 200), (0.0, 400)] {
            let backoff = Backoff::new(millis(100), millis(5_000), jitter);
            let pauses: Vec<_> = (0..1000).map(|_| backoff.pause(3)).collect();
            assert!(pauses.iter().all(|pause| (millis(shortest)..=millis(400)).contains(pause)));
            let spread = millis(400 - shortest) / 4;
            assert!(pauses.iter().any(|pause| *pause <= millis(shortest) + spread));
            assert!(pauses.iter().any(|pause| *pause >= millis(400) - spread));
        }
    }
}
