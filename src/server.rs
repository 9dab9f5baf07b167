//! The accept loop of the gRPC port.
//!
//! tonic's own loop keeps silent connections for ever, waits for them at shutdown, cuts calls at its age limit, spins
//! when file descriptors run out, and turns two of hyper's limits off. Here each connection has a task of
//! its own, which includes the TLS handshake, so that no peer delays another.

mod authority;
mod budget;
mod connection;
mod http2;
mod opening;
mod requests;
mod slots;

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

use self::{
    connection::{Connection, PROBE},
    slots::Slots,
};
pub(crate) use self::{
    requests::Requests,
    slots::{PerKey, network},
};
use crate::{
    domain::Identity,
    hardening::file_limit,
    metrics::Metrics,
    tls::{ServerTls, certificate_names, handshake_failure},
};

#[derive(Clone, Debug)]
pub struct DrainConfig {
    /// How long the service reports NOT_SERVING and still accepts.
    pub delay: Duration,
    /// How long it may take after that to finish the running calls.
    pub timeout: Duration,
}

/// A handshake takes two round trips and a millisecond of CPU.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the handshake and the first frame of a peer that connected just before the drain.
const ACCEPTED_BEFORE_DRAIN: Duration = Duration::from_secs(1);
/// Closing the port resets connections that the kernel has accepted and the process has not.
const CLOSE_DELAY: Duration = Duration::from_millis(50);
/// After a failure to accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Ends the loop and its connections, in this order.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// End each connection when its calls are finished, and still accept new ones.
    pub goaway: CancellationToken,
    /// Stop accepting, and end streams and then connections.
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
    /// Unique to one connection.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address, text: address.to_string().into() }
    }
}

/// In the extensions of a request: cancelled when its connection begins to end, for streams that have no end of their
/// own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(pub(crate) CancellationToken);

/// In the extensions of a response that is a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endless;

/// In the extensions of a request: the names in the peer's certificate, which the handshake has verified.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Arc<[Identity]>);

/// Responds to requests. Clones share it.
#[derive(Clone)]
pub struct Handler(Arc<Handle>);

type Handle = dyn Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync;

impl Handler {
    pub fn new<A>(respond: impl Fn(Request<Body>) -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(respond(request))))
    }

    fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        (self.0)(request)
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

/// What the loop needs to serve connections.
#[derive(Clone, Debug)]
pub struct Serving {
    pub handler: Handler,
    pub tls: Option<ServerTls>,
    /// A connection's, plus or minus a tenth. Its end spreads the clients over new replicas.
    pub max_age: Duration,
    /// For the calls of a connection that is being ended.
    pub grace: Duration,
    pub shutdown: Shutdown,
    pub metrics: Metrics,
}

impl Serving {
    fn count_cut(&self, limit: &'static str) {
        self.metrics.connections_cut.get_or_create(&limit.into()).inc();
    }

    fn count_idle(&self, reason: &'static str) {
        self.metrics.connections_idle.get_or_create(&reason.into()).inc();
    }
}

/// Accepts connections and serves them until the drain begins, then waits for the last one to end.
pub async fn serve(listener: TcpListener, serving: Serving) {
    let (connections, calls) = (TaskTracker::new(), TaskTracker::new());
    let slots = Slots::new(file_limit());
    let closing = after(&serving.shutdown.drain, CLOSE_DELAY);
    tokio::pin!(closing);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let Some(slot) = slots.take(permit, peer.ip()) else {
                    serving.count_cut("connections");
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
    // A call that loses its connection still has to write its log line.
    calls.close();
    calls.wait().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Slots,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = slots.permit().await?;
    let (stream, peer) = listener.accept().await?;
    // Responses are small and written at once. It fails only where the peer is gone already.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer, permit))
}

async fn serve_one(serving: Serving, calls: TaskTracker, stream: TcpStream, peer: SocketAddr) {
    let Some(tls) = &serving.tls else {
        return Connection { serving, peer, certificate: None, calls }.serve(stream).await;
    };

    // A configuration that is loaded later does not concern this connection.
    let handshake = async {
        // Load balancers and monitors check whether the port is open, and send nothing.
        let is_probe = !matches!(stream.peek(&mut [0]).await, Ok(1..));
        if is_probe { None } else { Some(TlsAcceptor::from(tls.current()).accept(stream).await) }
    };
    let failure = tokio::select! {
        () = after(&serving.shutdown.drain, ACCEPTED_BEFORE_DRAIN) => return,
        handshake = timeout(HANDSHAKE_TIMEOUT, handshake) => match handshake {
            Ok(None) => return serving.count_idle(PROBE),
            Ok(Some(Ok(stream))) => {
                let (_, session) = stream.get_ref();
                let certificate = session.peer_certificates().and_then(|chain| chain.first());
                let certificate = certificate.map(|names| PeerCertificate(certificate_names(names).into()));
                return Connection { serving, peer, certificate, calls }.serve(stream).await;
            }
            Ok(Some(Err(error))) => handshake_failure(&error),
            Err(_) => "timeout",
        },
    };
    serving.metrics.tls_handshake_failures.get_or_create(&failure.into()).inc();
    tracing::info!(%peer, reason = failure, "a TLS handshake failed");
}

/// Resolves so long after the token is cancelled.
async fn after(token: &CancellationToken, time: Duration) {
    token.cancelled().await;
    sleep(time).await;
}
