//! What a peer may do on a connection beyond its calls.
//!
//! The attacker is any peer that can connect, before it shows credentials. h2 limits most of what such a peer can
//! do: calls at once, calls cancelled before they are accepted, stream errors, headers without end, empty DATA and
//! CONTINUATION frames. Two things it does not limit; the other tests of `limits` pass without this file.
//! - Frames that belong to no call: pings, settings, priorities, window updates and unknown frames keep a core busy
//!   (`limits::a_flood_of_frames_that_are_no_calls_is_cut`). So each byte is taken from a budget that calls refill.
//! - Calls cancelled after they are accepted, which h2 does not count as calls at once: "rapid reset", CVE-2023-44487
//!   (`limits::connections_that_cancel_calls_after_their_start_are_cut`). So these are counted.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::SetOnce,
};

use super::{
    authority::AuthorityReader,
    requests::{Request, Requests},
};

/// Bytes beyond those of calls: about 60,000 pings, of which a client sends one in seconds.
const SPARE_BYTES: i64 = 1 << 20;
/// Bytes that a call allows: twice the largest message, its headers, and frames about them.
const BYTES_PER_CALL: i64 = 160 * 1024;
/// What calls can add up to: as many as can run at once.
const MAX_BYTES: i64 = SPARE_BYTES + 256 * BYTES_PER_CALL;
/// Calls that a peer may cancel beyond those whose responses it reads. Deadlines cancel calls, too, but the service
/// responds before them.
const MAX_CANCELLED: u32 = 1000;

/// The budget of one connection. Clones share it.
#[derive(Clone)]
pub(super) struct Budget(Arc<Shared>);

struct Shared {
    bytes: AtomicI64,
    /// Cancelled calls, minus those with a response.
    cancelled: AtomicU32,
    exceeded: SetOnce<&'static str>,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Shared {
            bytes: AtomicI64::new(SPARE_BYTES),
            cancelled: AtomicU32::new(0),
            exceeded: SetOnce::new(),
        }))
    }
}

impl Budget {
    pub(super) fn begin(&self, requests: &Requests) -> Call {
        let refill = |bytes: i64| Some(MAX_BYTES.min(bytes + BYTES_PER_CALL));
        let _ = self.0.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, refill);
        Call { budget: self.clone(), request: requests.begin(), is_reset: Arc::default() }
    }

    /// Resolves with the name of the limit that the peer has exceeded.
    pub(super) async fn exceeded(&self) -> &'static str {
        self.0.exceeded.wait().await
    }

    fn receive(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(SPARE_BYTES);
        if self.0.bytes.fetch_sub(bytes, Ordering::Relaxed) < bytes {
            self.exceed("flood");
        }
    }

    fn cancel(&self) {
        if self.0.cancelled.fetch_add(1, Ordering::Relaxed) >= MAX_CANCELLED {
            self.exceed("resets");
        }
    }

    fn complete(&self) {
        let decrement = |cancelled: u32| cancelled.checked_sub(1);
        let _ = self.0.cancelled.fetch_update(Ordering::Relaxed, Ordering::Relaxed, decrement);
    }

    fn exceed(&self, limit: &'static str) {
        // Only the first one counts.
        let _ = self.0.exceeded.set(limit);
    }
}

/// A call, until its response is sent or it is cancelled.
pub(super) struct Call {
    budget: Budget,
    pub(super) request: Request,
    /// Set when the peer resets the call before it has sent all of it: the service responds to that, too, but the peer
    /// does not read the response.
    pub(super) is_reset: Arc<AtomicBool>,
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.request.has_response && !self.is_reset.load(Ordering::Relaxed) {
            self.budget.complete();
        } else {
            self.budget.cancel();
        }
    }
}

/// Takes what is received from the budget, and makes each authority readable.
pub(super) struct Received<R> {
    pub(super) stream: R,
    pub(super) budget: Budget,
    pub(super) authority: AuthorityReader,
}

impl<R: AsyncRead + Unpin> AsyncRead for Received<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        let received = &mut buffer.filled_mut()[before..];
        self.budget.receive(received.len());
        self.authority.read(received);
        poll
    }
}
