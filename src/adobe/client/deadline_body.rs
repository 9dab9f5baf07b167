//! A request body that knows the moment of its sending.
//!
//! Only a whole request can be carried out: a server that has the headers alone still waits for as
//! many bytes as `content-length` says (RFC 9112, section 8; RFC 9113, section 8.1.1). And hyper
//! asks for a body when the connection is made and the headers are encoded, never before (hyper
//! 1.12, `proto/h1/dispatch.rs`, `poll_write`; `proto/h2/client.rs`, `poll_pipe`). So a body in one
//! piece that nobody has asked for proves that nothing was sent, and one that refuses to be sent
//! keeps the request from taking effect.
//!
//! Over HTTP/2 a body that was handed over in time may still wait for the peer's flow control window.
//! It counts as sent, and the request's timeout bounds that wait.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::domain::Progress;

/// What has become of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody has asked for it.
    Waiting,
    /// It was handed over for sending: it may arrive.
    Sent,
    /// It was asked for too late, and refused.
    TooLate,
    /// Its request had ended before it was asked for.
    Withdrawn,
}

/// Why a body was refused to the HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("the body is not to be sent any more")]
pub(crate) struct NotSent;

/// A body in one piece.
#[derive(Debug)]
pub(crate) struct TimelyBody {
    /// `None` once it was asked for.
    piece: Option<Bytes>,
    shared: Arc<Shared>,
}

/// Keeps a body sendable: when this is dropped, one that is still waiting is withdrawn.
#[derive(Debug)]
pub(crate) struct Departure(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    send_by: Instant,
    progress: Arc<Progress>,
    /// The connection's task and the one that waits for the answer run side by side: what the one
    /// concludes from the fate of the body, the other must not change afterwards.
    fate: Mutex<Fate>,
}

impl TimelyBody {
    /// A body that is sent before `send_by` or not at all. `progress` tells from then on that the
    /// connection may exist.
    pub(crate) fn new(piece: Bytes, send_by: Instant, progress: Arc<Progress>) -> (Self, Departure) {
        let shared = Arc::new(Shared { send_by, progress, fate: Mutex::new(Fate::Waiting) });
        (Self { piece: Some(piece), shared: Arc::clone(&shared) }, Departure(shared))
    }
}

impl Departure {
    /// What has become of the body. One that is still waiting is withdrawn: this is final.
    pub(crate) fn conclude(self) -> Fate {
        self.0.withdraw()
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

impl Shared {
    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self) -> Result<(), NotSent> {
        let mut fate = self.fate();
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
        let mut fate = self.fate();
        if *fate == Fate::Waiting {
            *fate = Fate::Withdrawn;
        }
        *fate
    }
}

impl Body for TimelyBody {
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

    fn waiting() -> (TimelyBody, Departure, Arc<Progress>) {
        let progress = Arc::new(Progress::new(RequestId::generate(), false));
        let (body, departure) =
            TimelyBody::new(Bytes::from_static(b"{}"), Instant::now() + LIMIT, Arc::clone(&progress));
        (body, departure, progress)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_asked_for_in_time_is_sent_whole() {
        let (body, departure, progress) = waiting();
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(2), false));
        assert!(!progress.may_exist());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "{}");
        assert!(progress.may_exist());
        assert_eq!(departure.conclude(), Fate::Sent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_asked_for_too_late_is_not_sent() {
        let (body, departure, progress) = waiting();
        advance(LIMIT).await;
        assert!(body.collect().await.is_err() && !progress.may_exist());
        assert_eq!(departure.conclude(), Fate::TooLate);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_not_sent_once_somebody_relies_on_that() {
        let (body, departure, progress) = waiting();
        assert_eq!(departure.conclude(), Fate::Withdrawn);
        assert!(body.collect().await.is_err() && !progress.may_exist());

        let (body, departure, progress) = waiting();
        drop(departure);
        assert!(body.collect().await.is_err() && !progress.may_exist());
    }
}
