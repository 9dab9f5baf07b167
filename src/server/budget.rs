//! What a peer may do on a connection beyond its calls.
//!
//! The attacker is any peer that can connect, before it shows credentials. h2 limits most of what such a peer can
//! do: calls at once, calls given up before they are accepted, stream errors, headers without end, empty DATA and
//! CONTINUATION frames. Two things it does not limit; the other tests of `limits` pass without this file.
//! - Frames that belong to no call: pings, settings, priorities, window updates and unknown frames keep a core busy
//!   (`limits::a_flood_of_frames_that_are_no_calls_is_cut`). So each byte is taken from a budget that calls refill.
//! - Calls given up after they are accepted, which no longer count as calls at once: "rapid reset", CVE-2023-44487
//!   (`limits::calls_that_are_given_up_once_they_are_under_way_are_cut`). So these are counted.

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
/// Calls that a peer may give up beyond those whose responses it reads. Deadlines end calls this way, too, but the
/// service answers before them.
const MAX_GIVEN_UP: u32 = 1000;

/// The budget of one connection. Clones share it.
#[derive(Clone)]
pub(super) struct Budget(Arc<Shared>);

struct Shared {
    bytes: AtomicI64,
    /// Calls that were given up, minus answered ones.
    given_up: AtomicU32,
    exceeded: SetOnce<&'static str>,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Shared {
            bytes: AtomicI64::new(SPARE_BYTES),
            given_up: AtomicU32::new(0),
            exceeded: SetOnce::new(),
        }))
    }
}

impl Budget {
    pub(super) fn begin(&self, requests: &Requests) -> Call {
        let refill = |bytes: i64| Some(MAX_BYTES.min(bytes + BYTES_PER_CALL));
        let _ = self.0.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, refill);
        Call { budget: self.clone(), request: requests.begin(), is_broken_off: Arc::default() }
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

    fn give_up(&self) {
        if self.0.given_up.fetch_add(1, Ordering::Relaxed) >= MAX_GIVEN_UP {
            self.exceed("resets");
        }
    }

    fn complete(&self) {
        let decrement = |given_up: u32| given_up.checked_sub(1);
        let _ = self.0.given_up.fetch_update(Ordering::Relaxed, Ordering::Relaxed, decrement);
    }

    fn exceed(&self, limit: &'static str) {
        // Only the first one counts.
        let _ = self.0.exceeded.set(limit);
    }
}

/// A call, until its response is sent or it is given up.
pub(super) struct Call {
    budget: Budget,
    pub(super) request: Request,
    /// Set when the peer resets the call before it has sent all of it: the service answers that, too, but the peer
    /// does not read the response.
    pub(super) is_broken_off: Arc<AtomicBool>,
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.request.is_answered && !self.is_broken_off.load(Ordering::Relaxed) {
            self.budget.complete();
        } else {
            self.budget.give_up();
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
