//! Sheds calls beyond the concurrency limits, before their messages are read: see `service::limits`.

use super::{Request, Response};
use crate::{
    grpc::{methods::Limit, status},
    metrics::CallMetrics,
    service::Limits,
};

pub(crate) async fn admission(
    (limits, metrics): (&Limits, &CallMetrics),
    limit: Limit,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let permit = if limit == Limit::Creations { limits.creation() } else { limits.call() };
    let Some(_permit) = permit else {
        metrics.shed.get_or_create(&"max_in_flight".into()).inc();
        return status::overloaded().into_response();
    };
    next(request).await
}
