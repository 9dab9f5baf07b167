//! Long calls, idle connections, and servers that are gone.

use std::{io, net::SocketAddr};

use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional, duplex},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use super::{
    channel, create, is_of_proxy,
    proxy::{Config, Kind},
};
use crate::support::{
    TestService, in_time, listen,
    peer::{DATA, END_HEADERS, END_STREAM, HEADERS, Peer, SETTINGS, call, frame},
    request, request_with_id, unused_port,
};

/// A time limit that is shorter than the creations here, in the place of the documented one.
fn impatient(kind: Kind) -> Config {
    match kind {
        Kind::Nginx => kind.documented().replace("grpc_read_timeout 90s", "grpc_read_timeout 1s"),
        Kind::HaProxy => kind.documented().replace("timeout server 90s", "timeout server 1s"),
    }
}

#[tokio::test]
async fn a_long_creation_needs_the_documented_time_limit() {
    for kind in Kind::installed() {
        let service = TestService::start().await;
        let (impatient, documented) =
            (impatient(kind).start(&[service.grpc]).await, kind.documented().start(&[service.grpc]).await);
        service.inject(json!([{"route": "POST /connections", "count": 0, "action": {"delay": "2500ms"}}]));
        let request = request_with_id();
        let ended = create(&channel(&impatient).await, request.clone()).await.unwrap_err();
        assert!(is_of_proxy(&ended), "{kind:?}: {ended:?}");
        // The caller is gone, and the creation continues.
        let retried = create(&channel(&documented).await, request.clone()).await.unwrap();
        assert_eq!(create(&channel(&documented).await, request).await.unwrap(), retried, "{kind:?}");
        assert_eq!(service.emulator.connections().len(), 1, "{kind:?}");
        create(&channel(&documented).await, request_with_id()).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_the_proxy_ended_while_it_was_idle_costs_no_call() {
    for kind in Kind::installed() {
        let service = TestService::start().await;
        let config = match kind {
            // To the service, and from callers.
            Kind::Nginx => kind
                .documented()
                .replace("keepalive 64;", "keepalive 64;\nkeepalive_timeout 1s;")
                .replace("location / {", "keepalive_timeout 1s;\nlocation / {"),
            Kind::HaProxy => kind.documented().replace("timeout client 90s", "timeout client 1s"),
        };
        let proxy = config.start(&[service.grpc]).await;
        let (channel, mut ended) = observed(proxy.address);
        create(&channel, request()).await.unwrap();
        in_time("the end of the idle connection", ended.recv()).await.unwrap();
        create(&channel, request()).await.unwrap();
    }
}

/// A channel, and the ends of its connections, once both sides have closed them.
fn observed(proxy: SocketAddr) -> (Channel, mpsc::UnboundedReceiver<()>) {
    let (ended, ends) = mpsc::unbounded_channel();
    let connect = service_fn(move |_| {
        let ended = ended.clone();
        async move {
            let mut stream = TcpStream::connect(proxy).await?;
            let (near, mut far) = duplex(64 * 1024);
            tokio::spawn(async move {
                // An error is an end as well.
                let _ = copy_bidirectional(&mut stream, &mut far).await;
                let _ = ended.send(());
            });
            io::Result::Ok(TokioIo::new(near))
        }
    });
    (Endpoint::from_static("http://proxy").connect_with_connector_lazy(connect), ends)
}

/// A server that ends each connection once it has received a call.
struct Breaking {
    address: SocketAddr,
    taken: watch::Receiver<usize>,
    _serving: AbortOnDropHandle<()>,
}

impl Breaking {
    async fn start() -> Self {
        let listener = listen().await;
        let (address, (count, taken)) = (listener.local_addr().unwrap(), watch::channel(0));
        let serving = tokio::spawn(async move { break_all(&listener, &count).await });
        Self { address, taken, _serving: AbortOnDropHandle::new(serving) }
    }

    fn taken(&self) -> usize {
        *self.taken.borrow()
    }
}

async fn break_all(listener: &TcpListener, count: &watch::Sender<usize>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let count = count.clone();
        tokio::spawn(async move {
            if receive_call(stream).await.is_some() {
                count.send_modify(|count| *count += 1);
            }
        });
    }
}

/// Reads frames until one has the message of a call.
async fn receive_call(mut stream: TcpStream) -> Option<()> {
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.ok()?;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        if kind == DATA && !payload.is_empty() {
            return Some(());
        }
    }
}

/// The error of a call whose connection to the server broke. HAProxy 2.6 reports it to the caller as never processed
/// (`REFUSED_STREAM`), so that some of gRPC's libraries send the call again, even a creation without a request id.
fn is_broken(kind: Kind, status: &Status) -> bool {
    match kind {
        Kind::Nginx => is_of_proxy(status),
        Kind::HaProxy => is_of_proxy(status) || format!("{status:?}").contains("REFUSED_STREAM"),
    }
}

#[tokio::test]
async fn a_proxy_sends_no_creation_twice() {
    for kind in Kind::installed() {
        let service = TestService::start().await;
        let breaking = Breaking::start().await;
        let proxy = kind.documented().start(&[breaking.address, service.grpc]).await;
        let channel = channel(&proxy).await;
        let (mut created, mut failed) = (0, 0);
        while created < 3 || failed == 0 {
            // Without a request id: a second connection would be a duplicate.
            match create(&channel, request()).await {
                Ok(_) => created += 1,
                Err(status) => {
                    assert!(is_broken(kind, &status), "{kind:?}: {status:?}");
                    failed += 1;
                }
            }
        }
        assert_eq!((breaking.taken(), service.emulator.connections().len()), (failed, created), "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_connections_costs_no_call() {
    for kind in Kind::installed() {
        let service = TestService::start().await;
        let (refusing, _held) = unused_port();
        let proxy = kind.documented().start(&[refusing, service.grpc]).await;
        let channel = channel(&proxy).await;
        for _ in 0..4 {
            create(&channel, request()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn without_any_server_the_error_is_one_that_clients_retry() {
    for kind in Kind::installed() {
        let (refusing, _held) = unused_port();
        let proxy = kind.documented().start(&[refusing]).await;
        let status = create(&channel(&proxy).await, request()).await.unwrap_err();
        assert!(is_of_proxy(&status), "{kind:?}: {status:?}");
        // A response that ends with its headers: only such a one is retried by every client.
        let mut peer = Peer::connect(proxy.address).await;
        peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &call("ListHubSpotConnections", &[]))).await;
        let response = in_time("the response", async {
            loop {
                let frame = peer.receive().await.unwrap();
                if frame.kind == HEADERS {
                    return frame;
                }
            }
        });
        assert_ne!(response.await.flags & END_STREAM, 0, "{kind:?}");
    }
}
