//! The circuit breaker: stops requests for a while when the service keeps failing.
//!
//! *Closed*, it admits every request. After too many failures it *opens* and admits none. When the pause
//! is over it is *half-open* and admits one request as a probe. If the probe succeeds, the breaker closes; if
//! it fails, the breaker opens again for twice as long. A probe that ends without a verdict, or does not end,
//! is replaced by the next one.
//!
//! Own code, because tower and its companions have no breaker, and those elsewhere judge a call by its result
//! alone: here a refusal counts as a success, and a throttle or an impatient caller as neither.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

/// The number of failures in a row that opens the breaker.
const MOST_IN_A_ROW: u32 = 5;
/// It also opens when half of the verdicts within this time are failures …
const WINDOW: Duration = Duration::from_secs(10);
/// … of at least so many.
const FEWEST_TO_JUDGE: u32 = 20;
/// Verdicts expire in portions of this length.
const SLOT: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a request says about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It works: it replied, if only with a refusal.
    Works,
    /// It cannot be reached, does not reply, or replies that it fails.
    Fails,
}

/// Shared by all calls; closed at the start.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Machine>);

impl Breaker {
    /// `service` is its name in the log.
    pub(crate) fn of(service: &'static str, opened: Counter) -> Self {
        Self(Mutex::new(Machine { service, opened, ..Machine::default() }))
    }

    /// Whether it would reject a request.
    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().is_open(Instant::now())
    }

    /// Admits a request.
    ///
    /// # Errors
    /// How long the breaker rejects requests.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<BreakerPermit, Duration> {
        let phase = self.0.lock().admit(Instant::now())?;
        Ok(BreakerPermit { breaker: Arc::clone(self), phase, has_verdict: AtomicBool::new(false) })
    }
}

/// The permission to send one request and to report one verdict. Dropping it reports nothing.
#[derive(Debug)]
pub(crate) struct BreakerPermit {
    breaker: Arc<Breaker>,
    phase: u64,
    has_verdict: AtomicBool,
}

impl BreakerPermit {
    /// Reports what the request says about the service. Only the first verdict counts.
    pub(crate) fn judge(&self, verdict: Verdict) {
        if !self.has_verdict.swap(true, Ordering::Relaxed) {
            self.breaker.0.lock().judge(self.phase, verdict, Instant::now());
        }
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        if !*self.has_verdict.get_mut() {
            self.breaker.0.lock().release(self.phase, Instant::now());
        }
    }
}

#[derive(Debug, Default)]
struct Machine {
    /// For the log.
    service: &'static str,
    state: State,
    /// Counts the changes of state: a verdict on a request that was admitted before the last change says
    /// nothing about the time since.
    phase: u64,
    opened: Counter,
}

#[derive(Debug)]
enum State {
    Closed(Verdicts),
    Open { until: Instant, pause: Duration },
    HalfOpen { next_probe: Instant, pause: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(Verdicts::default())
    }
}

impl Machine {
    fn admit(&mut self, now: Instant) -> Result<u64, Duration> {
        match &mut self.state {
            State::Closed(_) => {}
            State::Open { until, .. } if now < *until => return Err(*until - now),
            State::HalfOpen { next_probe, .. } if now < *next_probe => return Err(*next_probe - now),
            State::HalfOpen { next_probe, pause } => *next_probe = now + *pause,
            State::Open { pause, .. } => {
                let pause = *pause;
                tracing::info!("the circuit breaker of {} is half-open: one request probes", self.service);
                self.change(State::HalfOpen { next_probe: now + pause, pause });
            }
        }
        Ok(self.phase)
    }

    fn is_open(&self, now: Instant) -> bool {
        match self.state {
            State::Closed(_) => false,
            State::Open { until: next, .. } | State::HalfOpen { next_probe: next, .. } => now < next,
        }
    }

    fn judge(&mut self, phase: u64, verdict: Verdict, now: Instant) {
        if phase != self.phase {
            return;
        }
        match (&mut self.state, verdict) {
            (State::Closed(verdicts), _) => {
                verdicts.add(verdict, now);
                if verdict == Verdict::Fails && verdicts.are_bad() {
                    self.open(FIRST_PAUSE, now);
                }
            }
            (State::HalfOpen { pause, .. }, Verdict::Fails) => {
                let pause = (*pause * 2).min(LONGEST_PAUSE);
                self.open(pause, now);
            }
            (State::HalfOpen { .. }, Verdict::Works) => {
                tracing::info!("the circuit breaker of {} is closed: a probe succeeded", self.service);
                self.change(State::default());
            }
            // Nothing was admitted in this phase.
            (State::Open { .. }, _) => {}
        }
    }

    /// A request that was admitted in a phase ended without a verdict.
    fn release(&mut self, phase: u64, now: Instant) {
        if let State::HalfOpen { next_probe, .. } = &mut self.state
            && phase == self.phase
        {
            *next_probe = now;
        }
    }

    fn open(&mut self, pause: Duration, now: Instant) {
        let shown = format_args!("{pause:.3?}");
        tracing::warn!(pause = %shown, "the circuit breaker of {} is open: it keeps failing", self.service);
        self.opened.inc();
        self.change(State::Open { until: now + pause, pause });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.phase += 1;
    }
}

/// The verdicts of the last seconds.
#[derive(Debug, Default)]
struct Verdicts {
    slots: VecDeque<Slot>,
    failures_in_a_row: u32,
}

#[derive(Debug)]
struct Slot {
    start: Instant,
    verdicts: u32,
    failures: u32,
}

