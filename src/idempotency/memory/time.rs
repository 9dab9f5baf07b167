//! The clock of a store.

use std::time::Duration;

use tokio::time::Instant;

/// A moment, in nanoseconds since the store began: half the size of an `Instant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(u64);

impl Time {
    pub(super) const BEGIN: Self = Self(0);

    pub(super) fn since(start: Instant) -> Self {
        Self(nanos(start.elapsed()))
    }

    pub(super) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// How long it is from an earlier moment to this one.
    pub(super) fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Five centuries fit.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
