//! The accept loop of the admin port.
//!
//! Everyone in the cluster may connect, and the kubelet's probes must always get through. So there are few
//! connections, a new one is always accepted, and where there are too many the one goes that has been
//! without a request for longest.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::WATCH;
use crate::{grpc::ADMIN_STREAMS, hardening::file_limit, metrics::Metrics, server::Peer};

/// Kubelet, Prometheus and people need a handful.
const MOST_CONNECTIONS: usize = 64;
const FEWEST_CONNECTIONS: usize = 4;
/// The part of the open files that it may take; callers have half of them.
const SHARE_OF_FILES: u64 = 8;
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than Prometheus waits between two scrapes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// A peer that has not taken a response by then reads none.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_HEADER_LIST_SIZE: u32 = 16 * 1024;
const MAX_BUFFER: usize = 32 * 1024;
const STREAM_WINDOW: u32 = 65_535;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router, metrics: Metrics) {
    let connections = Connections::new(file_limit());
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (connection, is_full) = connections.add();
                if is_full {
                    metrics.connections_cut.get_or_create(&"admin_connections".into()).inc();
                }
                tasks.spawn(serve_one(stream, peer.into(), router.clone(), connection, metrics.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection at the admin port");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, peer: Peer, router: Router, connection: Connection, metrics: Metrics) {
    let _ = stream.set_nodelay(true);
    let requests = connection.state.clone();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let mut running = Running::new(requests.clone());
        let is_watch = request.uri().path() == WATCH;
        let response = router.clone().oneshot(request.map(Body::new));
        async move {
            let response = response.await.unwrap_or_else(|never| match never {});
            if !is_watch {
                running.is_answered();
            }
            Ok::<_, Infallible>(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _until_its_end = &running;
                    frame
                }))
            }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(MAX_BUFFER)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(ADMIN_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST_SIZE)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        result = served => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection at the admin port ended with an error");
            }
        }
        () = connection.state.idle() => {}
        () = connection.state.unread() => {
            metrics.connections_cut.get_or_create(&"unread".into()).inc();
        }
        () = connection.state.closed.cancelled() => {}
    }
}

/// The connections there are, in the order in which they came.
#[derive(Clone)]
struct Connections {
    most: usize,
    all: Arc<Mutex<All>>,
}

#[derive(Default)]
struct All {
    next: u64,
    states: BTreeMap<u64, Arc<State>>,
}

impl Connections {
    fn new(file_limit: Option<u64>) -> Self {
        let share = file_limit.and_then(|files| usize::try_from(files / SHARE_OF_FILES).ok());
        let most = share.unwrap_or(MOST_CONNECTIONS).clamp(FEWEST_CONNECTIONS, MOST_CONNECTIONS);
        Self { most, all: Arc::default() }
    }

