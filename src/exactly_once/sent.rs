//! When a creation was sent, as a reader of its record can know it.
//!
//! The record has the store's time and the sender's wall clock. Either may have been set since, so the
//! smaller age counts: then no search ends too early.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::store::Moment;

/// By how much the two clocks may disagree before neither is trusted.
const MOST_SKEW_MS: i64 = 30_000;

/// By how much a time in a list may be off: a day where it lacks its hour or its zone, and an hour for clocks.
const SLACK: Duration = Duration::from_secs(25 * 60 * 60);

/// The present time, in milliseconds since the Unix epoch. Tests have another one, that can be paused.
pub type WallClock = fn() -> i64;

/// The clock of the machine.
pub fn wall_clock() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// When a creation was first and last sent, by the monotonic clock of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    as_of: Instant,
    first: Duration,
    last: Duration,
}

/// The clocks of the store and of the sender disagree about a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disagree {
    pub(crate) store_ago_ms: i64,
    pub(crate) wall_ago_ms: i64,
}

impl Sent {
    /// A creation that was first and last sent so long ago.
    pub(crate) fn ago(first: Duration, last: Duration) -> Self {
        Self { as_of: Instant::now(), first, last }
    }

    /// One whose record has these moments.
    ///
    /// # Errors
    /// Where the clocks disagree about the last one.
    pub(crate) fn recorded(first: Moment, last: Moment, now_ms: i64) -> Result<Self, Disagree> {
        let last = age(last, now_ms)?;
        // It only bounds how far back a list is read: further is safe.
        Ok(Self::ago(greatest_age(first, now_ms).max(last), last))
    }

    /// One whose clocks disagree, and whose last sending therefore counts from now.
    pub(crate) fn distrusted(first: Moment, now_ms: i64) -> Self {
        Self::ago(greatest_age(first, now_ms), Duration::ZERO)
    }

    /// A creation that was sent, or resent, at this moment.
    pub(crate) fn at(earlier: Option<Self>, moment: Instant) -> Self {
        let first = earlier.map_or_else(|| moment.elapsed(), |sent| sent.first + sent.as_of.elapsed());
        Self::ago(first, moment.elapsed())
    }

    /// How long ago it was last sent, at a moment that is not before this value was made.
    pub(crate) fn last_ago(&self, at: Instant) -> Duration {
        self.last + at.saturating_duration_since(self.as_of)
    }

    /// By the wall clock, the earliest time of creation that Adobe may show of the resource.
    pub(crate) fn created_from_ms(&self, now_ms: i64) -> i64 {
        before(now_ms, self.first + self.as_of.elapsed())
    }
}

/// The same for a creation of which only its greatest age is known.
pub(crate) fn before(now_ms: i64, age: Duration) -> i64 {
    now_ms.saturating_sub(milliseconds(age + SLACK))
}

/// How long ago a moment was.
///
/// # Errors
/// Where the clocks disagree.
pub(crate) fn age(moment: Moment, now_ms: i64) -> Result<Duration, Disagree> {
    let Moment { store_ago_ms, wall_ms } = moment;
    let Some(wall_ms) = wall_ms else { return Ok(duration(store_ago_ms)) };
    let wall_ago_ms = now_ms.saturating_sub(wall_ms);
    let least = store_ago_ms.min(wall_ago_ms);
    if least < 0 || store_ago_ms.saturating_sub(wall_ago_ms).saturating_abs() > MOST_SKEW_MS {
        return Err(Disagree { store_ago_ms, wall_ago_ms });
    }
    Ok(duration(least))
}

/// The smaller age of a moment by the two clocks, even if they disagree.
pub(crate) fn least_age(moment: Moment, now_ms: i64) -> Duration {
    let by_wall = moment.wall_ms.map_or(i64::MAX, |wall_ms| now_ms.saturating_sub(wall_ms));
    duration(moment.store_ago_ms.min(by_wall))
}

fn greatest_age(moment: Moment, now_ms: i64) -> Duration {
    let by_wall = moment.wall_ms.map_or(0, |wall_ms| now_ms.saturating_sub(wall_ms));
    duration(moment.store_ago_ms.max(by_wall))
}

fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn moment(store_ago_ms: i64, wall_ago_ms: i64) -> Moment {
        Moment { store_ago_ms, wall_ms: Some(NOW - wall_ago_ms) }
    }

    #[test]
    fn the_smaller_age_counts() {
        assert_eq!(age(moment(90_000, 80_000), NOW), Ok(Duration::from_secs(80)));
        assert_eq!(age(moment(80_000, 90_000), NOW), Ok(Duration::from_secs(80)));
    }

    #[test]
    fn clocks_that_disagree_are_not_trusted() {
        for (store, wall) in [(100_000, 2_000), (2_000, 100_000), (-8_000, 1_000), (1_000, -1), (-1, -1)] {
            assert!(age(moment(store, wall), NOW).is_err(), "{store} {wall}");
        }
        assert!(age(moment(31_000, 1_000), NOW).is_ok());
        let far = Moment { store_ago_ms: i64::MAX, wall_ms: Some(i64::MAX) };
        assert!(age(far, NOW).is_err());
    }

    #[test]
    fn after_that_the_stores_clock_counts_alone() {
        assert_eq!(age(Moment { store_ago_ms: 5_000, wall_ms: None }, NOW), Ok(Duration::from_secs(5)));
        assert_eq!(age(Moment { store_ago_ms: -5_000, wall_ms: None }, NOW), Ok(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_passes_counts() {
        let sent = Sent::recorded(moment(300_000, 300_000), moment(10_000, 11_000), NOW).unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(sent.last_ago(Instant::now()), Duration::from_secs(15));
        let created_from_ms = NOW - 300_000 - milliseconds(SLACK);
        assert_eq!(sent.created_from_ms(NOW + 5_000), created_from_ms);
        let again = Sent::at(Some(sent), Instant::now());
        assert_eq!(again.last_ago(Instant::now()), Duration::ZERO);
        assert_eq!(again.created_from_ms(NOW + 5_000), created_from_ms);
    }
}
