//! A call, in the extensions of its request: what its layers and its method share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tonic::Status;

use super::{
    audit::Audited,
    layer::{Request, timeout},
    methods::Method,
    status::internal,
};
use crate::{
    domain::{CallProgress, UpstreamTime},
    exactly_once::Kind,
};

#[derive(Debug)]
pub(super) struct Call {
    /// `None` if there is no such method.
    pub(super) method: Option<&'static Method>,
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) progress: CallProgress,
    pub(super) upstream: Arc<UpstreamTime>,
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
            upstream: Arc::default(),
            audited: Mutex::default(),
        });
        request.extensions_mut().insert(Arc::clone(&call));
        call
    }

    /// What the call is about.
    pub(super) fn kind(&self) -> Kind {
        self.method.map_or(Kind::Connection, |method| method.kind)
    }

    pub(super) fn audited(&self) -> MutexGuard<'_, Audited> {
        self.audited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message of a request, and its call.
pub(super) fn parts<T>(request: tonic::Request<T>) -> Result<(T, Arc<Call>), Status> {
    let call = request.extensions().get::<Arc<Call>>().cloned().ok_or_else(internal)?;
    Ok((request.into_inner(), call))
}
