//! Which callers may call what: each refusal has a code and a reason, is counted, and sends nothing
//! upstream.

mod both;
mod certificates;
mod jose;
mod keys;
mod readiness;
mod tokens;

use std::future::Future;

use hubspot_connection_service::proto::{
    DeleteHubSpotConnectionRequest, ListHubSpotConnectionsRequest, UpdateHubSpotConnectionRequest,
    hub_spot_connection_service_client::HubSpotConnectionServiceClient as Client,
};
use tonic::{Code, Request, Status, transport::Channel};

use crate::support::{Failure, TestService, counted, credentials, request, tokens::bearing};

/// The code and the reason for an unauthenticated caller.
const UNAUTHENTICATED: (Code, &str) = (Code::Unauthenticated, "CALLER_UNAUTHENTICATED");
/// For a caller whose token cannot be checked.
const UNCHECKED: (Code, &str) = (Code::Unavailable, "CALLER_KEYS_UNAVAILABLE");
/// For a caller without permission.
const NOT_ALLOWED: (Code, &str) = (Code::PermissionDenied, "CALLER_NOT_ALLOWED");

/// The counter of calls that were refused for this reason.
fn refused(reason: &str) -> String {
    format!("hubspot_connection_callers_refused_total{{reason=\"{reason}\"}}")
}

/// A request, with a token if there is one.
fn message<T>(token: Option<&str>, message: T) -> Request<T> {
    match token {
        Some(token) => bearing(token, message),
        None => Request::new(message),
    }
}

async fn create(client: &mut Client<Channel>, token: Option<&str>) -> Result<String, Status> {
    let response = client.create_hub_spot_connection(message(token, request())).await?;
    Ok(response.into_inner().id)
}

async fn list(client: &mut Client<Channel>, token: Option<&str>) -> Result<(), Status> {
    let request = message(token, ListHubSpotConnectionsRequest::default());
    client.list_hub_spot_connections(request).await.map(drop)
}

/// Calls each of the methods that write.
async fn write_all(
    client: &mut Client<Channel>,
    token: Option<&str>,
    id: &str,
) -> [(&'static str, Result<(), Status>); 3] {
    let update = UpdateHubSpotConnectionRequest {
        id: id.to_owned(),
        credentials: Some(credentials()),
        ..UpdateHubSpotConnectionRequest::default()
    };
    let delete =
        DeleteHubSpotConnectionRequest { id: id.to_owned(), ..DeleteHubSpotConnectionRequest::default() };
    [
        ("create", create(client, token).await.map(drop)),
        ("update", client.update_hub_spot_connection(message(token, update)).await.map(drop)),
        ("delete", client.delete_hub_spot_connection(message(token, delete)).await.map(drop)),
    ]
}

impl TestService {
    /// How many requests have reached the Flow Service. A token is fetched when the service starts.
    fn sent(&self) -> usize {
        self.emulator.received().iter().filter(|request| !request.path.contains("/ims/")).count()
    }

    /// Fails unless a call whose token cannot be checked is asked to retry, and nothing is sent for it.
    async fn assert_cannot_check<T: std::fmt::Debug>(&self, call: impl Future<Output = Result<T, Status>>) {
        let sent = self.sent();
        let failure = Failure::from(call.await.unwrap_err());
        assert_eq!(failure.row(), UNCHECKED, "{failure:?}");
        assert!(failure.retry_after.is_some() && !failure.forbids_retry, "{failure:?}");
        assert_eq!(self.sent(), sent, "{failure:?}");
    }

    /// Fails unless a call is refused with this code and reason, is counted under this name, and nothing
    /// is sent for it. Returns the message.
    async fn assert_refuses<T: std::fmt::Debug>(
        &self,
        row: (Code, &str),
        reason: &str,
        call: impl Future<Output = Result<T, Status>>,
    ) -> String {
        let (counter, sent) = (refused(reason), self.sent());
        let before = counted(self.admin, &counter).await;
        let failure = Failure::from(call.await.unwrap_err());
        assert_eq!(failure.row(), row, "{failure:?}");
        assert!(failure.forbids_retry, "{failure:?}");
        assert_eq!(counted(self.admin, &counter).await, before + 1, "{reason}: {failure:?}");
        assert_eq!(self.sent(), sent, "{failure:?}");
        failure.message
    }
}
