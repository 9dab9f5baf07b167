//! When something may be sent again: a budget that all calls share, and the time to wait.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What a repetition costs. A request deposits one.
const COST: u32 = 5;
/// What is there without any deposit: ten repetitions.
const RESERVE: u32 = 10 * COST;
/// The most that deposits pile up to: an hour without failures is no leave to flood the Flow
/// Service in the first minute of its trouble.
const MOST: u32 = 100 * COST;
/// How long one unit of a spent reserve takes to come back: one repetition each second.
const REFILL: Duration = Duration::from_millis(200);

/// Keeps repetitions from multiplying the load on a Flow Service in trouble: in the long run, at most
/// a fifth of all requests are repetitions, and one each second whatever the load.
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<Balance>);

#[derive(Debug)]
struct Balance {
    units: u32,
    refilled: Instant,
}

impl RetryBudget {
    /// A budget that consists of its reserve.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Balance { units: RESERVE, refilled: Instant::now() }))
    }

    /// Notes that a request is made.
    pub(crate) fn deposit(&self) {
        self.with(|balance| balance.units = (balance.units + 1).min(MOST));
    }

    /// Whether something may be sent again, which is paid for with this.
    pub(crate) fn withdraw(&self) -> bool {
        self.with(|balance| match balance.units.checked_sub(COST) {
            Some(rest) => {
                balance.units = rest;
                true
            }
            None => false,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Balance) -> T) -> T {
        let mut balance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        balance.refill();
        change(&mut balance)
    }
}

impl Balance {
    /// Lets the reserve come back; what deposits have added to it is left alone.
    fn refill(&mut self) {
        let due = self.refilled.elapsed().as_millis() / REFILL.as_millis();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        self.refilled += REFILL * due;
        self.units = self.units.max(self.units.saturating_add(due).min(RESERVE));
    }
}

/// The longest first back-off; each further one is twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait after so many attempts: anything from nothing to a limit that doubles ("full
/// jitter"), so that those who failed together do not come back together.
pub(crate) fn backoff(attempt: u32) -> Duration {
    longest_backoff(attempt).mul_f64(fastrand::f64())
}

fn longest_backoff(attempt: u32) -> Duration {
    FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn withdrawals(budget: &RetryBudget) -> u32 {
        (0..).take_while(|_| budget.withdraw()).count().try_into().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_requests_may_be_repetitions_beside_the_reserve() {
        let budget = RetryBudget::new();
        assert_eq!(withdrawals(&budget), 10);
        for _ in 0..100 {
            budget.deposit();
        }
        assert_eq!(withdrawals(&budget), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn deposits_do_not_pile_up_for_ever() {
        let budget = RetryBudget::new();
        for _ in 0..1_000_000 {
            budget.deposit();
        }
        assert_eq!(withdrawals(&budget), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_reserve_comes_back_and_grows_no_larger() {
        let budget = RetryBudget::new();
        assert_eq!(withdrawals(&budget), 10);
        advance(Duration::from_millis(2_900)).await;
        assert_eq!(withdrawals(&budget), 2);
        advance(Duration::from_millis(100)).await;
        assert_eq!(withdrawals(&budget), 1);
        advance(Duration::from_secs(86_400)).await;
        assert_eq!(withdrawals(&budget), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn time_takes_nothing_from_what_was_deposited() {
        let budget = RetryBudget::new();
        for _ in 0..100 {
            budget.deposit();
        }
        advance(Duration::from_secs(60)).await;
        assert_eq!(withdrawals(&budget), 30);
    }

    #[test]
    fn the_back_off_doubles_up_to_its_limit_and_spreads_over_all_of_it() {
        let limits = [1, 2, 3, 6, 7, 100, u32::MAX].map(longest_backoff).map(|limit| limit.as_millis());
        assert_eq!(limits, [100, 200, 400, 3_200, 5_000, 5_000, 5_000]);
        assert_eq!(longest_backoff(0), longest_backoff(1));
        let waits: Vec<_> = (0..1000).map(|_| backoff(3)).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(400)));
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(100)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(300)));
    }
}
