//! The HTTP server, whose connections a fault can close without a reply.
//!
//! It has its own accept loop because a ready-made one always replies. Each connection has a token that cuts it.
//! Over HTTP/2 that ends every request on it, as a lost connection does.

use std::{convert::Infallible, error::Error, future, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Shared, controls,
    problem::Problem,
    received::{self, ReceivedRequest},
    reply::{Reply, X_REQUEST_ID},
    state::{Decision, Late},
};

/// The largest body that is read.
const MAX_BODY: usize = 1024 * 1024;

/// The pause after a failed accept, such as for lack of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Accepts connections until the emulator stops.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    shared.tasks.spawn(serve_connection(stream, Arc::clone(&shared)));
                }
                Err(error) => {
                    debug!(%error, "accepting a connection failed");
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    };
    shared.stopped.run_until_cancelled(accept).await;
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "setting TCP_NODELAY failed");
    }
    // A child, so that the connection is cut when the emulator stops, too.
    let cut = shared.stopped.child_token();
    let service = service_fn(|request| {
        let (shared, cut) = (Arc::clone(&shared), cut.clone());
        async move { Ok::<_, Infallible>(respond(request, shared, cut).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
        debug!(error, "a connection ended early");
    }
}

async fn respond(request: Request<Incoming>, shared: Arc<Shared>, cut: CancellationToken) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let request_id = received::request_id(&parts.headers);
    let reply = match Limited::new(body, MAX_BODY).collect().await {
        Err(error) => unreadable(&*error),
        Ok(body) if controls::is_control(&path) => {
            controls::handle(&method, &path, &body.to_bytes(), &mut shared.state())
        }
        Ok(body) => {
            let request = ReceivedRequest::new(parts, body.to_bytes(), request_id.clone());
            let decision = shared.state().receive(request);
            execute(decision, shared, cut).await
        }
    };
    debug!(%method, path, status = reply.status.as_u16(), request_id, "replied");
    let mut response = reply.into_response();
    if let Ok(request_id) = HeaderValue::try_from(request_id) {
        response.headers_mut().entry(X_REQUEST_ID).or_insert(request_id);
    }
    response
}

fn unreadable(error: &(dyn Error + 'static)) -> Reply {
    let too_large = error.is::<LengthLimitError>();
    let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
    Problem::Message { status, message: "The body cannot be read".to_owned() }.reply("")
}

async fn execute(decision: Decision, shared: Arc<Shared>, cut: CancellationToken) -> Reply {
    match decision {
        Decision::Reply(reply) => reply,
        Decision::ReplyAfter(time, reply) => {
            sleep(time).await;
            reply
        }
        Decision::Close => close(&cut).await,
        Decision::CloseAndCommitAfter(time, late) => {
            shared.tasks.spawn(commit_late(time, late, Arc::clone(&shared)));
            close(&cut).await
        }
    }
}

/// Cuts the connection that this runs on, so it never returns.
async fn close(cut: &CancellationToken) -> Reply {
    cut.cancel();
    future::pending().await
}

async fn commit_late(time: Duration, late: Late, shared: Arc<Shared>) {
    if shared.stopped.run_until_cancelled(sleep(time)).await.is_some() {
        shared.state().commit_late(&late);
    }
}
