//! One connection, from its first byte to one of its ends: the peer's, a limit, age, or the drain.
//!
//! The limits keep a hostile peer from costing more than a caller: each is far beyond what a gRPC
//! client does, and ends that connection alone.

use std::{net::SocketAddr, time::Duration};

use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::body::Body;

use super::{
    Ending, Endless, FIRST_WORDS, Handler, Lifetimes, Peer, PeerCertificate, Shutdown, after,
    authority::AuthorityReader,
    opening::{self, Opening, PREFACE},
    traffic::{Counted, Traffic},
};
use crate::metrics::Metrics;

/// A client that has not sent the HTTP/2 preface by then is none.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client connects because it has a call to make. One that keeps a connection for later, as those do
/// that spread their calls over replicas, opens another one now and then.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection without calls for so long costs its caller less to open again than to keep.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// One client's share: more calls at once need more connections, which spread over replicas.
const MAX_CONCURRENT_STREAMS: u32 = 256;
/// What a call may have sent that nobody has read: about the largest message.
const STREAM_WINDOW: u32 = 65_535;
/// The same of all calls of a connection, on which depends what it costs at most. h2 allows half of it for the
/// overhead of small frames, at 256 bytes each, that wait to be read: two for each call.
const CONNECTION_WINDOW: u32 = 2 * 2 * 256 * MAX_CONCURRENT_STREAMS;
/// Ends a connection whose peer provokes stream errors without end (hyper's own default).
const MAX_LOCAL_RESETS: usize = 1024;
/// Beyond it HTTP/2 refuses a call with the status 431, which no gRPC client can explain: the service's own
/// limit is well below.
const MAX_HEADER_LIST_SIZE: u32 = 64 * 1024;
/// How long a connection lives at most while its callers are sent elsewhere. A caller that watches the
/// health waits that long for another replica where a balancer stands before them, and all of them
/// together do not come back at once.
const LEAVING_AGE: Duration = Duration::from_secs(1);
/// A peer that has not taken an answer by then reads none.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection that is being ended may take once all its calls are answered. Its peer may be
/// gone, and would hold up the drain.
const LAST_READ: Duration = Duration::from_secs(5);
/// Finds peers that are gone without a word.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a connection ended before its first byte.
pub(super) const PROBE: &str = "probe";

pub(super) struct Connection {
    pub(super) handler: Handler,
    pub(super) peer: SocketAddr,
    pub(super) certificate: Option<PeerCertificate>,
    pub(super) lifetimes: Lifetimes,
    pub(super) shutdown: Shutdown,
    /// Where its calls are told apart from those that are over.
    pub(super) under_way: TaskTracker,
    pub(super) metrics: Metrics,
}

