//! A call, in the extensions of its request: what its layers and its method share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    audit::Audited,
    layer::{Request, timeout},
    methods::Method,
};
use crate::domain::CallProgress;

#[derive(Debug)]
pub(super) struct Call {
    /// `None` if there is no such method.
    pub(super) method: Option<&'static Method>,
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) progress: CallProgress,
    audited: Mutex<Audited>,
}

impl Call {
    /// Adds the call to the extensions of its request. It ends after the longest time that this service allows,
    /// or at the caller's deadline.
    pub(super) fn begin(request: &mut Request, longest: Duration) -> Arc<Self> {
        let started = Instant::now();
        // A malformed timeout is rejected before the deadline counts.
        let limit = timeout(request.headers()).ok().flatten().map_or(longest, |limit| limit.min(longest));
        let call = Arc::new(Self {
            method: Method::find(request.uri().path()),
            started,
            deadline: started + limit,
            progress: CallProgress::default(),
            audited: Mutex::default(),
        });
        request.extensions_mut().insert(Arc::clone(&call));
        call
    }

    pub(super) fn audited(&self) -> MutexGuard<'_, Audited> {
        self.audited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
