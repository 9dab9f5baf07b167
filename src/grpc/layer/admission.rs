//! Sheds calls beyond the concurrency limits, before their messages are read.
//!
//! A creation that needs the Flow Service takes a second permit, in the use case. More creations are admitted than
//! have that permit, because the store can return the result of an earlier creation even while the Flow Service does
//! not respond.

use std::num::NonZeroUsize;

use super::{Request, Response};
use crate::{
    grpc::{methods::Limit, status},
    metrics::CallMetrics,
    service::Bulkhead,
};

/// How many more creations are admitted: a quarter, and at least so many. They take milliseconds.
const LEAST_SPARE: usize = 16;

#[derive(Debug)]
pub(crate) struct Admission {
    calls: Bulkhead,
    creations: Bulkhead,
    metrics: CallMetrics,
}

impl Admission {
    pub(crate) fn new(calls: Bulkhead, metrics: CallMetrics) -> Self {
        let most = calls.most();
        let creations = most.saturating_add((most / 4).max(LEAST_SPARE));
        let creations = NonZeroUsize::new(creations).unwrap_or(NonZeroUsize::MIN);
        Self { calls, creations: Bulkhead::new(creations), metrics }
    }
}

pub(crate) async fn admission(
    admission: &Admission,
    limit: Limit,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let bulkhead = if limit == Limit::Creations { &admission.creations } else { &admission.calls };
    let Some(_permit) = bulkhead.enter() else {
        admission.metrics.shed_call();
        return status::overloaded().into_response();
    };
    next(request).await
}
