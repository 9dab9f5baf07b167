//! The accept loop of the gRPC port.
//!
//! tonic's own loop keeps silent connections for ever, hangs on them at shutdown, cuts calls at its
//! age limit, spins when file descriptors run out and switches two of hyper's limits off. This one
//! gives each connection a task of its own, its TLS handshake included, so that nobody waits for a
//! peer that does not go on.

mod authority;
mod connection;
mod opening;
mod slots;
mod traffic;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::body::Body;

pub(crate) use self::slots::{PerKey, network};
use self::{
    connection::{Connection, PROBE},
    slots::Slots,
};
use crate::{
    domain::Identity,
    hardening::file_limit,
    metrics::Metrics,
    tls::{ServerTls, certificate_names, handshake_failure},
};

/// How the service ends.
#[derive(Clone, Debug)]
pub struct DrainConfig {
    /// How long it says NOT_SERVING while it still accepts.
    pub delay: Duration,
    /// The most that finishing the calls under way may take after that.
    pub timeout: Duration,
}

/// A handshake takes two round trips and a millisecond.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a peer that has connected just before the end may take until its first call is here.
const FIRST_WORDS: Duration = Duration::from_secs(1);
/// Closing the port resets the connections that the kernel has accepted and nobody has taken yet.
const BACKLOG: Duration = Duration::from_millis(50);
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
    /// Send the callers elsewhere, and still serve those who come.
    pub leave: CancellationToken,
    /// Stop accepting, end the streams that would never end, and end each connection when its calls
    /// are finished.
    pub drain: CancellationToken,
    /// End what is left.
    pub kill: CancellationToken,
}

/// The address that a call comes from, in the extensions of its request.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    text: Arc<str>,
}

impl Peer {
    /// The address, which is that of one connection.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as the log has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address, text: address.to_string().into() }
    }
}

/// Cancelled when the connection of a call begins to end, in the extensions of its request: what ends only
/// with its connection ends then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(pub(crate) CancellationToken);

/// In the extensions of a response that is there before all of it is: a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endless;

/// The names in the certificate of the peer, which the handshake has checked, in the extensions of a
/// request.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Arc<[Identity]>);

/// What answers requests, whatever it consists of. Clones are the same one.
#[derive(Clone)]
pub struct Handler(Arc<Handle>);

type Handle = dyn Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync;

impl Handler {
    /// Answers with what the future comes to.
    pub fn new<A>(answer: impl Fn(Request<Body>) -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(answer(request))))
    }

    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        (self.0)(request)
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

/// What connections are served with.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What answers requests.
    pub handler: Handler,
    /// TLS, where it is spoken.
    pub tls: Option<ServerTls>,
    /// How long connections live.
    pub lifetimes: Lifetimes,
    /// What tells them to end.
    pub shutdown: Shutdown,
    /// Where those that are cut are counted.
    pub metrics: Metrics,
}

/// Accepts connections and serves them until the drain begins, then waits for the last one to end.
pub async fn serve(listener: TcpListener, serving: Serving) {
    let (connections, calls) = (TaskTracker::new(), TaskTracker::new());
    let slots = Slots::new(file_limit());
    let closing = after(&serving.shutdown.drain, BACKLOG);
    tokio::pin!(closing);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, peer, room)) => {
                let Some(slot) = slots.take(room, peer.ip()) else {
                    serving.metrics.connections_cut.get_or_create(&"connections".into()).inc();
                    tracing::warn!(%peer, "refused a connection: its address has too many");
                    continue;
                };
                let (serving, calls) = (serving.clone(), calls.clone());
                connections.spawn(async move {
                    serve_one(serving, calls, stream, peer).await;
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
    // A call that loses its connection is over a moment later, and tells so in the log.
    calls.close();
    calls.wait().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Slots,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let room = slots.room().await?;
    let (stream, peer) = listener.accept().await?;
    // Answers are small and written at once: nothing is gained by holding them back.
    // A peer that is gone already finds out by itself.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer, room))
}

async fn serve_one(serving: Serving, under_way: TaskTracker, stream: TcpStream, peer: SocketAddr) {
    let Serving { handler, tls, lifetimes, shutdown, metrics } = serving;
    let (connection_ends, counted) = (shutdown.drain.clone(), metrics.clone());
    let connection =
        |certificate| Connection { handler, peer, certificate, lifetimes, shutdown, under_way, metrics };
    let Some(tls) = tls else { return connection(None).serve(stream).await };

    // The configuration of this moment: one that is replaced later does not concern this connection.
    let handshake = async {
        // Load balancers and monitors look whether the port is open, and say nothing.
        let is_probe = !matches!(stream.peek(&mut [0]).await, Ok(1..));
        if is_probe { None } else { Some(TlsAcceptor::from(tls.current()).accept(stream).await) }
    };
    let failure = tokio::select! {
        () = after(&connection_ends, FIRST_WORDS) => return,
        handshake = timeout(HANDSHAKE_TIMEOUT, handshake) => match handshake {
            Ok(None) => {
                counted.connections_idle.get_or_create(&PROBE.into()).inc();
                return;
            }
            Ok(Some(Ok(stream))) => {
                let (_, session) = stream.get_ref();
                let certificate = session.peer_certificates().and_then(|chain| chain.first());
                let names = certificate.map(|certificate| certificate_names(certificate).into());
                return connection(names.map(PeerCertificate)).serve(stream).await;
            }
            Ok(Some(Err(error))) => handshake_failure(&error),
            Err(_) => "timeout",
        },
    };
    counted.tls_handshake_failures.get_or_create(&failure.into()).inc();
    tracing::info!(%peer, reason = failure, "a TLS handshake failed");
}

/// Resolves so long after the token is cancelled.
async fn after(token: &CancellationToken, time: Duration) {
    token.cancelled().await;
    sleep(time).await;
}