    /// Adds one, and whether another had to go for it.
    fn add(&self) -> (Connection, bool) {
        let mut all = self.all();
        let is_full = all.states.len() >= self.most;
        if is_full {
            let without_request = all.states.iter().filter_map(|(number, state)| {
                let requests = state.requests();
                (requests.running == 0).then_some((requests.since, *number))
            });
            let idlest = without_request.min().map(|(_, number)| number);
            let goes = idlest.or_else(|| all.states.keys().next().copied());
            if let Some(state) = goes.and_then(|number| all.states.remove(&number)) {
                state.closed.cancel();
            }
        }
        let (number, state) = (all.next, Arc::new(State::default()));
        all.next += 1;
        all.states.insert(number, Arc::clone(&state));
        (Connection { number, state, connections: self.clone() }, is_full)
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the connections, until it is dropped.
struct Connection {
    number: u64,
    state: Arc<State>,
    connections: Connections,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.all().states.remove(&self.number);
    }
}

#[derive(Default)]
struct State {
    closed: CancellationToken,
    requests: Mutex<Requests>,
}

struct Requests {
    running: usize,
    /// Whether there was one.
    any: bool,
    /// When the last one ended.
    since: Instant,
    /// Those whose whole response waits for the peer, since when, each with its number.
    unread: BTreeSet<(Instant, u64)>,
    next_number: u64,
}

impl Default for Requests {
    fn default() -> Self {
        Self { running: 0, any: false, since: Instant::now(), unread: BTreeSet::new(), next_number: 0 }
    }
}

impl State {
    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when the connection has been without a request for too long.
    async fn idle(&self) {
        loop {
            let due = {
                let requests = self.requests();
                let timeout = if requests.any { IDLE_TIMEOUT } else { FIRST_REQUEST_TIMEOUT };
                let since = if requests.running == 0 { requests.since } else { Instant::now() };
                since + timeout
            };
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }

    /// Resolves when the peer has not taken a response for too long.
    async fn unread(&self) {
        loop {
            let since = self.requests().unread.first().map(|(since, _)| *since);
            let due = since.unwrap_or_else(Instant::now) + UNREAD_TIMEOUT;
            if since.is_some() && due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// A request, until its response is on its way.
struct Running {
    state: Arc<State>,
    /// Where it is among those whose response waits for the peer.
    unread: Option<(Instant, u64)>,
}

impl Running {
    fn new(state: Arc<State>) -> Self {
        let mut requests = state.requests();
        requests.running += 1;
        requests.any = true;
        drop(requests);
        Self { state, unread: None }
    }

    /// Notes that its whole response is there.
    fn is_answered(&mut self) {
        let mut requests = self.state.requests();
        let unread = (Instant::now(), requests.next_number);
        requests.next_number += 1;
        requests.unread.insert(unread);
        self.unread = Some(unread);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut requests = self.state.requests();
        requests.running -= 1;
        requests.since = Instant::now();
        if let Some(unread) = &self.unread {
            requests.unread.remove(unread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_mean_few_connections() {
        for (files, most) in [(None, 64), (Some(u64::MAX), 64), (Some(256), 32), (Some(8), 4)] {
            assert_eq!(Connections::new(files).most, most, "{files:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_has_been_without_a_request_for_longest_goes_for_a_new_one() {
        let connections = Connections::new(Some(32));
        let busy = connections.add().0;
        let _request = Running::new(Arc::clone(&busy.state));
        let mut idle = Vec::new();
        for _ in 0..3 {
            sleep(Duration::from_secs(1)).await;
            idle.push(connections.add().0);
        }
        drop(Running::new(Arc::clone(&idle[0].state)));
        let (_new, is_full) = connections.add();
        assert!(is_full);
        let closed: Vec<_> = idle.iter().map(|connection| connection.state.closed.is_cancelled()).collect();
        assert_eq!(closed, [false, true, false]);
        assert!(!busy.state.closed.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_those_that_are_all_busy_goes_as_well() {
        let connections = Connections::new(Some(32));
        let all: Vec<_> = (0..4).map(|_| connections.add().0).collect();
        let _requests: Vec<_> = all.iter().map(|busy| Running::new(Arc::clone(&busy.state))).collect();
        connections.add();
        assert!(all[0].state.closed.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_no_response_is_noticed_whatever_else_it_asks_for() {
        let state = Arc::new(State::default());
        let _watch = Running::new(Arc::clone(&state));
        let taken = async {
            for _ in 0..10 {
                let mut running = Running::new(Arc::clone(&state));
                running.is_answered();
                sleep(UNREAD_TIMEOUT / 2).await;
            }
        };
        tokio::select! {
            () = state.unread() => panic!("all responses were taken"),
            () = taken => {}
        }
        let mut running = Running::new(Arc::clone(&state));
        running.is_answered();
        let start = Instant::now();
        state.unread().await;
        assert_eq!(start.elapsed(), UNREAD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_ends_sooner_where_there_was_none() {
        let state = Arc::new(State::default());
        let start = Instant::now();
        state.idle().await;
        assert_eq!(start.elapsed(), FIRST_REQUEST_TIMEOUT);

        let request = Running::new(Arc::clone(&state));
        let start = Instant::now();
        let (idle, ()) = tokio::join!(
            async {
                state.idle().await;
                start.elapsed()
            },
            async {
                sleep(IDLE_TIMEOUT * 2).await;
                drop(request);
            }
        );
        assert!(idle >= IDLE_TIMEOUT * 3 && idle <= IDLE_TIMEOUT * 4, "{idle:?}");
    }
}
