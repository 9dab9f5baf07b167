//! A server in HubSpot's place that replies as a test says, byte by byte.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// What to do with a request.
#[derive(Clone)]
pub(crate) enum Reaction {
    /// Sends these bytes, and keeps the connection.
    Reply(Vec<u8>),
    /// Sends these bytes, and nothing more.
    Begin(Vec<u8>),
    /// Sends nothing.
    Silence,
    /// Closes the connection.
    Close,
}

/// Decides by the fields of the form.
type Script = dyn Fn(&[(String, String)]) -> Reaction + Send + Sync;

/// The server, which ends when it is dropped.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _running: AbortOnDropHandle<()>,
}

struct Shared {
    script: Mutex<Arc<Script>>,
    received: Mutex<Vec<String>>,
}

impl Scripted {
    pub(crate) async fn start(reaction: Reaction) -> Self {
        Self::on(reaction, None).await
    }

    /// The same behind TLS.
    pub(crate) async fn on(reaction: Reaction, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Script> = Arc::new(move |_| reaction.clone());
        let shared = Arc::new(Shared { script: Mutex::new(script), received: Mutex::default() });
        let running = tokio::spawn(accept(listener, Arc::clone(&shared), tls));
        Self { address, shared, _running: AbortOnDropHandle::new(running) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn react(&self, reaction: Reaction) {
        self.decide(move |_| reaction.clone());
    }

    pub(crate) fn decide(&self, script: impl Fn(&[(String, String)]) -> Reaction + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// The requests, with their heads.
    pub(crate) fn received(&self) -> Vec<String> {
        self.shared.received.lock().unwrap().clone()
    }
}

/// A reply in JSON.
pub(crate) fn json(status: u16, body: &str) -> Reaction {
    reply(status, "content-type: application/json\r\n", body)
}

/// A reply with these lines in its head.
pub(crate) fn reply(status: u16, headers: &str, body: &str) -> Reaction {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {length}\r\n\r\n");
    Reaction::Reply([head.as_bytes(), body.as_bytes()].concat())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, &shared).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, &shared).await,
                    Err(_) => None,
                },
            }
        });
    }
}

/// Serves one connection until it ends.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = end(&buffer) {
                break end;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let rest = buffer.split_off(end);
        let request = String::from_utf8(std::mem::replace(&mut buffer, rest)).unwrap();
        let (_, body) = request.split_once("\r\n\r\n")?;
        let form: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        shared.received.lock().unwrap().push(request);
        let script = Arc::clone(&shared.script.lock().unwrap());
        match script(&form) {
            Reaction::Reply(bytes) => stream.write_all(&bytes).await.ok()?,
            Reaction::Begin(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                std::future::pending().await
            }
            Reaction::Silence => std::future::pending().await,
            Reaction::Close => return None,
        }
    }
}

/// The end of the first request, once it has arrived.
fn end(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().unwrap();
    (buffer.len() >= head + length).then_some(head + length)
}
