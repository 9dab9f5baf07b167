//! What a connection has received, and how much of that were calls.
//!
//! HTTP/2 has many ways to keep a server busy without a call: pings, settings, priorities, empty
//! frames, headers without end, calls that are given up at once. They have in common that a peer sends
//! more than its calls need, or gives up most of them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// The length of the preface (RFC 9113, section 3.4).
const PREFACE_LENGTH: u64 = 24;
/// What a peer may send beyond its calls: some 60,000 pings, of which a client sends one in seconds.
const SPARE_BYTES: u64 = 1 << 20;
/// What comes with a call: the largest message twice, its headers, and frames about them.
const BYTES_PER_CALL: u64 = 160 * 1024;
/// As much as all the calls that can be under way at once.
const MOST_BYTES_AHEAD: u64 = SPARE_BYTES + 256 * BYTES_PER_CALL;
/// How many calls a peer may give up beyond those that it lets be answered. Deadlines end calls this
/// way, too, but the service answers before them.
const MOST_GIVEN_UP: u32 = 1000;

/// The traffic of one connection. Clones are about the same one.
#[derive(Clone, Default)]
pub(super) struct Traffic(Arc<Shared>);

#[derive(Default)]
struct Shared {
    received: AtomicU64,
    calls: Mutex<Calls>,
    crossed: CancellationToken,
}

struct Calls {
    under_way: usize,
    /// Whether there was one.
    any: bool,
    last_end: Instant,
    /// How many more bytes may come.
    allowed: u64,
    /// How many were given up, less those that were answered.
    given_up: u32,
    limit: &'static str,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            under_way: 0,
            any: false,
            last_end: Instant::now(),
            allowed: SPARE_BYTES,
            given_up: 0,
            limit: "",
        }
    }
}

impl Traffic {
    pub(super) fn is_http2(&self) -> bool {
        self.0.received.load(Ordering::Relaxed) >= PREFACE_LENGTH
    }

    /// Whether there was no call so far.
    pub(super) fn is_unused(&self) -> bool {
        !self.calls().any
    }

    /// Since when there has been no call; `None` where there is one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let calls = self.calls();
        (calls.under_way == 0).then_some(calls.last_end)
    }

    /// Notes the begin of a call.
    pub(super) fn begin(&self) -> Call {
        let mut calls = self.calls();
        calls.any = true;
        calls.under_way += 1;
        let received = self.0.received.load(Ordering::Relaxed);
        calls.allowed = (calls.allowed + BYTES_PER_CALL).min(received + MOST_BYTES_AHEAD);
        Call { traffic: self.clone(), is_answered: false, is_broken_off: Arc::default() }
    }

    /// Resolves when the peer has crossed a limit, with its name.
    pub(super) async fn crossed(&self) -> &'static str {
        self.0.crossed.cancelled().await;
        self.calls().limit
    }

    fn receive(&self, bytes: usize) {
        let received = self.0.received.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        // Most reads are far from it.
        if received > SPARE_BYTES {
            let mut calls = self.calls();
            if received > calls.allowed {
                calls.limit = "flood";
                self.0.crossed.cancel();
            }
        }
    }

    fn end(&self, is_answered: bool) {
        let mut calls = self.calls();
        calls.under_way -= 1;
        calls.last_end = Instant::now();
        if is_answered {
            calls.given_up = calls.given_up.saturating_sub(1);
        } else {
            calls.given_up += 1;
            if calls.given_up > MOST_GIVEN_UP {
                calls.limit = "resets";
                self.0.crossed.cancel();
            }
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way, until it is dropped.
pub(super) struct Call {
    traffic: Traffic,
    is_answered: bool,
    is_broken_off: Arc<AtomicBool>,
}

impl Call {
    /// Notes that the answer has begun: what becomes of it is not the peer's doing alone.
    pub(super) fn is_answered(&mut self) {
        self.is_answered = true;
    }

    /// What is to be told when its request breaks off. There is an answer to that, too, which nobody
    /// waits for.
    pub(super) fn request(&self) -> BrokenOff {
        BrokenOff(Arc::clone(&self.is_broken_off))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let is_broken_off = self.is_broken_off.load(Ordering::Relaxed);
        self.traffic.end(self.is_answered && !is_broken_off);
    }
}

/// Notes that the peer has given a call up before it had sent all of it.
pub(super) struct BrokenOff(Arc<AtomicBool>);

impl BrokenOff {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A stream that counts what it receives.
pub(super) struct Counted<S> {
    pub(super) stream: S,
    pub(super) traffic: Traffic,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.traffic.receive(buf.filled().len() - before);
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
