//! One connection, from its first byte until the peer, a limit, its age or the drain ends it.
//!
//! hyper's builder has the limits of HTTP/2 and finds peers that are gone, but ends no connection for its age, for
//! want of calls, or because its peer reads nothing. Each limit is far beyond what a gRPC client needs, and
//! ends only the connection that exceeds it.

use std::{convert::Infallible, net::SocketAddr, sync::atomic::Ordering, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::Request;
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use super::{
    ACCEPTED_BEFORE_DRAIN, Ending, Endless, Peer, PeerCertificate, Serving, after,
    authority::AuthorityReader,
    budget::{Budget, Received},
    http2,
    opening::{self, Opening, PREFACE},
    requests::Requests,
};

/// For the preface of HTTP/2.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client connects because it has a call to make. One that keeps spare connections, to spread its calls over
/// replicas, opens another one now and then.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// After so long, a connection costs its client less to open again than to keep.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The longest that a connection stays once the service reports NOT_SERVING. A client that watches the health behind a
/// load balancer waits this long for another replica. Random, so that clients do not reconnect all at once.
const GOAWAY_DELAY: Duration = Duration::from_secs(1);
/// How long an ending connection may stay once all its calls have their responses. Its peer may be gone.
const LAST_READ: Duration = Duration::from_secs(5);
/// Why a connection ended before its first byte.
pub(super) const PROBE: &str = "probe";

pub(super) struct Connection {
    pub(super) serving: Serving,
    pub(super) peer: SocketAddr,
    pub(super) certificate: Option<PeerCertificate>,
    /// The running calls of all connections.
    pub(super) calls: TaskTracker,
}

impl Connection {
    pub(super) async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let opening = tokio::select! {
            // Before the preface there is no call to finish.
            () = after(&self.serving.shutdown.drain, ACCEPTED_BEFORE_DRAIN) => return,
            opening = timeout(PREFACE_TIMEOUT, opening::read(&mut stream)) => opening,
        };
        match opening {
            Ok(Ok(Opening::Http2)) => self.serve_http2(stream).await,
            Ok(Ok(Opening::Http1 { is_head })) => {
                self.refuse("http1");
                opening::refuse_http1(stream, is_head).await;
            }
            Ok(Ok(Opening::Unknown)) => self.refuse("not_http"),
            // A check whether the port is open is no event.
            Ok(Ok(Opening::Nothing) | Err(_)) => self.serving.count_idle(PROBE),
            Err(_) => self.cut("preface"),
        }
    }

    async fn serve_http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (requests, budget, ending) = (Requests::default(), Budget::default(), Ending::default());
        let peer = Peer::from(self.peer);
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(ending.clone());
            if let Some(certificate) = &self.certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            // It lasts until its response is sent.
            let mut call = budget.begin(&requests);
            let is_reset = call.is_reset.clone();
            let request = request.map(|body| {
                Body::new(body.map_err(move |error| {
                    is_reset.store(true, Ordering::Relaxed);
                    error
                }))
            });
            let response = self.calls.track_future(self.serving.handler.respond(request));
            async move {
                let response = response.await;
                call.request.begin_response(response.extensions().get::<Endless>().is_some());
                Ok::<_, Infallible>(response.map(|body| {
                    body.map_frame(move |frame| {
                        let _until_its_end = &call;
                        frame
                    })
                }))
            }
        });
        let (reader, writer) = tokio::io::split(stream);
        let received =
            Received { stream: reader, budget: budget.clone(), authority: AuthorityReader::default() };
        let stream = tokio::io::join(PREFACE.chain(received), writer);
        let connection = http2::server().serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);

        let Serving { max_age, grace, shutdown, .. } = &self.serving;
        let end = async {
            tokio::select! {
                () = sleep(with_jitter(*max_age)) => Ok("age"),
                () = after(&shutdown.goaway, GOAWAY_DELAY.mul_f64(fastrand::f64())) => Ok("goaway"),
                () = shutdown.drain.cancelled() => Ok("drain"),
                limit = budget.exceeded() => Err(limit),
                () = requests.unread() => Err("unread"),
                was_used = requests.idle(FIRST_CALL_TIMEOUT, IDLE_TIMEOUT) => {
                    let reason = if was_used { "idle" } else { "first_call" };
                    self.serving.count_idle(reason);
                    Ok(reason)
                }
            }
        };
        // The set polls it only when it is woken. Polling it with every frame would cost as much as a layer.
        let mut end = FuturesUnordered::from_iter([end]);
        let end = tokio::select! {
            // First: a connection with a flood of frames uses up tokio's budget for this task.
            biased;
            Some(end) = end.next() => match end {
                Ok(reason) => reason,
                Err(limit) => return self.cut(limit),
            },
            result = &mut connection => return self.log_end(result),
        };
        tracing::debug!(peer = %self.peer, end, "ending a connection");
        connection.as_mut().graceful_shutdown();
        let finish = async {
            // A watch of the health continues for as long as the service accepts connections.
            if end == "goaway" {
                shutdown.drain.cancelled().await;
            }
            ending.0.cancel();
            requests.all_responded(LAST_READ).await;
        };
        tokio::select! {
            result = &mut connection => self.log_end(result),
            () = sleep(*grace) => {
                tracing::info!(peer = %self.peer, "cut a connection that did not finish in time");
            }
            limit = budget.exceeded() => self.cut(limit),
            () = finish => tracing::debug!(peer = %self.peer, "the peer does not read its last responses"),
            () = shutdown.kill.cancelled() => {}
        }
    }

    fn cut(&self, limit: &'static str) {
        self.serving.count_cut(limit);
        tracing::info!(peer = %self.peer, limit, "cut a connection at its limit");
    }

    fn refuse(&self, reason: &'static str) {
        self.serving.metrics.requests_refused.get_or_create(&reason.into()).inc();
        tracing::info!(peer = %self.peer, reason, "refused a connection that does not begin with HTTP/2");
    }

    fn log_end(&self, result: hyper::Result<()>) {
        if let Err(error) = result {
            tracing::debug!(%error, peer = %self.peer, "a connection ended with an error");
        }
    }
}

