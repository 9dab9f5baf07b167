//! The requests of one connection, at either port.
//!
//! hyper ends a connection whose peer does not acknowledge pings. It keeps one that never has a request, and one
//! whose peer acknowledges pings and reads no response.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// A peer that has not read a response by then does not read it at all.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The requests of one connection. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    running: usize,
    /// Whether there was a request so far.
    any: bool,
    last_end: Instant,
    /// Requests that have no response yet.
    pending: usize,
    last_response: Instant,
    /// When each complete response began that the peer has not read yet. The oldest has the lowest number.
    unread: BTreeMap<u64, Instant>,
}

impl Default for State {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            running: 0,
            any: false,
            last_end: now,
            pending: 0,
            last_response: now,
            unread: BTreeMap::new(),
        }
    }
}

impl State {
    fn idle_since(&self) -> Option<Instant> {
        (self.running == 0).then_some(self.last_end)
    }
}

impl Requests {
    pub(crate) fn begin(&self) -> Request {
        let mut state = self.lock();
        state.any = true;
        state.running += 1;
        state.pending += 1;
        Request { requests: self.clone(), has_response: false, unread: None }
    }

    /// `None` while a request is running.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.lock().idle_since()
    }

    /// Resolves when there was no request for too long, and returns whether there ever was one.
    pub(crate) async fn idle(&self, before_the_first: Duration, after_the_last: Duration) -> bool {
        self.lasts(|state| (state.idle_since(), if state.any { after_the_last } else { before_the_first }))
            .await;
        self.lock().any
    }

    /// Resolves when the peer has not read a response for too long.
    pub(crate) async fn unread(&self) {
        self.lasts(|state| (state.unread.values().next().copied(), UNREAD_TIMEOUT)).await;
    }

    /// Resolves when from now on every request has had its response for so long.
    pub(super) async fn all_responded(&self, time: Duration) {
        let now = Instant::now();
        self.lasts(|state| ((state.pending == 0).then(|| state.last_response.max(now)), time)).await;
    }

    /// Resolves when a condition has lasted for a time. `condition` returns since when it holds, and the time.
    async fn lasts(&self, condition: impl Fn(&State) -> (Option<Instant>, Duration)) {
        loop {
            let (since, time) = condition(&self.lock());
            let now = Instant::now();
            let due = since.unwrap_or(now) + time;
            if since.is_some() && due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, until its response is sent or it is cancelled.
#[derive(Debug)]
pub(crate) struct Request {
    requests: Requests,
    pub(super) has_response: bool,
    /// The number of its response.
    unread: Option<u64>,
}

impl Request {
    /// The response has begun. A stream continues later; any other response waits only for the peer.
    pub(crate) fn begin_response(&mut self, is_stream: bool) {
        let now = Instant::now();
        let mut state = self.requests.lock();
        state.pending -= 1;
        state.last_response = now;
        if !is_stream {
            let number = state.unread.last_key_value().map_or(0, |(last, _)| last + 1);
            state.unread.insert(number, now);
            self.unread = Some(number);
        }
        drop(state);
        self.has_response = true;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.requests.lock();
        state.running -= 1;
        state.last_end = Instant::now();
        if !self.has_response {
            state.pending -= 1;
            state.last_response = state.last_end;
        }
        if let Some(number) = &self.unread {
            state.unread.remove(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_no_response_is_noticed_whatever_else_it_requests() {
        let requests = Requests::default();
        let mut watch = requests.begin();
        watch.begin_response(true);
        let read = async {
            for _ in 0..10 {
                let mut request = requests.begin();
                request.begin_response(false);
                sleep(UNREAD_TIMEOUT / 2).await;
            }
        };
        tokio::select! {
            () = requests.unread() => panic!("all responses were read"),
            () = read => {}
        }
        let mut request = requests.begin();
        request.begin_response(false);
        let start = Instant::now();
        requests.unread().await;
        assert_eq!(start.elapsed(), UNREAD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_is_idle_sooner_before_the_first_one() {
        const FIRST: Duration = Duration::from_secs(10);
        const NEXT: Duration = Duration::from_secs(75);
        let requests = Requests::default();
        let start = Instant::now();
        assert!(!requests.idle(FIRST, NEXT).await);
        assert_eq!(start.elapsed(), FIRST);

        let request = requests.begin();
        let start = Instant::now();
        let (idle, ()) = tokio::join!(
            async {
                assert!(requests.idle(FIRST, NEXT).await);
                start.elapsed()
            },
            async {
                sleep(NEXT * 2).await;
                drop(request);
            }
        );
        assert!(idle >= NEXT * 3 && idle <= NEXT * 4, "{idle:?}");
    }
}
