//! A creation through a service that runs already, such as the one of a demo in a cluster.

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

/// What a service may take to start, with everything that it needs.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates a connection and prints the answer. What may pass is tried again, with the same request id: it
/// makes one connection.
pub(super) async fn create(address: Uri, request_id: RequestId) -> Result<(), Box<dyn Error>> {
    let channel = Channel::builder(address.clone()).connect_timeout(CONNECT_TIMEOUT).connect_lazy();
    let mut client = Client::new(channel);
    let creation = creation(request_id);
    let give_up = Instant::now() + PATIENCE;
    loop {
        let mut request = Request::new(creation.clone());
        request.set_timeout(CALL_TIMEOUT);
        match client.create_hub_spot_connection(request).await {
            Ok(response) if response.get_ref().id.is_empty() => return Err("the answer has no ID".into()),
            Ok(response) => return Ok(show_created(response.get_ref())?),
            Err(status) if may_pass(status.code()) && Instant::now() < give_up => {
                writeln!(io::stderr(), "trying again: {}", failure(&address, &status))?;
                sleep(PAUSE).await;
            }
            Err(status) => return Err(failure(&address, &status).into()),
        }
    }
}

/// What failed, and where. A status in full has every header of the response.
fn failure(address: &Uri, status: &Status) -> String {
    // Where there is a cause, nobody has replied.
    let said = status.source().map_or_else(|| status.message().to_owned(), error_chain);
    format!("{address}: {}: {said}", status.code())
}

/// With a request id all of these are safe to repeat. The last two are also what a client says of a
/// connection that it does not get, or loses.
fn may_pass(code: Code) -> bool {
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