impl Connection {
    pub(super) async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let cut = |limit: &'static str| {
            self.metrics.connections_cut.get_or_create(&limit.into()).inc();
            tracing::info!(peer = %self.peer, limit, "cut a connection at its limit");
        };
        let refused = |reason: &'static str| {
            self.metrics.requests_refused.get_or_create(&reason.into()).inc();
            tracing::info!(peer = %self.peer, reason, "refused a connection that does not begin with HTTP/2");
        };
        let opening = tokio::select! {
            // Without a preface there is no call to finish.
            () = after(&self.shutdown.drain, FIRST_WORDS) => return,
            opening = timeout(PREFACE_TIMEOUT, opening::read(&mut stream)) => opening,
        };
        match opening {
            Ok(Ok(Opening::Http2)) => self.serve_http2(stream).await,
            Ok(Ok(Opening::Http1 { is_head })) => {
                refused("http1");
                opening::refuse_http1(stream, is_head).await;
            }
            Ok(Ok(Opening::Unknown)) => refused("not_http"),
            // A port that is looked at is no event.
            Ok(Ok(Opening::Nothing) | Err(_)) => {
                self.metrics.connections_idle.get_or_create(&PROBE.into()).inc();
            }
            Err(_) => cut("preface"),
        }
    }

    async fn serve_http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { handler, peer, certificate, lifetimes, shutdown, under_way, metrics } = self;
        let traffic = Traffic::default();
        let stream = Counted {
            stream,
            read: PREFACE,
            traffic: traffic.clone(),
            authority: AuthorityReader::default(),
        };
        let calls = traffic.clone();
        let text = Peer::from(peer);
        let ending = Ending(CancellationToken::new());
        let ends = ending.0.clone();
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(text.clone());
            request.extensions_mut().insert(ending.clone());
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            let mut call = calls.begin();
            let broken_off = call.request();
            let request = request.map(|body| {
                Body::new(body.map_err(move |error| {
                    broken_off.note();
                    error
                }))
            });
            let answer = under_way.track_future(handler.answer(request));
            async move {
                let response = answer.await;
                call.is_answered(response.extensions().get::<Endless>().is_some());
                // It is a call until all of its answer is on its way.
                Ok::<_, std::convert::Infallible>(response.map(|body| {
                    body.map_frame(move |frame| {
                        let _under_way = &call;
                        frame
                    })
                }))
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .max_header_list_size(MAX_HEADER_LIST_SIZE)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);

        let cut = |limit: &'static str| {
            metrics.connections_cut.get_or_create(&limit.into()).inc();
            tracing::info!(%peer, limit, "cut a connection at its limit");
        };
        let end = tokio::select! {
            result = &mut connection => return log_end(result, peer),
            () = sleep(with_jitter(lifetimes.max_age)) => "age",
            () = after(&shutdown.leave, LEAVING_AGE.mul_f64(fastrand::f64())) => "leave",
            () = shutdown.drain.cancelled() => "drain",
            limit = traffic.crossed() => return cut(limit),
            () = unread(&traffic) => return cut("unread"),
            limit = idleness(&traffic) => {
                // Nothing out of the ordinary: clients connect before they call, and keep connections.
                metrics.connections_idle.get_or_create(&limit.into()).inc();
                limit
            }
        };
        tracing::debug!(%peer, end, "ending a connection");
        connection.as_mut().graceful_shutdown();
        let finish = async {
            // Who watches the health hears from it as long as it can be asked.
            if end == "leave" {
                shutdown.drain.cancelled().await;
            }
            ends.cancel();
            answered(&traffic).await;
        };
        tokio::select! {
            result = &mut connection => log_end(result, peer),
            () = sleep(lifetimes.grace) => tracing::info!(%peer, "cut a connection that did not finish in time"),
            limit = traffic.crossed() => cut(limit),
            () = finish => tracing::debug!(%peer, "a peer does not take its last answers"),
            () = shutdown.kill.cancelled() => {}
        }
    }
}

/// Resolves when the peer has not taken an answer for too long.
async fn unread(traffic: &Traffic) {
    loop {
        let since = traffic.unread_since();
        let due = since.unwrap_or_else(Instant::now) + UNREAD_TIMEOUT;
        if since.is_some() && due <= Instant::now() {
            return;
        }
        sleep_until(due).await;
    }
}

/// Resolves when every call has been answered for so long that the peer should have read it all.
async fn answered(traffic: &Traffic) {
    let began = Instant::now();
    loop {
        let since = traffic.answered_since().map(|since| since.max(began));
        let due = since.unwrap_or_else(Instant::now) + LAST_READ;
        if since.is_some() && due <= Instant::now() {
            return;
        }
        sleep_until(due).await;
    }
}

