//! Sheds the calls for which no permit is left, before anything of them is read: see `service::limits`.

use super::{Request, Response};
use crate::{grpc::status, metrics::CallMetrics, service::Limits};

const CREATE: &str = "/hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection";

pub(crate) async fn admission(
    (limits, metrics): (&Limits, &CallMetrics),
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let permit = if request.uri().path() == CREATE { limits.creation() } else { limits.call() };
    // It is held until there is a response.
    let Some(_permit) = permit else {
        metrics.shed_call();
        return status::overloaded().into_http();
    };
    next(request).await
}
