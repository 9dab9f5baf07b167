//! The accept loop of the admin port.
//!
//! Everyone in the cluster may connect, and the kubelet's probes must always get through. So the number of connections
//! is small, a new one is always accepted, and beyond the limit the one that was idle the longest is closed. axum's
//! own loop has neither limits nor timeouts.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tower::ServiceExt as _;

use super::WATCH;
use crate::{
    grpc::ADMIN_STREAMS,
    hardening::file_limit,
    metrics::Metrics,
    server::{Peer, Requests},
};

/// Kubelet, Prometheus and people need a handful.
const MAX_CONNECTIONS: usize = 64;
const MIN_CONNECTIONS: usize = 4;
/// The share of the open files that it may use. Callers have half of them.
const SHARE_OF_FILES: u64 = 8;
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than Prometheus waits between two scrapes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
const MAX_HEADER_LIST_SIZE: u32 = 16 * 1024;
const MAX_BUFFER: usize = 32 * 1024;
const STREAM_WINDOW: u32 = 65_535;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router, metrics: Metrics) {
    let limit = connection_limit(file_limit());
    let mut tasks = JoinSet::new();
    let mut connections = Vec::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                if close_one_beyond(limit, &mut connections) {
                    metrics.connections_cut.get_or_create(&"admin_connections".into()).inc();
                }
                let requests = Requests::default();
                let served =
                    serve_one(stream, peer.into(), router.clone(), requests.clone(), metrics.clone());
                connections.push(Connection { requests, task: tasks.spawn(served) });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection at the admin port");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, peer: Peer, router: Router, requests: Requests, metrics: Metrics) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let mut running = requests.begin();
        let is_watch = request.uri().path() == WATCH;
        let response = router.clone().oneshot(request.map(Body::new));
        async move {
            let response = response.await.unwrap_or_else(|never| match never {});
            running.begin_response(is_watch);
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
    tokio::select! {
        result = builder.serve_connection(TokioIo::new(stream), service) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection at the admin port ended with an error");
            }
        }
        _ = requests.idle(FIRST_REQUEST_TIMEOUT, IDLE_TIMEOUT) => {}
        () = requests.unread() => {
            metrics.connections_cut.get_or_create(&"unread".into()).inc();
        }
    }
}

fn connection_limit(file_limit: Option<u64>) -> usize {
    let share = file_limit.and_then(|files| usize::try_from(files / SHARE_OF_FILES).ok());
    share.unwrap_or(MAX_CONNECTIONS).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

struct Connection {
    requests: Requests,
    task: AbortHandle,
}

/// Closes a connection if there are as many as the limit: the one that has been idle the longest, or the oldest one if
/// none is idle. The connections are in the order in which they came. Returns whether one was closed.
fn close_one_beyond(limit: usize, connections: &mut Vec<Connection>) -> bool {
    connections.retain(|connection| !connection.task.is_finished());
    if connections.len() < limit {
        return false;
    }
    let idle = connections.iter().enumerate().map(|(index, connection)| {
        let since = connection.requests.idle_since();
        (since.is_none(), since, index)
    });
    if let Some((_, _, index)) = idle.min() {
        connections.remove(index).task.abort();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 4;

    #[test]
    fn fewer_open_files_mean_fewer_connections() {
        for (files, limit) in [(None, 64), (Some(u64::MAX), 64), (Some(256), 32), (Some(8), 4)] {
            assert_eq!(connection_limit(files), limit, "{files:?}");
        }
    }

    /// Adds a connection whose task never ends. Returns its requests, its task, and whether another one was closed.
    fn add(connections: &mut Vec<Connection>) -> (Requests, tokio::task::JoinHandle<()>, bool) {
        let was_closed = close_one_beyond(LIMIT, connections);
        let task = tokio::spawn(std::future::pending());
        let requests = Requests::default();
        connections.push(Connection { requests: requests.clone(), task: task.abort_handle() });
        (requests, task, was_closed)
    }

    /// Whether each task was aborted.
    async fn closed(tasks: &[tokio::task::JoinHandle<()>]) -> Vec<bool> {
        tokio::task::yield_now().await;
        tasks.iter().map(tokio::task::JoinHandle::is_finished).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_was_idle_the_longest_is_closed_for_a_new_one() {
        let mut connections = Vec::new();
        let (busy, task, _) = add(&mut connections);
        let _request = busy.begin();
        let (mut idle, mut tasks) = (Vec::new(), vec![task]);
        for _ in 0..3 {
            sleep(Duration::from_secs(1)).await;
            let (requests, task, was_closed) = add(&mut connections);
            assert!(!was_closed);
            idle.push(requests);
            tasks.push(task);
        }
        drop(idle[0].begin());
        assert!(add(&mut connections).2);
        assert_eq!(closed(&tasks).await, [false, false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_connection_is_closed_if_none_is_idle() {
        let mut connections = Vec::new();
        let (mut running, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..LIMIT {
            let (requests, task, _) = add(&mut connections);
            running.push(requests.begin());
            tasks.push(task);
        }
        assert!(add(&mut connections).2);
        assert_eq!(closed(&tasks).await, [true, false, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_ended_does_not_count() {
        let mut connections = Vec::new();
        for _ in 0..LIMIT {
            add(&mut connections).1.abort();
        }
        tokio::task::yield_now().await;
        assert!(!add(&mut connections).2);
    }
}
