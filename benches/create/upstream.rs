//! A minimal stand-in for the Flow Service: an HTTP/1.1 server that only looks for the end of a request,
//! and responds at once or after a fixed delay.
//!
//! It is a task beside the one that makes the calls: two processes on one core would wait for each other
//! for a whole time slice of the operating system.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

/// The delay in milliseconds, in the environment.
pub(crate) const DELAY_MS: &str = "BENCH_DELAY_MS";

/// Runs as a separate process until it is killed, for a server under a profiler.
pub(crate) fn main() {
    let delay = std::env::var(DELAY_MS).unwrap().parse().unwrap();
    crate::process::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let upstream = Upstream::start(Duration::from_millis(delay)).await;
        println!("serving {}", upstream.address);
        upstream.accepting.await.unwrap();
    });
}

/// Accepts connections until it is dropped, and serves each one until its client disconnects.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) delay: Duration,
    requests: Arc<AtomicU64>,
    accepting: AbortOnDropHandle<()>,
}

impl Upstream {
    pub(crate) async fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                // A client may disconnect at any time.
                tokio::spawn(serve(stream, delay, Arc::clone(&counted)));
            }
        });
        Self { address, delay, requests, accepting: AbortOnDropHandle::new(accepting) }
    }

    /// The number of requests received.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, delay: Duration, requests: Arc<AtomicU64>) -> io::Result<()> {
    let mut received = Vec::with_capacity(4096);
    let mut response = Vec::with_capacity(1024);
    loop {
        let end = loop {
            if let Some(end) = end_of_request(&received) {
                break end;
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        requests.fetch_add(1, Ordering::Relaxed);
        response.clear();
        write_response(&mut response, &received[..end]);
        received.drain(..end);
        if !delay.is_zero() {
            sleep(delay).await;
        }
        stream.write_all(&response).await?;
    }
}

/// The end of the first request, once it is complete.
fn end_of_request(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let length = received[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        let is_length = name.eq_ignore_ascii_case(b"content-length:");
        is_length.then(|| value.trim_ascii().iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0')))
    });
    let end = head + length.unwrap_or(0);
    (received.len() >= end).then_some(end)
}

fn write_response(response: &mut Vec<u8>, request: &[u8]) {
    use std::io::Write as _;

    // Each creation makes another connection.
    static NEXT: AtomicU64 = AtomicU64::new(1);

    if request.starts_with(b"POST") {
        let id = format!("9f0c7c4e-6b6a-4f7e-8c7c-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed));
        let body = format!(r#"{{"id":"{id}","etag":"\"d403848a-0000-0200-0000-5e978f7b0000\""}}"#);
        write!(
            response,
            "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    } else {
        let path = request.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let path = std::str::from_utf8(path).unwrap_or_default();
        let id = path.rsplit('/').next().unwrap_or_default();
        let one;
        let body = if id.starts_with("connections") {
            &*LIST
        } else {
            one = format!(r#"{{"items":[{}]}}"#, CONNECTION.replace("$ID", id));
            &one
        };
        write!(
            response,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
    .unwrap();
}

/// A connection in the format of a response of the Flow Service.
const CONNECTION: &str = r#"{"id":"$ID","createdAt":1597973312000,"updatedAt":1597973312000,"createdBy":"user@AdobeID","updatedBy":"user@AdobeID","createdClient":"client","updatedClient":"client","sandboxId":"70aab3f0-2ea4-11ea-a84f-c1e1d2b93b8e","sandboxName":"prod","imsOrgId":"1234@AdobeOrg","name":"HubSpot","description":"The HubSpot account of the marketing department","connectionSpec":{"id":"cc6a4487-9e91-433e-a3a3-9cf6626c1806","version":"1.0"},"state":"enabled","auth":{"specName":"Basic Authentication","params":{"clientId":"4f2c1a9e-7b36-4d0e-9c55-2e8f71b6a3d4","clientSecret":"xxxxxxxx","accessToken":"xxxxxxxx","refreshToken":"xxxxxxxx"}},"version":"\"1400dd53-0000-0200-0000-5f3f23450000\"","etag":"\"1400dd53-0000-0200-0000-5f3f23450000\""}"#;

/// A list of connections that other requests created.
static LIST: LazyLock<String> = LazyLock::new(|| {
    let items = (0..LISTED).map(|number| {
        let id = format!("8f1f6c0e-52a1-4d0e-9d53-{number:012x}");
        let description = format!("department [request {id}]");
        CONNECTION.replace("$ID", &id).replace("department", &description)
    });
    format!(r#"{{"items":[{}]}}"#, items.collect::<Vec<_>>().join(","))
});

/// The connections of a sandbox.
const LISTED: usize = 20;