/// Prevents the clients of one deployment from reconnecting all at once.
fn with_jitter(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use http::Response;
    use hyper::client::conn::http2 as client;
    use hyper_util::rt::{TokioExecutor, TokioTimer};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        task::JoinHandle,
        time::Instant,
    };

    use super::{
        super::{Handler, Shutdown},
        *,
    };
    use crate::metrics::Metrics;

    const MAX_AGE: Duration = Duration::from_secs(1800);
    const GRACE: Duration = Duration::from_secs(60);

    /// A connection to a service that responds after 30 seconds.
    fn connect(shutdown: &Shutdown) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(64 * 1024);
        let handler = Handler::new(|_| async {
            sleep(Duration::from_secs(30)).await;
            Response::default()
        });
        let connection = Connection {
            serving: Serving {
                handler,
                tls: None,
                max_age: MAX_AGE,
                grace: GRACE,
                shutdown: shutdown.clone(),
                metrics: Metrics::default(),
            },
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            certificate: None,
            calls: TaskTracker::new(),
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
        let request = Request::post("http://service/method").body(axum::body::Body::empty()).unwrap();
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
    async fn a_silent_connection_delays_the_drain_no_longer_than_a_new_one_may_need() {
        let shutdown = Shutdown::default();
        let (_stream, served) = connect(&shutdown);
        let start = Instant::now();
        shutdown.drain.cancel();
        served.await.unwrap();
        assert_eq!(start.elapsed(), ACCEPTED_BEFORE_DRAIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_connects_just_before_the_drain_receives_a_goaway() {
        const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
        const GO_AWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0];
        let shutdown = Shutdown::default();
        let (mut stream, served) = connect(&shutdown);
        shutdown.drain.cancel();
        sleep(ACCEPTED_BEFORE_DRAIN / 2).await;
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
    async fn connections_end_soon_after_the_service_reports_that_it_stops() {
        let shutdown = Shutdown::default();
        let (stream, served) = connect(&shutdown);
        let (mut sender, client) = handshake(stream).await;
        let start = Instant::now();
        let response = tokio::spawn(async move { call(&mut sender).await });
        sleep(Duration::from_millis(1)).await;
        shutdown.goaway.cancel();
        assert_eq!(response.await.unwrap().unwrap(), http::StatusCode::OK);
        served.await.unwrap();
        client.await.unwrap().unwrap();
        assert_eq!(start.elapsed().as_secs(), 30, "the call takes that long, and nothing waits after it");

        // A later connection is served, and ended, too.
        let (stream, served) = connect(&shutdown);
        let (_sender, client) = handshake(stream).await;
        let start = Instant::now();
        served.await.unwrap();
        client.await.unwrap().unwrap();
        assert!(start.elapsed() <= GOAWAY_DELAY, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_use_lives_until_its_age_plus_or_minus_a_tenth() {
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
    async fn a_connection_whose_calls_have_ended_is_ended_after_a_while() {
        let (stream, served) = connect(&Shutdown::default());
        let (mut sender, _client) = handshake(stream).await;
        call(&mut sender).await.unwrap();
        let start = Instant::now();
        served.await.unwrap();
        let idle = start.elapsed();
        assert!(idle >= IDLE_TIMEOUT && idle < IDLE_TIMEOUT + Duration::from_secs(60), "{idle:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_cancels_one_call_after_the_other_is_cut() {
        let (stream, served) = connect(&Shutdown::default());
        let (mut sender, _client) = handshake(stream).await;
        let mut cancelled = 0;
        while timeout(Duration::from_millis(1), call(&mut sender)).await.is_err() {
            cancelled += 1;
            assert!(cancelled < 2000, "no limit");
        }
        served.await.unwrap();
        assert!(cancelled >= 1000, "{cancelled}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_call_is_finished_when_the_connection_drains() {
        let shutdown = Shutdown::default();
        let (stream, served) = connect(&shutdown);
        let (mut sender, _client) = handshake(stream).await;
        let response = tokio::spawn(async move { call(&mut sender).await });
        sleep(Duration::from_secs(10)).await;
        shutdown.drain.cancel();
        assert_eq!(response.await.unwrap().unwrap(), http::StatusCode::OK);
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_outlasts_the_drain_is_cut_with_it() {
        let shutdown = Shutdown::default();
        let (stream, served) = connect(&shutdown);
        let (mut sender, _client) = handshake(stream).await;
        let response = tokio::spawn(async move { call(&mut sender).await });
        sleep(Duration::from_secs(10)).await;
        shutdown.drain.cancel();
        shutdown.kill.cancel();
        served.await.unwrap();
        response.await.unwrap().unwrap_err();
    }
}
