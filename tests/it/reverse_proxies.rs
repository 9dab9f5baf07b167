//! Callers behind nginx and HAProxy, with the configurations of `deploy/proxies`: what a caller gets is the same as
//! without a proxy. `rolling` restarts replicas behind them.

mod certificates;
mod interruptions;
pub(crate) mod proxy;

use hubspot_connection_service::{
    grpc::SERVICE_NAME,
    proto::{
        CreateHubSpotConnectionRequest, GetHubSpotConnectionRequest, HubSpotCredentials,
        hub_spot_connection_service_client::HubSpotConnectionServiceClient as Client,
    },
};
use serde_json::json;
use tokio::time::Duration;
use tonic::{Code, IntoRequest, Request, Status, transport::Channel};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};
use uuid::Uuid;

use self::proxy::{Kind, Proxy};
use crate::support::{Failure, TestService, request, request_with_id};

async fn channel(proxy: &Proxy) -> Channel {
    Channel::from_shared(format!("http://{}", proxy.address)).unwrap().connect().await.unwrap()
}

async fn create(
    channel: &Channel,
    request: impl IntoRequest<CreateHubSpotConnectionRequest>,
) -> Result<String, Status> {
    let response = Client::new(channel.clone()).create_hub_spot_connection(request).await?;
    Ok(response.into_inner().id)
}

/// Whether an error is the proxy's own, in a form that every client retries if its service config permits it.
fn is_of_proxy(status: &Status) -> bool {
    status.code() == Code::Unavailable
        && status.message() == "the proxy got no response from the service"
        && status.details().is_empty()
}

#[tokio::test]
async fn errors_keep_their_details() {
    for kind in Kind::installed() {
        let service = TestService::start().await;
        let proxy = kind.documented().start(&[service.grpc]).await;
        let channels = [service.client().await, Client::new(channel(&proxy).await)];
        let long = "\u{1f600}\u{7}".repeat(1200);
        let credentials = || HubSpotCredentials {
            client_id: long.clone(),
            client_secret: long.clone(),
            access_token: long.clone(),
            refresh_token: long.clone(),
        };
        // The first error is the largest possible one.
        let requests = [
            CreateHubSpotConnectionRequest {
                name: long.clone(),
                description: long.clone(),
                credentials: Some(credentials()),
                sandbox_name: "A".repeat(3000),
                request_id: "no".repeat(1000),
                verification: 77,
                validate_only: true,
            },
            CreateHubSpotConnectionRequest { description: "x".repeat(70_000), ..request() },
            CreateHubSpotConnectionRequest { sandbox_name: "other".to_owned(), ..request() },
        ];
        for (request, reason) in
            requests.into_iter().zip(["INVALID_REQUEST", "REQUEST_TOO_LARGE", "SANDBOX_NOT_ALLOWED"])
        {
            let [direct, behind] = channels.clone().map(|mut client| {
                let request = request.clone();
                async move { client.create_hub_spot_connection(request).await.unwrap_err() }
            });
            let (direct, behind) = (direct.await, behind.await);
            assert_eq!(direct.code(), behind.code(), "{kind:?}: {behind:?}");
            assert_eq!(direct.message(), behind.message(), "{kind:?}");
            assert_eq!(direct.details(), behind.details(), "{kind:?}");
            assert_eq!(Failure::from(behind).reason, reason);
        }

        service.inject(
            json!([{"route": "GET /connections/{id}", "count": 0, "action": {"status": 503, "shape": "A"}}]),
        );
        let [_, mut client] = channels;
        let get = GetHubSpotConnectionRequest { id: Uuid::new_v4().to_string(), ..Default::default() };
        let failure = Failure::from(client.get_hub_spot_connection(get).await.unwrap_err());
        assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"), "{kind:?}");
        assert!(failure.retry_after.is_some(), "{failure:?}");
    }
}

#[tokio::test]
async fn the_deadline_of_the_caller_arrives() {
    for kind in Kind::installed() {
        let service = TestService::start().await;
        let proxy = kind.documented().start(&[service.grpc]).await;
        service.inject(json!([{"route": "POST /connections", "action": {"delay": "30s"}}]));
        let mut request = Request::new(request_with_id());
        request.set_timeout(Duration::from_secs(2));
        let failure = Failure::from(create(&channel(&proxy).await, request).await.unwrap_err());
        assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{kind:?}");
        assert_eq!(failure.metadata("may_exist"), "true");
    }
}

#[tokio::test]
async fn health_checks_reach_the_service() {
    for kind in Kind::installed() {
        let service = TestService::start().await;
        let proxy = kind.documented().start(&[service.grpc]).await;
        let mut client = HealthClient::new(channel(&proxy).await);
        let question = || HealthCheckRequest { service: SERVICE_NAME.to_owned() };
        let response = client.check(question()).await.unwrap().into_inner();
        assert_eq!(response.status, ServingStatus::Serving as i32, "{kind:?}");
        let mut watch = client.watch(question()).await.unwrap().into_inner();
        let first = watch.message().await.unwrap().unwrap();
        assert_eq!(first.status, ServingStatus::Serving as i32, "{kind:?}");
    }
}
