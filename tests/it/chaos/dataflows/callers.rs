//! Callers that want dataflows, or want them gone, and retry for as long as they are told to.

use std::{collections::BTreeMap, time::Duration};

use hubspot_connection_service::proto::{
    CreateHubSpotDataflowResponse, DeleteHubSpotDataflowRequest, delete_hub_spot_dataflow_request::Dataflow,
    hub_spot_dataflow_service_client::HubSpotDataflowServiceClient,
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Response, Status, transport::Channel};
use tonic_types::StatusExt as _;

use super::{
    super::{
        callers::{LONGEST_PAUSE, PAUSE, RETRYABLE},
        replicas::Replicas,
    },
    requests::{Aim, Wish},
};
use crate::support::Failure;

/// The time limit of one call: longer than a preparation needs whose replies are lost.
const CALL: Duration = Duration::from_secs(20);
/// The reasons of refusals that a fault has caused, and that a retry does not get.
const REFUSED_ONCE: [&str; 2] = ["PLATFORM_PERMISSION_MISSING", "UPSTREAM_REJECTED"];

type Client = HubSpotDataflowServiceClient<Channel>;

/// One caller with its request.
pub(super) struct Caller<'a> {
    replicas: &'a Replicas<'a>,
    wish: &'a Wish,
    give_up: Instant,
    /// Why each failed call failed.
    pub(super) reasons: Vec<String>,
}

/// What a caller has got.
pub(super) struct Done {
    /// The ID of the dataflow, if there was one; or the error that ended the retries.
    pub(super) outcome: Result<Option<String>, String>,
    pub(super) reasons: Vec<String>,
}

impl<'a> Caller<'a> {
    pub(super) fn new(replicas: &'a Replicas<'a>, wish: &'a Wish, give_up: Instant) -> Self {
        Self { replicas, wish, give_up, reasons: Vec::new() }
    }

    pub(super) async fn fulfil(&mut self) -> Result<Option<String>, String> {
        match self.wish.aim {
            Aim::Created => self.create().await.map(Some),
            Aim::Refused => self.is_refused("INVALID_REQUEST").await,
            Aim::Deleted => {
                let id = self.create().await?;
                self.delete(Dataflow::Id(id.clone())).await?;
                Ok(Some(id))
            }
            Aim::GivenUp => {
                self.create_once().await;
                self.delete_what_it_left().await
            }
        }
    }

    /// Repeats the last call.
    pub(super) async fn repeat(&mut self) -> Result<Option<String>, String> {
        match self.wish.aim {
            Aim::Created => self.create().await.map(Some),
            Aim::Refused => self.is_refused("INVALID_REQUEST").await,
            Aim::Deleted => {
                let id = self.create().await?;
                self.delete(Dataflow::Id(id.clone())).await?;
                Ok(Some(id))
            }
            Aim::GivenUp => {
                self.delete_what_it_left().await?;
                self.is_refused("DATAFLOW_STATE").await
            }
        }
    }

    async fn create(&mut self) -> Result<String, String> {
        let response = self.try_create().await.map_err(|failure| format!("{failure:?}"))?;
        if response.request_id == self.wish.request.request_id {
            Ok(response.id)
        } else {
            Err(format!("the response to {}", response.request_id))
        }
    }

    async fn try_create(&mut self) -> Result<CreateHubSpotDataflowResponse, Failure> {
        let request = &self.wish.request;
        self.until_final(async |mut client| client.create_hub_spot_dataflow(limited(request.clone())).await)
            .await
    }

    /// A call that ends at some moment.
    async fn create_once(&self) {
        if let Some(channel) = self.replicas.any() {
            let mut client = Client::new(channel);
            let call = client.create_hub_spot_dataflow(limited(self.wish.request.clone()));
            let _ = timeout(Duration::from_millis(fastrand::u64(50..4000)), call).await;
        }
    }

    async fn is_refused(&mut self, reason: &str) -> Result<Option<String>, String> {
        match self.try_create().await {
            Err(failure) if failure.reason == reason => Ok(None),
            other => Err(format!("{other:?} in place of {reason}")),
        }
    }

    async fn delete_what_it_left(&mut self) -> Result<Option<String>, String> {
        let id = self.wish.request.request_id.clone();
        self.delete(Dataflow::CreateRequestId(id)).await.map(|()| None)
    }

    async fn delete(&mut self, dataflow: Dataflow) -> Result<(), String> {
        let request = DeleteHubSpotDataflowRequest {
            dataflow: Some(dataflow),
            sandbox_name: String::new(),
            allow_missing: true,
        };
        self.until_final(async |mut client| client.delete_hub_spot_dataflow(limited(request.clone())).await)
            .await
            .map(drop)
            .map_err(|failure| format!("{failure:?}"))
    }

    /// Calls until there is a response, or an error that a retry would get again.
    async fn until_final<T>(
        &mut self,
        call: impl AsyncFn(Client) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        loop {
            let result = match self.replicas.any() {
                None => Err(Status::unavailable("no replica is running")),
                Some(channel) => timeout(CALL * 2, call(Client::new(channel)))
                    .await
                    .unwrap_or_else(|_| Err(Status::unavailable("the deadline is not enforced"))),
            };
            let status = match result {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            let mut pause = PAUSE;
            // Every error of the service has a reason: any other call did not reach it.
            if status.get_error_details().error_info().is_none() {
                self.reasons.push(format!("transport: {:?}", status.code()));
            } else {
                let failure = Failure::from(status);
                let may_retry = failure.retry_after.is_some()
                    || RETRYABLE.contains(&&*failure.reason)
                    || REFUSED_ONCE.contains(&&*failure.reason);
                if !may_retry || Instant::now() > self.give_up {
                    return Err(failure);
                }
                pause = failure.retry_after.unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE);
                self.reasons.push(failure.reason);
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }
}

fn limited<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL);
    request
}

/// How often calls failed for each reason.
pub(super) fn reasons<'a>(done: impl Iterator<Item = &'a Done>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for reason in done.flat_map(|done| &done.reasons) {
        *counts.entry(&**reason).or_default() += 1;
    }
    counts
}