impl Verdicts {
    fn add(&mut self, verdict: Verdict, now: Instant) {
        self.slots.retain(|slot| now.duration_since(slot.start) < WINDOW);
        if self.slots.back().is_none_or(|slot| now.duration_since(slot.start) >= SLOT) {
            self.slots.push_back(Slot { start: now, verdicts: 0, failures: 0 });
        }
        let is_failure = verdict == Verdict::Fails;
        if let Some(slot) = self.slots.back_mut() {
            slot.verdicts += 1;
            slot.failures += u32::from(is_failure);
        }
        self.failures_in_a_row = if is_failure { self.failures_in_a_row + 1 } else { 0 };
    }

    fn are_bad(&self) -> bool {
        let verdicts: u32 = self.slots.iter().map(|slot| slot.verdicts).sum();
        let failures: u32 = self.slots.iter().map(|slot| slot.failures).sum();
        self.failures_in_a_row >= MOST_IN_A_ROW || (verdicts >= FEWEST_TO_JUDGE && 2 * failures >= verdicts)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::{Verdict::*, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn judge(breaker: &Arc<Breaker>, verdicts: impl IntoIterator<Item = Verdict>) {
        for verdict in verdicts {
            breaker.admit().unwrap().judge(verdict);
        }
    }

    fn opened() -> Arc<Breaker> {
        let breaker = Arc::default();
        judge(&breaker, [Fails; 5]);
        breaker
    }

    fn rejection(breaker: &Arc<Breaker>) -> Option<Duration> {
        breaker.admit().err()
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_open_it() {
        let breaker = Arc::default();
        judge(&breaker, [Fails, Fails, Fails, Fails, Works, Fails, Fails, Fails, Fails]);
        assert_eq!(rejection(&breaker), None);
        judge(&breaker, [Fails]);
        assert_eq!(rejection(&breaker), Some(5 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn it_reports_whether_it_rejects_and_how_often_it_opened() {
        let opened = Counter::default();
        let breaker = Arc::new(Breaker::of("the Flow Service", opened.clone()));
        judge(&breaker, [Fails; 5]);
        assert_eq!((breaker.is_open(), opened.get()), (true, 1));
        advance(5 * SECOND).await;
        assert!(!breaker.is_open());
        // Everything but the probe is rejected.
        let probe = breaker.admit().unwrap();
        assert!(breaker.is_open());
        probe.judge(Fails);
        assert_eq!((breaker.is_open(), opened.get()), (true, 2));
        advance(10 * SECOND).await;
        judge(&breaker, [Works]);
        assert_eq!((breaker.is_open(), opened.get()), (false, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_twenty_verdicts_within_ten_seconds_open_it() {
        let breaker = Arc::default();
        judge(&breaker, [Works, Fails].repeat(9));
        judge(&breaker, [Works]);
        assert_eq!(rejection(&breaker), None);
        judge(&breaker, [Fails]);
        assert_eq!(rejection(&breaker), Some(5 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn old_verdicts_expire() {
        let breaker = Arc::default();
        judge(&breaker, [Works, Fails].repeat(9));
        advance(10 * SECOND).await;
        judge(&breaker, [Works, Fails].repeat(9));
        advance(5 * SECOND).await;
        assert_eq!(rejection(&breaker), None);
        judge(&breaker, [Works, Fails]);
        assert!(rejection(&breaker).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_probe_that_succeeds_closes_it() {
        let breaker = opened();
        advance(5 * SECOND).await;
        let probe = breaker.admit().unwrap();
        assert!(rejection(&breaker).is_some());
        probe.judge(Works);
        judge(&breaker, [Fails; 4]);
        assert_eq!(rejection(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_while_probes_fail_and_starts_again_after_a_success() {
        let breaker = opened();
        for seconds in [5, 10, 20, 30, 30] {
            assert_eq!(rejection(&breaker), Some(seconds * SECOND));
            advance(seconds * SECOND).await;
            judge(&breaker, [Fails]);
        }
        advance(30 * SECOND).await;
        judge(&breaker, [Works]);
        judge(&breaker, [Fails; 5]);
        assert_eq!(rejection(&breaker), Some(5 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_without_a_verdict_is_replaced() {
        let breaker = opened();
        advance(5 * SECOND).await;
        drop(breaker.admit().unwrap());
        judge(&breaker, [Works]);
        assert_eq!(rejection(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_does_not_end_is_replaced_and_still_counts() {
        let breaker = opened();
        advance(5 * SECOND).await;
        let slow = breaker.admit().unwrap();
        assert_eq!(rejection(&breaker), Some(5 * SECOND));
        advance(5 * SECOND).await;
        let second = breaker.admit().unwrap();
        slow.judge(Works);
        assert_eq!(rejection(&breaker), None);
        second.judge(Fails);
        assert_eq!(rejection(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_on_an_earlier_phase_does_not_count() {
        let breaker = Arc::default();
        let [works, fails, silent] = [(); 3].map(|()| Breaker::admit(&breaker).unwrap());
        judge(&breaker, [Fails; 5]);
        works.judge(Works);
        drop(silent);
        assert_eq!(rejection(&breaker), Some(5 * SECOND));
        advance(5 * SECOND).await;
        let probe = breaker.admit().unwrap();
        fails.judge(Fails);
        probe.judge(Works);
        assert_eq!(rejection(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_verdict_on_one_request_does_not_count() {
        let breaker = Arc::default();
        let permit = Breaker::admit(&breaker).unwrap();
        for _ in 0..20 {
            permit.judge(Fails);
        }
        assert_eq!(rejection(&breaker), None);
    }
}
