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
            // Nothing is left to do for a task that is ended.
            let _ = kill.run_until_cancelled(task).await;
        });
    }

    /// A task that belongs to a call for as long as that is there: it costs no more than any other part
    /// of the call. When this is dropped it goes on in the background, in the call's log and trace. Where
    /// it panics it is over.
    pub(crate) fn outliving(&self, task: BoxFuture<'static, ()>) -> Outliving {
        Outliving {
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

    /// Tells the tasks that the process is about to end, and waits for the last one.
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

/// A task that goes on in the background when this is dropped.
#[must_use = "it is dropped"]
pub(crate) struct Outliving {
    /// `None` once it is over.
    task: Option<CatchUnwind<AssertUnwindSafe<BoxFuture<'static, ()>>>>,
    background: Background,
    /// Whoever drops a call may do so outside of its trace. Its log is with it.
    trace: opentelemetry::Context,
}

impl Future for Outliving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(task) = &mut self.task {
            // Of a panic the hook has told.
            let _ = ready!(task.poll_unpin(context));
            self.task = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Outliving {
    fn drop(&mut self) {
        // At the end of the process there is nowhere to go on.
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
    async fn a_task_whose_call_is_dropped_goes_on_and_the_drain_waits_for_it() {
        let background = Background::default();
        let (told, over) = oneshot::channel();
        let mut task = background.outliving(Box::pin(async {
            sleep(A_WHILE).await;
            let _ = told.send(());
        }));
        assert!((&mut task).now_or_never().is_none());
        assert_eq!(background.tasks(), 0, "it is a part of its call");
        drop(task);
        assert_eq!(background.tasks(), 1);
        background.drain().await;
        assert_eq!(over.now_or_never(), Some(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_was_told_to_end_does_not_go_on() {
        let background = Background::default();
        let (told, over) = oneshot::channel::<()>();
        let task = background.outliving(Box::pin(async {
            sleep(A_WHILE).await;
            let _ = told.send(());
        }));
        background.kill();
        drop(task);
        background.drain().await;
        assert!(over.await.is_err());
    }

    #[tokio::test]
    async fn a_task_that_panics_is_over_and_its_call_goes_on() {
        let background = Background::default();
        let mut task = background.outliving(Box::pin(async { panic!("canary") }));
        (&mut task).await;
        drop(task);
        assert_eq!(background.tasks(), 0);
    }
}