/// Resolves when the connection has been without calls for too long.
async fn idleness(traffic: &Traffic) -> &'static str {
    sleep(FIRST_CALL_TIMEOUT).await;
    if traffic.is_unused() {
        return "first_call";
    }
    loop {
        let idle_from = traffic.idle_since().unwrap_or_else(Instant::now);
        let due = idle_from + IDLE_TIMEOUT;
        if due <= Instant::now() {
            return "idle";
        }
        sleep_until(due).await;
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
        let handler = Handler::new(|_| async {
            sleep(Duration::from_secs(30)).await;
            http::Response::default()
        });
        let connection = Connection {
            handler,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            certificate: None,
            lifetimes: Lifetimes { max_age: MAX_AGE, grace: GRACE },
            shutdown: shutdown.clone(),
            under_way: TaskTracker::new(),
            metrics: Metrics::default(),
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
    async fn a_silent_connection_holds_up_the_drain_no_longer_than_its_first_words_may_take() {
        let shutdown = Shutdown::default();
        let (_stream, served) = connect(&shutdown);
        let start = Instant::now();
        shutdown.drain.cancel();
        served.await.unwrap();
        assert_eq!(start.elapsed(), FIRST_WORDS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_just_connected_when_the_drain_begins_is_sent_elsewhere_by_the_protocol() {
        const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
        const GO_AWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0];
        let shutdown = Shutdown::default();
        let (mut stream, served) = connect(&shutdown);
        shutdown.drain.cancel();
        sleep(FIRST_WORDS / 2).await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(SETTINGS).await.unwrap();
        let mut received = Vec::new();
        while !received.windows(GO_AWAY.len()).any(|window| window == GO_AWAY) {
            assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0, "{received:?}");
        }
        drop(stream);
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_sent_elsewhere_soon_after_the_service_says_that_it_stops() {
        let shutdown = Shutdown::default();
        let (stream, served) = connect(&shutdown);
        let (mut sender, client) = handshake(stream).await;
        let start = Instant::now();
        let answer = tokio::spawn(async move { call(&mut sender).await });
        sleep(Duration::from_millis(1)).await;
        shutdown.leave.cancel();
        assert_eq!(answer.await.unwrap().unwrap(), http::StatusCode::OK);
        served.await.unwrap();
        client.await.unwrap().unwrap();
        assert_eq!(start.elapsed().as_secs(), 30, "the call takes that long, and nothing waits after it");

        // Whoever comes all the same is served, and sent elsewhere, too.
        let (stream, served) = connect(&shutdown);
        let (_sender, client) = handshake(stream).await;
        let start = Instant::now();
        served.await.unwrap();
        client.await.unwrap().unwrap();
        assert!(start.elapsed() <= LEAVING_AGE, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_used_lives_until_its_age_give_or_take_a_tenth() {
        let (stream, served) = connect(&Shutdown::default());
        let (mut sender, client) = handshake(stream).await;
        let start = Instant::now();
        let calls = tokio::spawn(async move { while call(&mut sender).await.is_ok() {} });
        served.await.unwrap();
        let age = start.elapsed();
        let call = Duration::from_secs(30);
        assert!(age >= MAX_AGE.mul_f64(0.89) && age <= MAX_AGE.mul_f64(1.11) + call, "{age:?}");
        client.await.unwrap().unwrap();
        calls.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_call_is_ended() {
        let (stream, served) = connect(&Shutdown::default());
        let (_sender, client) = handshake(stream).await;
        let start = Instant::now();
        served.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), FIRST_CALL_TIMEOUT.as_secs());
        client.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_calls_are_over_is_ended_after_a_while() {
        let (stream, served) = connect(&Shutdown::default());
        let (mut sender, _client) = handshake(stream).await;
        call(&mut sender).await.unwrap();
        let start = Instant::now();
        served.await.unwrap();
        let idle = start.elapsed();
        assert!(idle >= IDLE_TIMEOUT && idle < IDLE_TIMEOUT + Duration::from_secs(60), "{idle:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_gives_up_one_call_after_the_other_is_cut() {
        let (stream, served) = connect(&Shutdown::default());
        let (mut sender, _client) = handshake(stream).await;
        let mut given_up = 0;
        while timeout(Duration::from_millis(1), call(&mut sender)).await.is_err() {
            given_up += 1;
            assert!(given_up < 2000, "nobody minds");
        }
        served.await.unwrap();
        assert!(given_up >= 1000, "{given_up}");
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
