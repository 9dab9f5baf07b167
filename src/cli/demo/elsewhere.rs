//! Creates a connection through a running service, such as the one of a demo in a cluster.

use std::{
    error::Error,
    io::{self, Write as _},
    time::Duration,
};

use http::Uri;
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status, transport::Channel};

use super::tour::{Client, creation, show_created};
use crate::{domain::RequestId, error::error_chain};

/// The longest wait for a service to start, with everything that it needs.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates a connection and prints the response. Temporary errors are retried with the same request id, so that
/// there is one connection.
pub(super) async fn create(address: Uri, request_id: RequestId) -> Result<(), Box<dyn Error>> {
    let channel = Channel::builder(address.clone()).connect_timeout(CONNECT_TIMEOUT).connect_lazy();
    let mut client = Client::new(channel);
    let creation = creation(request_id);
    let give_up = Instant::now() + START_TIMEOUT;
    loop {
        let mut request = Request::new(creation.clone());
        request.set_timeout(CALL_TIMEOUT);
        match client.create_hub_spot_connection(request).await {
            Ok(response) if response.get_ref().id.is_empty() => return Err("the response has no ID".into()),
            Ok(response) => return Ok(show_created(response.get_ref())?),
            Err(status) if is_temporary(status.code()) && Instant::now() < give_up => {
                writeln!(io::stderr(), "trying again: {}", failure(&address, &status))?;
                sleep(PAUSE).await;
            }
            Err(status) => return Err(failure(&address, &status).into()),
        }
    }
}

/// The address and the error. Printing the whole status would print every header of the response.
fn failure(address: &Uri, status: &Status) -> String {
    // With a cause, the error comes from the client and not from the service.
    let message = status.source().map_or_else(|| status.message().to_owned(), error_chain);
    format!("{address}: {}: {message}", status.code())
}

/// With a request id, all of these are safe to retry. The last two are also the codes of the client for a
/// connection that cannot be opened or is lost.
fn is_temporary(code: Code) -> bool {
    matches!(
        code,
        Code::Aborted
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Unavailable
    )
}
