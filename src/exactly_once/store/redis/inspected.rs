//! The latest inspection of the server behind the connection, and what it has changed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use super::{failure::Failure, inspection::Inspection};
use crate::exactly_once::store::weakness::log_changes;

/// How old an inspection may get while its connection is in use.
pub(super) const INSPECTION_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Inspected(Mutex<Option<(Arc<Inspection>, Instant)>>);

impl Inspected {
    /// The latest one, also of a connection that has ended or was refused since.
    pub(super) fn latest(&self) -> Option<Arc<Inspection>> {
        self.lock().as_ref().map(|(inspection, _)| Arc::clone(inspection))
    }

    /// Whether the latest one is older than this, or there is none.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.lock().as_ref().is_none_or(|(_, at)| at.elapsed() >= age)
    }

    /// Inspects the server, and logs what has changed.
    ///
    /// # Errors
    /// Those of the connection, and a server that cannot be the store.
    pub(super) async fn inspect(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Arc<Inspection>, Failure> {
        let inspection = Arc::new(Inspection::of(connection).await?);
        self.note(Arc::clone(&inspection));
        match inspection.refusal() {
            None => Ok(inspection),
            Some(weakness) => Err(Failure::Refused(weakness)),
        }
    }

    fn note(&self, inspection: Arc<Inspection>) {
        let mut latest = self.lock();
        let before = latest.as_ref().map(|(before, _)| &**before);
        log_changes(&before.map(Inspection::weaknesses).unwrap_or_default(), &inspection.weaknesses());
        if before.is_some_and(|before| before.server() != inspection.server()) {
            tracing::info!(server = inspection.server(), "the idempotency store is another server or role");
        }
        *latest = Some((inspection, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Arc<Inspection>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
