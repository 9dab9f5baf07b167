//! The time that a call waits for other services and not for this one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

tokio::task_local! {
    /// The time of the call that this task executes.
    static OF_CALL: Arc<UpstreamTime>;
}

/// How long a call has waited for other services: for replies, for the permission to send a request, and for the
/// next attempt. Waits that overlap count once.
#[derive(Debug, Default)]
pub struct UpstreamTime(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    /// The complete ones.
    total: Duration,
    /// When the first of those in progress began, and how many there are.
    in_progress: Option<(Instant, usize)>,
}

impl UpstreamTime {
    /// Executes a call, whose waits count from now on.
    pub async fn of<T>(self: &Arc<Self>, call: impl Future<Output = T>) -> T {
        OF_CALL.scope(Arc::clone(self), call).await
    }

    /// The time up to now.
    pub fn total(&self) -> Duration {
        let waits = self.waits();
        waits.total + waits.in_progress.map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as a wait of the call that begins it, until it is dropped.
#[derive(Debug)]
#[must_use = "the wait ends when this is dropped"]
pub struct UpstreamWait(Option<Arc<UpstreamTime>>);

impl UpstreamWait {
    /// Begins a wait. Outside of a call nothing is counted.
    pub fn begin() -> Self {
        let time = OF_CALL.try_with(Arc::clone).ok();
        if let Some(time) = &time {
            let mut waits = time.waits();
            let (since, count) = waits.in_progress.unwrap_or_else(|| (Instant::now(), 0));
            waits.in_progress = Some((since, count + 1));
        }
        Self(time)
    }

    /// Waits for the moment of the next request.
    pub async fn pause(pause: Duration) {
        let _wait = Self::begin();
        sleep(pause).await;
    }
}

impl Drop for UpstreamWait {
    fn drop(&mut self) {
        let Some(time) = &self.0 else { return };
        let mut waits = time.waits();
        let Some((since, count)) = waits.in_progress else { return };
        waits.in_progress = (count > 1).then(|| (since, count - 1));
        if count <= 1 {
            waits.total += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn wait(seconds: u32) {
        UpstreamWait::pause(SECOND * seconds).await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_waits_count_and_those_at_the_same_time_count_once() {
        let time = Arc::default();
        UpstreamTime::of(&time, async {
            wait(1).await;
            sleep(SECOND * 10).await;
            tokio::join!(wait(2), wait(3), async {
                sleep(SECOND).await;
                wait(4).await;
            });
        })
        .await;
        assert_eq!(time.total(), SECOND * 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_has_not_ended_counts_up_to_now() {
        let time = Arc::default();
        let call = UpstreamTime::of(&time, wait(60));
        tokio::time::timeout(SECOND * 5, call).await.unwrap_err();
        assert_eq!(time.total(), SECOND * 5);
        let _wait = UpstreamTime::of(&time, async { UpstreamWait::begin() }).await;
        sleep(SECOND).await;
        assert_eq!(time.total(), SECOND * 6);
    }

    #[tokio::test(start_paused = true)]
    async fn what_outlives_its_call_or_belongs_to_none_disturbs_no_other() {
        let time = Arc::default();
        let wait_of_a_call = UpstreamTime::of(&time, async { UpstreamWait::begin() }).await;
        wait(1).await;
        drop(wait_of_a_call);
        wait(1).await;
        assert_eq!(time.total(), SECOND);
    }
}
