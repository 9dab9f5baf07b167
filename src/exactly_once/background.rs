//! The tasks that outlive a call.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, CatchUnwind},
};
use opentelemetry::context::FutureExt as _;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// The tasks that outlive a call, and what the end of the process means for them.
#[derive(Clone, Debug, Default)]
pub struct Background {
    tasks: TaskTracker,
    drain: CancellationToken,
    kill: CancellationToken,
}

impl Background {
    /// Runs a task to its end, or to that of the process.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let kill = self.kill.clone();
        self.tasks.spawn(async move {
            // Nothing remains to be done for a task that was ended.
            let _ = kill.run_until_cancelled(task).await;
        });
    }

    /// A task that belongs to its call as long as the call lasts: it costs no more than any other part
    /// of the call. When this is dropped it continues in the background, in the call's log and trace. If
    /// it panics it has ended.
    pub(crate) fn detach_on_drop(&self, task: BoxFuture<'static, ()>) -> DetachOnDrop {
        DetachOnDrop {
            task: Some(AssertUnwindSafe(task).catch_unwind()),
            background: self.clone(),
            trace: opentelemetry::Context::current(),
        }
    }

    /// Resolves when the process is about to end: what only waits should stop waiting.
    pub(crate) async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Whether the process is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Signals the tasks that the process is about to end, and waits for the last one.
    pub async fn drain(&self) {
        self.drain.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Ends the tasks where they are.
    pub fn kill(&self) {
        self.kill.cancel();
    }

    /// The number of tasks.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }
}

/// A task that continues in the background when this is dropped.
#[must_use = "it is dropped"]
pub(crate) struct DetachOnDrop {
    /// `None` once it has ended.
    task: Option<CatchUnwind<AssertUnwindSafe<BoxFuture<'static, ()>>>>,
    background: Background,
    /// A call may be dropped outside of its trace. The span of its log is known there.
    trace: opentelemetry::Context,
}

impl Future for DetachOnDrop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(task) = &mut self.task {
            // The hook has reported a panic.
            let _ = ready!(task.poll_unpin(context));
            self.task = None;
        }
        Poll::Ready(())
    }
}

impl Drop for DetachOnDrop {
    fn drop(&mut self) {
        // At the end of the process there is no runtime to continue in.
        if let (Some(task), Ok(_)) = (self.task.take(), Handle::try_current()) {
            self.background.spawn(task.map(drop).in_current_span().with_context(self.trace.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{sync::oneshot, time::sleep};

    use super::*;

    const A_WHILE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_task_whose_call_is_dropped_continues_and_the_drain_waits_for_it() {
        let background = Background::default();
        let (done, ended) = oneshot::channel();
        let mut task = background.detach_on_drop(Box::pin(async {
            sleep(A_WHILE).await;
            let _ = done.send(());
        }));
        assert!((&mut task).now_or_never().is_none());
        assert_eq!(background.tasks(), 0, "it is a part of its call");
        drop(task);
        assert_eq!(background.tasks(), 1);
        background.drain().await;
        assert_eq!(ended.now_or_never(), Some(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_was_killed_does_not_continue() {
        let background = Background::default();
        let (done, ended) = oneshot::channel::<()>();
        let task = background.detach_on_drop(Box::pin(async {
            sleep(A_WHILE).await;
            let _ = done.send(());
        }));
        background.kill();
        drop(task);
        background.drain().await;
        assert!(ended.await.is_err());
    }

    #[tokio::test]
    async fn a_task_that_panics_has_ended_and_its_call_continues() {
        let background = Background::default();
        let mut task = background.detach_on_drop(Box::pin(async { panic!("canary") }));
        (&mut task).await;
        drop(task);
        assert_eq!(background.tasks(), 0);
    }
}
