//! A gRPC client that costs little: HTTP/2 streams and bytes.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    calls::{Messages, Workload},
    certificates::Certificates,
    drive::CallResult,
};

/// Larger than the data in transit ever is: flow control is not measured.
const WINDOW: u32 = 1 << 20;

/// A server with some connections to it, and the call to make.
#[derive(Clone)]
pub(crate) struct Target {
    connections: Arc<[SendRequest<Bytes>]>,
    next: Arc<AtomicUsize>,
    messages: Messages,
    uri: Uri,
    headers: HeaderMap,
}

impl Target {
    pub(crate) async fn connect(
        address: SocketAddr,
        tls: Option<&Certificates>,
        connections: usize,
        workload: Workload,
    ) -> io::Result<Self> {
        let mut senders = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            senders.push(match tls {
                Some(certificates) => handshake(certificates.client(stream).await?).await?,
                None => handshake(stream).await?,
            });
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://localhost{}", workload.path());
        let mut headers = HeaderMap::new();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Ok(Self {
            connections: senders.into(),
            next: Arc::default(),
            messages: Messages::new(workload),
            uri: uri.parse().map_err(io::Error::other)?,
            headers,
        })
    }

    /// The same connections for another call.
    pub(crate) fn calling(&self, workload: Workload) -> Self {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(workload.path().parse().unwrap());
        Self { messages: Messages::new(workload), uri: Uri::from_parts(parts).unwrap(), ..self.clone() }
    }

    /// Makes one call on the next connection.
    pub(crate) fn call(&self) -> impl Future<Output = CallResult> + Send + use<> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = self.connections[next % self.connections.len()].clone();
        let message = self.messages.next();
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        async move { call(connection, request, message).await.unwrap_or(CallResult::Failed) }
    }
}

async fn call(
    connection: SendRequest<Bytes>,
    request: Request<()>,
    message: Bytes,
) -> Result<CallResult, h2::Error> {
    let (response, mut stream) = connection.ready().await?.send_request(request, false)?;
    stream.send_data(message, true)?;
    let (head, mut body) = response.await?.into_parts();
    if let Some(result) = result(&head.headers) {
        return Ok(result);
    }
    while let Some(chunk) = body.data().await {
        body.flow_control().release_capacity(chunk?.len())?;
    }
    Ok(body.trailers().await?.as_ref().and_then(result).unwrap_or(CallResult::Failed))
}

fn result(headers: &HeaderMap) -> Option<CallResult> {
    Some(match headers.get("grpc-status")?.as_bytes() {
        b"0" => CallResult::Ok,
        b"8" => CallResult::Refused,
        _ => CallResult::Failed,
    })
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> io::Result<SendRequest<Bytes>> {
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW)
        .handshake(stream)
        .await
        .map_err(io::Error::other)?;
    // The calls report its end.
    tokio::spawn(connection);
    Ok(sender)
}
