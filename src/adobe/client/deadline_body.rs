//! A request body that is sent by a deadline or not at all, and that knows whether it was sent.
//!
//! Only a whole request can be executed: a server that has the headers alone still waits for as many bytes as
//! `content-length` says (RFC 9112, section 8; RFC 9113, section 8.1.1). And hyper reads the body after the
//! connection is made and the headers are encoded, never before (hyper 1.12, `proto/h1/dispatch.rs`,
//! `poll_write`; `proto/h2/client.rs`, `poll_pipe`). So a body in one piece that was never read proves that
//! nothing was sent, and a body that refuses to be read prevents the request from taking effect.
//!
//! Over HTTP/2 a body that was read in time may still wait for the peer's flow control window. It counts as
//! sent, and the request's timeout bounds that wait.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::Progress;

/// What happened to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was not read.
    Waiting,
    /// It was read: it may arrive.
    Sent,
    /// It was to be read after the deadline, and refused.
    TooLate,
    /// Its request ended before it was read.
    Withdrawn,
}

/// Why a body was refused to the HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("the body must not be sent any more")]
pub(super) struct NotSent;

/// A body in one piece.
#[derive(Debug)]
pub(super) struct DeadlineBody {
    /// `None` once it was read.
    piece: Option<Bytes>,
    shared: Arc<Shared>,
}

/// Dropping it withdraws a body that was not read.
#[derive(Debug)]
pub(super) struct SendGuard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    send_by: Instant,
    progress: Arc<Progress>,
    /// Shared by the connection's task and the one that waits for the reply: a conclusion of the latter must
    /// stay true.
    fate: Mutex<Fate>,
}

impl DeadlineBody {
    /// A body that is sent before `send_by` or not at all. Once it is sent, `progress` reports that the
    /// connection may exist.
    pub(super) fn new(piece: Bytes, send_by: Instant, progress: Arc<Progress>) -> (Self, SendGuard) {
        let shared = Arc::new(Shared { send_by, progress, fate: Mutex::new(Fate::Waiting) });
        (Self { piece: Some(piece), shared: Arc::clone(&shared) }, SendGuard(shared))
    }
}

impl SendGuard {
    /// Withdraws the body if it was not read. The result is final.
    pub(super) fn finish(self) -> Fate {
        self.0.withdraw()
    }
}

impl Drop for SendGuard {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

impl Shared {
    fn send(&self) -> Result<(), NotSent> {
        let mut fate = self.fate.lock();
        if *fate == Fate::Waiting {
            *fate = if Instant::now() < self.send_by { Fate::Sent } else { Fate::TooLate };
        }
        if *fate == Fate::Sent {
            self.progress.set_may_exist(true);
            Ok(())
        } else {
            Err(NotSent)
        }
    }

    fn withdraw(&self) -> Fate {
        let mut fate = self.fate.lock();
        if *fate == Fate::Waiting {
            *fate = Fate::Withdrawn;
        }
        *fate
    }
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = NotSent;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NotSent>>> {
        let Some(piece) = self.piece.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(self.shared.send().map(|()| Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_none()
    }

    /// Exact, so that the request has a `content-length` and is not sent in chunks.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.piece.as_ref().map_or(0, |piece| piece.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use tokio::time::advance;

    use super::*;
    use crate::domain::RequestId;

    const LIMIT: Duration = Duration::from_secs(5);

    fn waiting() -> (DeadlineBody, SendGuard, Arc<Progress>) {
        let progress = Arc::new(Progress::new(RequestId::generate(), false));
        let (body, guard) =
            DeadlineBody::new(Bytes::from_static(b"{}"), Instant::now() + LIMIT, Arc::clone(&progress));
        (body, guard, progress)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_read_in_time_is_sent_whole() {
        let (body, guard, progress) = waiting();
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(2), false));
        assert!(!progress.may_exist());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "{}");
        assert!(progress.may_exist());
        assert_eq!(guard.finish(), Fate::Sent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_read_too_late_is_not_sent() {
        let (body, guard, progress) = waiting();
        advance(LIMIT).await;
        assert!(body.collect().await.is_err() && !progress.may_exist());
        assert_eq!(guard.finish(), Fate::TooLate);
    }

    #[tokio::test(start_paused = true)]
    async fn a_withdrawn_body_is_not_sent() {
        let (body, guard, progress) = waiting();
        assert_eq!(guard.finish(), Fate::Withdrawn);
        assert!(body.collect().await.is_err() && !progress.may_exist());

        let (body, guard, progress) = waiting();
        drop(guard);
        assert!(body.collect().await.is_err() && !progress.may_exist());
    }
}
