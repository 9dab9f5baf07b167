//! What a connection has received, and how much of that were calls.
//!
//! HTTP/2 has many ways to keep a server busy without a call: pings, settings, priorities, empty
//! frames, headers without end, calls that are given up at once. They have in common that a peer sends
//! more than its calls need, or gives up most of them.

use std::{
    collections::BTreeSet,
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

use super::authority::AuthorityReader;

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
    /// Those that are not answered yet.
    unanswered: usize,
    last_answer: Instant,
    /// Those whose whole answer waits for the peer, since when, each with its number.
    unread: BTreeSet<(Instant, u64)>,
    next_number: u64,
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
            unanswered: 0,
            last_answer: Instant::now(),
            unread: BTreeSet::new(),
            next_number: 0,
            allowed: SPARE_BYTES,
            given_up: 0,
            limit: "",
        }
    }
}

impl Traffic {
    /// Whether there was no call so far.
    pub(super) fn is_unused(&self) -> bool {
        !self.calls().any
    }

    /// Since when there has been no call; `None` where there is one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let calls = self.calls();
        (calls.under_way == 0).then_some(calls.last_end)
    }

    /// Since when the peer has been waited for to take an answer, where it is.
    pub(super) fn unread_since(&self) -> Option<Instant> {
        self.calls().unread.first().map(|(since, _)| *since)
    }

    /// Since when every call has been answered; `None` where one is not.
    pub(super) fn answered_since(&self) -> Option<Instant> {
        let calls = self.calls();
        (calls.unanswered == 0).then_some(calls.last_answer)
    }

    /// Notes the begin of a call.
    pub(super) fn begin(&self) -> Call {
        let mut calls = self.calls();
        calls.any = true;
        calls.under_way += 1;
        calls.unanswered += 1;
        let received = self.0.received.load(Ordering::Relaxed);
        calls.allowed = (calls.allowed + BYTES_PER_CALL).min(received + MOST_BYTES_AHEAD);
        Call { traffic: self.clone(), is_answered: false, unread: None, is_broken_off: Arc::default() }
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

    fn end(&self, call: &Call) {
        let mut calls = self.calls();
        calls.under_way -= 1;
        calls.last_end = Instant::now();
        if !call.is_answered {
            calls.unanswered -= 1;
            calls.last_answer = calls.last_end;
        }
        if let Some(unread) = &call.unread {
            calls.unread.remove(unread);
        }
        if call.is_answered && !call.is_broken_off.load(Ordering::Relaxed) {
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
    /// Where it is among those whose answer waits for the peer.
    unread: Option<(Instant, u64)>,
    is_broken_off: Arc<AtomicBool>,
}

impl Call {
    /// Notes that the answer has begun: what becomes of it is not the peer's doing alone.
    /// A stream has more to say later; what is no stream is all there.
    pub(super) fn is_answered(&mut self, is_stream: bool) {
        let mut calls = self.traffic.calls();
        calls.unanswered -= 1;
        calls.last_answer = Instant::now();
        if !is_stream {
            let unread = (calls.last_answer, calls.next_number);
            calls.next_number += 1;
            calls.unread.insert(unread);
            self.unread = Some(unread);
        }
        drop(calls);
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
        self.traffic.end(self);
    }
}

/// Notes that the peer has given a call up before it had sent all of it.
pub(super) struct BrokenOff(Arc<AtomicBool>);

impl BrokenOff {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A stream that counts what it receives, and makes every authority in it readable.
pub(super) struct Counted<S> {
    pub(super) stream: S,
    /// What was read of it already.
    pub(super) read: &'static [u8],
    pub(super) traffic: Traffic,
    pub(super) authority: AuthorityReader,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let (now, later) = self.read.split_at(self.read.len().min(buf.remaining()));
            buf.put_slice(now);
            self.read = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        let received = &mut buf.filled_mut()[before..];
        self.traffic.receive(received.len());
        self.authority.read(received);
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
