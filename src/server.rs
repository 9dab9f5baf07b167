//! The accept loop of the gRPC port.
//!
//! tonic's own loop keeps silent connections for ever, hangs on them at shutdown, cuts calls at its
//! age limit, spins when file descriptors run out and switches two of hyper's limits off. This one
//! gives each connection a task that knows four ends: the peer's, silence, age, and the drain.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

/// More would exceed the usual limit of 65,536 open files together with the upstream's connections.
const MAX_CONNECTIONS: usize = 16_384;
/// A client that has not sent the HTTP/2 preface by then is none.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// The length of the preface (RFC 9113, section 3.4).
const PREFACE_LENGTH: usize = 24;
/// One client's share: more calls at once need more connections, which spread over replicas.
const MAX_CONCURRENT_STREAMS: u32 = 256;
/// Ends a connection whose peer provokes stream errors without end (hyper's own default).
const MAX_LOCAL_RESETS: usize = 1024;
/// What gRPC clients allow for metadata as well, and room for a bearer token.
const MAX_HEADER_LIST_SIZE: u32 = 16 * 1024;
/// Finds peers that are gone without a word.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// When accepting fails, for the most part because file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// The age at which a connection is ended gracefully, give or take a tenth: spreads the callers
    /// over new replicas.
    pub max_age: Duration,
    /// How long a connection that is being ended may take to finish its calls.
    pub grace: Duration,
}

/// Tells the loop and its connections to end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Stop accepting, end the streams that would never end, and end each connection when its calls
    /// are finished.
    pub drain: CancellationToken,
    /// End what is left.
    pub kill: CancellationToken,
}

/// The address that a call comes from, in the extensions of its request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Accepts connections and serves them until the drain begins, then waits for the last one to end.
pub async fn serve(listener: TcpListener, router: Router, lifetimes: Lifetimes, shutdown: Shutdown) {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.drain.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                let connection =
                    Connection { router: router.clone(), peer, lifetimes, shutdown: shutdown.clone() };
                connections.spawn(async move {
                    connection.serve(stream).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are small and written at once: nothing is gained by holding them back.
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    lifetimes: Lifetimes,
    shutdown: Shutdown,
}

impl Connection {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { router, peer, lifetimes, shutdown } = self;
        let received = Received::default();
        let stream = Counted { stream, received: received.clone() };
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().call(request)
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .max_header_list_size(MAX_HEADER_LIST_SIZE)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);

        let silence = async {
            sleep(PREFACE_TIMEOUT).await;
            if received.is_http2() {
                std::future::pending::<()>().await;
            }
        };
        let end = tokio::select! {
            result = &mut connection => return log_end(result, peer),
            () = silence => return tracing::debug!(%peer, "ended a connection that sent no HTTP/2 preface"),
            () = sleep(with_jitter(lifetimes.max_age)) => "age",
            () = shutdown.drain.cancelled() => "drain",
        };
        if !received.is_http2() {
            // Without a preface there is no call to finish, and hyper would wait for it for ever.
            return;
        }
        tracing::debug!(%peer, end, "ending a connection");
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            result = &mut connection => log_end(result, peer),
            () = sleep(lifetimes.grace) => tracing::info!(%peer, "cut a connection that did not finish in time"),
            () = shutdown.kill.cancelled() => {}
        }
    }
}

/// A peer that breaks off or breaks the protocol is its own problem: a line for those who look.
fn log_end(result: hyper::Result<()>, peer: SocketAddr) {
    if let Err(error) = result {
        tracing::debug!(%error, %peer, "a connection ended with an error");
    }
}

/// Keeps the callers of one deployment from coming back all at once.
fn with_jitter(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// The number of bytes that a connection has received.
#[derive(Clone, Default)]
struct Received(Arc<AtomicUsize>);

impl Received {
    fn is_http2(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= PREFACE_LENGTH
    }
}

/// A stream that counts what it receives.
struct Counted<S> {
    stream: S,
    received: Received,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.received.0.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use hyper::client::conn::http2 as client;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        task::JoinHandle,
        time::Instant,
    };

    use super::*;

    const MAX_AGE: Duration = Duration::from_secs(1800);
    const GRACE: Duration = Duration::from_secs(60);

    /// A connection to a service that answers each request after 30 seconds.
    fn connect(shutdown: &Shutdown) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(64 * 1024);
        let router = Router::new().fallback(|| sleep(Duration::from_secs(30)));
        let connection = Connection {
            router,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            lifetimes: Lifetimes { max_age: MAX_AGE, grace: GRACE },
            shutdown: shutdown.clone(),
        };
        (near, tokio::spawn(connection.serve(far)))
    }

    type Sender = client::SendRequest<axum::body::Body>;

    async fn handshake(stream: DuplexStream) -> (Sender, JoinHandle<hyper::Result<()>>) {
        let (sender, connection) = client::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        (sender, tokio::spawn(connection))
    }

    async fn call(sender: &mut Sender) -> hyper::Result<http::StatusCode> {
        let request = http::Request::post("http://service/method").body(axum::body::Body::empty()).unwrap();
        sender.send_request(request).await.map(|response| response.status())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_cut() {
        for sent in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
            let start = Instant::now();
            let (mut stream, served) = connect(&Shutdown::default());
            stream.write_all(sent).await.unwrap();
            served.await.unwrap();
            assert_eq!(start.elapsed(), PREFACE_TIMEOUT);
            // hyper may have sent its settings; then the stream ends.
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_does_not_hold_up_the_drain() {
        let shutdown = Shutdown::default();
        let (_stream, served) = connect(&shutdown);
        let start = Instant::now();
        shutdown.drain.cancel();
        served.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_lives_until_its_age_give_or_take_a_tenth() {
        let (stream, served) = connect(&Shutdown::default());
        let (_sender, client) = handshake(stream).await;
        let start = Instant::now();
        served.await.unwrap();
        let age = start.elapsed();
        assert!(age >= MAX_AGE.mul_f64(0.89) && age <= MAX_AGE.mul_f64(1.11), "{age:?}");
        client.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_under_way_is_finished_when_the_connection_drains() {
        let shutdown = Shutdown::default();
        let (stream, served) = connect(&shutdown);
        let (mut sender, _client) = handshake(stream).await;
        let answer = tokio::spawn(async move { call(&mut sender).await });
        sleep(Duration::from_secs(10)).await;
        shutdown.drain.cancel();
        assert_eq!(answer.await.unwrap().unwrap(), http::StatusCode::OK);
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_outlasts_the_drain_is_cut_with_it() {
        let shutdown = Shutdown::default();
        let (stream, served) = connect(&shutdown);
        let (mut sender, _client) = handshake(stream).await;
        let answer = tokio::spawn(async move { call(&mut sender).await });
        sleep(Duration::from_secs(10)).await;
        shutdown.drain.cancel();
        shutdown.kill.cancel();
        served.await.unwrap();
        answer.await.unwrap().unwrap_err();
    }
}
