//! Sheds the calls beyond those that may be under way at once, before anything is read of them.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::sync::Semaphore;

use crate::{grpc::status, metrics::CallMetrics};

pub(in crate::grpc) async fn admission(
    State((slots, metrics)): State<(Arc<Semaphore>, CallMetrics)>,
    request: Request,
    next: Next,
) -> Response {
    match slots.try_acquire() {
        Ok(_slot) => next.run(request).await,
        Err(_) => {
            metrics.shed_call();
            status::overloaded().into_http()
        }
    }
}
