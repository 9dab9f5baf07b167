//! The tasks that outlive a call.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The tasks that outlive a call, and what the end of the process means for them.
#[derive(Clone, Debug, Default)]
pub struct Background {
    tasks: TaskTracker,
    drain: CancellationToken,
    kill: CancellationToken,
}

impl Background {
    /// Runs a task to its end, or to that of the process.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let kill = self.kill.clone();
        self.tasks.spawn(async move {
            // Nothing is left to do for a task that is ended.
            let _ = kill.run_until_cancelled(task).await;
        });
    }

    /// Resolves when the process is about to end: what only waits should stop waiting.
    pub(super) async fn draining(&self) {
        self.drain.cancelled().await;
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
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}
