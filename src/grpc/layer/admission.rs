//! Sheds the calls that find no room, before anything is read of them.
//!
//! A call needs a place among those that wait for the Flow Service. Of creations, more are let in than
//! have one: the store knows the answer of one that was made before, and a Flow Service that is stuck
//! must not keep it back. Those that do need a place find out after the store was asked.

use tokio::sync::Semaphore;

use super::{Request, Response};
use crate::{grpc::status, metrics::CallMetrics, service::Bulkhead};

const CREATE: &str = "/hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection";
/// How many more creations are let in than have a place: a quarter, and at least so many. They take
/// milliseconds.
const LEAST_SPARE: usize = 16;

/// Who is let in.
#[derive(Debug)]
pub(crate) struct Admission {
    calls: Bulkhead,
    creations: Semaphore,
}

impl Admission {
    /// Every call but a creation takes its place here.
    pub(crate) fn new(calls: Bulkhead) -> Self {
        let most = calls.most();
        let creations = most.saturating_add((most / 4).max(LEAST_SPARE)).min(Semaphore::MAX_PERMITS);
        Self { calls, creations: Semaphore::new(creations) }
    }
}

pub(crate) async fn admission(
    (admission, metrics): (&Admission, &CallMetrics),
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Admission { calls, creations } = admission;
    // Whichever it is, it is held until the call is answered.
    let (creation, place) = if request.uri().path() == CREATE {
        (creations.try_acquire().ok(), None)
    } else {
        (None, calls.enter())
    };
    if creation.is_none() && place.is_none() {
        metrics.shed_call();
        return status::overloaded().into_http();
    }
    next(request).await
}
