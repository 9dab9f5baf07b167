//! Sends calls: open loop at a fixed rate, or closed loop with fixed concurrency.

use std::{num::NonZeroUsize, time::Duration};

use rustix::{
    fd::OwnedFd,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    Ok,
    /// `RESOURCE_EXHAUSTED`.
    Refused,
    Failed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Measured from the time at which the call was due, so that a delay of the generator counts as well.
    pub(crate) latency: Duration,
    pub(crate) done: Instant,
    pub(crate) result: CallResult,
}

/// The calls of a period.
#[derive(Debug, Default)]
pub(crate) struct Run {
    samples: Vec<Sample>,
}

impl Run {
    pub(crate) fn calls(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn count(&self, result: CallResult) -> usize {
        self.samples.iter().filter(|sample| sample.result == result).count()
    }

    /// A quantile of the latency of the calls with this result, in microseconds.
    pub(crate) fn latency(&self, result: CallResult, quantile: f64) -> f64 {
        let with_answer = self.samples.iter().filter(|sample| sample.result == result);
        let mut latencies: Vec<_> = with_answer.map(|sample| sample.latency).collect();
        if latencies.is_empty() {
            return f64::NAN;
        }
        latencies.sort_unstable();
        let rank = (quantile * latencies.len() as f64).ceil() as usize;
        latencies[rank.clamp(1, latencies.len()) - 1].as_secs_f64() * 1e6
    }

    /// Successful calls per second once `in_flight` calls are running. Those of a slow upstream come in
    /// bursts: the time from the end of the first burst to the end of the last one holds a whole number
    /// of bursts.
    pub(crate) fn rate(&self, in_flight: usize) -> f64 {
        let good = self.samples.iter().filter(|sample| sample.result == CallResult::Ok);
        let mut done: Vec<_> = good.map(|sample| sample.done).collect();
        done.sort_unstable();
        match (in_flight.checked_sub(1).and_then(|last| done.get(last)), done.last()) {
            (Some(first), Some(last)) if last > first => {
                (done.len() - in_flight) as f64 / (*last - *first).as_secs_f64()
            }
            _ => f64::NAN,
        }
    }
}

/// Sends calls at a fixed rate, each at its time, no matter how long earlier ones take.
pub(crate) async fn open<F>(rate: f64, time: Duration, call: impl Fn() -> F) -> Run
where
    F: Future<Output = CallResult> + Send + 'static,
{
    let count = (time.as_secs_f64() * rate).ceil() as u32;
    let period = Duration::from_secs_f64(1.0 / rate);
    let (samples, received) = unbounded_channel();
    let ticks = Ticks::every(period);
    let mut sent = 0;
    while sent < count {
        for _ in 0..ticks.due().await.min(u64::from(count - sent)) {
            sent += 1;
            let due = ticks.start + period * sent;
            tokio::spawn(sample(due, call(), samples.clone()));
        }
    }
    drop(samples);
    collect(received).await
}

/// Keeps a fixed number of calls running.
pub(crate) async fn closed<F>(
    in_flight: NonZeroUsize,
    time: Duration,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> Run
where
    F: Future<Output = CallResult> + Send + 'static,
{
    let end = Instant::now() + time;
    until(in_flight, call, move || Instant::now() < end).await
}

/// Makes at least this many calls with fixed concurrency.
pub(crate) async fn times<F>(
    in_flight: NonZeroUsize,
    calls: usize,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> Run
where
    F: Future<Output = CallResult> + Send + 'static,
{
    let started = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    until(in_flight, call, move || started.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < calls).await
}

async fn until<F>(
    in_flight: NonZeroUsize,
    call: impl Fn() -> F + Clone + Send + 'static,
    go_on: impl Fn() -> bool + Clone + Send + 'static,
) -> Run
where
    F: Future<Output = CallResult> + Send + 'static,
{
    let (samples, received) = unbounded_channel();
    for _ in 0..in_flight.get() {
        let (samples, call, go_on) = (samples.clone(), call.clone(), go_on.clone());
        tokio::spawn(async move {
            while go_on() {
                sample(Instant::now(), call(), samples.clone()).await;
            }
        });
    }
    drop(samples);
    collect(received).await
}

async fn sample(due: Instant, call: impl Future<Output = CallResult>, samples: UnboundedSender<Sample>) {
    let result = call.await;
    let done = Instant::now();
    // The receiver waits for every sender.
    let _ = samples.send(Sample { latency: done - due, done, result });
}

async fn collect(mut received: UnboundedReceiver<Sample>) -> Run {
    let mut samples = Vec::new();
    while received.recv_many(&mut samples, 1024).await > 0 {}
    Run { samples }
}

/// A timer of the operating system: tokio's own has a resolution of milliseconds.
struct Ticks {
    timer: AsyncFd<OwnedFd>,
    start: Instant,
}

impl Ticks {
    fn every(period: Duration) -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).unwrap();
        let period = Timespec::try_from(period).unwrap();
        let start = Instant::now();
        let times = Itimerspec { it_interval: period, it_value: period };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times).unwrap();
        #[expect(
            deprecated,
            reason = "unsound for a type that lies about its descriptor, which this one does not; the other is unsafe"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE).unwrap();
        Self { timer, start }
    }

    /// Waits for the next tick, and returns how many there were since the last call.
    async fn due(&self) -> u64 {
        loop {
            let mut ready = self.timer.readable().await.unwrap();
            let mut ticks = [0; 8];
            match ready.try_io(|timer| Ok(rustix::io::read(timer, &mut ticks)?)) {
                Ok(read) => {
                    read.unwrap();
                    return u64::from_ne_bytes(ticks);
                }
                Err(_would_block) => {}
            }
        }
    }
}
