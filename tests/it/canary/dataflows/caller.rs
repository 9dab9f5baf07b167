//! A caller of every method.

use hubspot_connection_service::proto::{
    self, create_hub_spot_dataflow_request::Target, delete_hub_spot_dataflow_request::Dataflow as Deleted,
    hub_spot_dataflow_service_client::HubSpotDataflowServiceClient,
};
use tonic::{Status, transport::Channel};
use uuid::Uuid;

use super::upstream::{Echoing, Failing};
use crate::{
    canary::{evidence::Observed, hostile::Echo},
    dataflow_calls::creation,
};

const FLOWS: &str = "POST /flowservice/flows";
const NO_FAILURE: Failing = (400, "everywhere", Echo::Body);

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// With a new dataset and a new schema.
    Create,
    /// With an existing dataset.
    CreateInto,
    /// Whose flow is refused, so that the rest is deleted again.
    Refused,
    /// Whose flow is lost, so that it is searched for.
    Lost,
    Check,
    CheckInto,
    Get,
    List,
    Count,
    Pause,
    Resume,
    Runs,
    Delete,
    /// The deletion of what a creation has left.
    Withdraw,
}

impl Method {
    pub(super) const OF_CREATIONS: [Self; 6] =
        [Self::Check, Self::CheckInto, Self::Create, Self::CreateInto, Self::Refused, Self::Lost];
    pub(super) const OF_OTHERS: [Self; 8] = [
        Self::Get,
        Self::List,
        Self::Count,
        Self::Pause,
        Self::Resume,
        Self::Runs,
        Self::Delete,
        Self::Withdraw,
    ];

    /// The request whose failure makes it what it is.
    pub(super) fn failing(self) -> Option<&'static str> {
        matches!(self, Self::Refused | Self::Lost).then_some(FLOWS)
    }
}

pub(super) struct Caller<'a> {
    pub(super) observed: Observed,
    upstream: &'a Echoing,
    client: HubSpotDataflowServiceClient<Channel>,
    connection: String,
    /// A dataflow and its dataset.
    flow: String,
    dataset: String,
}

impl<'a> Caller<'a> {
    /// Creates a connection, and a dataflow of it. Before that, the first call of these methods fails at these
    /// requests, whose replies are cached once there is one.
    pub(super) async fn start(
        mut observed: Observed,
        upstream: &'a Echoing,
        cached: &[(Method, &str, Failing)],
    ) -> Self {
        let client = observed.dataflows().await;
        let connection = observed.create("a connection").await.unwrap().id;
        let (flow, dataset) = (String::new(), String::new());
        let mut caller = Self { observed, upstream, client, connection, flow, dataset };
        for (method, kind, how) in cached {
            let _ = caller.call(*method, &[kind], *how).await;
        }
        upstream.fail(&[], NO_FAILURE);
        let created = caller.create(caller.request()).await.unwrap();
        (caller.flow, caller.dataset) = (created.id, created.resources.unwrap().dataset_id);
        caller
    }

    fn request(&self) -> proto::CreateHubSpotDataflowRequest {
        let request_id = Uuid::new_v4().to_string();
        let name = format!("Contacts {request_id}");
        proto::CreateHubSpotDataflowRequest { request_id, ..creation(&self.connection, &name) }
    }

    fn request_into(&self) -> proto::CreateHubSpotDataflowRequest {
        let target = Some(Target::DatasetId(self.dataset.clone()));
        proto::CreateHubSpotDataflowRequest { target, ..self.request() }
    }

    async fn create(
        &mut self,
        request: proto::CreateHubSpotDataflowRequest,
    ) -> Result<proto::CreateHubSpotDataflowResponse, Status> {
        let response = self.client.create_hub_spot_dataflow(request).await;
        self.observed.note("create", response)
    }

    async fn set_enabled(&mut self, enabled: bool) -> Result<(), Status> {
        let (id, sandbox_name) = (self.flow.clone(), String::new());
        if enabled {
            let request = proto::ResumeHubSpotDataflowRequest { id, sandbox_name };
            let response = self.client.resume_hub_spot_dataflow(request).await;
            self.observed.note("resume", response).map(drop)
        } else {
            let request = proto::PauseHubSpotDataflowRequest { id, sandbox_name };
            let response = self.client.pause_hub_spot_dataflow(request).await;
            self.observed.note("pause", response).map(drop)
        }
    }

    async fn delete(&mut self, dataflow: Deleted) -> Result<(), Status> {
        let dataflow = Some(dataflow);
        let request = proto::DeleteHubSpotDataflowRequest { dataflow, ..Default::default() };
        let response = self.client.delete_hub_spot_dataflow(request).await;
        self.observed.note("delete", response).map(drop)
    }

    async fn list(&mut self, count_only: bool) -> Result<(), Status> {
        let connection_id = if count_only { String::new() } else { self.connection.clone() };
        let request = proto::ListHubSpotDataflowsRequest { connection_id, count_only, ..Default::default() };
        let response = self.client.list_hub_spot_dataflows(request).await;
        self.observed.note("list", response).map(drop)
    }

    /// Calls a method while these kinds of requests fail, after everything that it needs without a failure.
    pub(super) async fn call(&mut self, method: Method, kinds: &[&str], how: Failing) -> Result<(), Status> {
        self.upstream.fail(&[], NO_FAILURE);
        let is_into = matches!(method, Method::CreateInto | Method::CheckInto);
        let mut request = if is_into { self.request_into() } else { self.request() };
        let mut made = String::new();
        if matches!(method, Method::Pause | Method::Resume) {
            self.set_enabled(method == Method::Pause).await.unwrap();
        } else if matches!(method, Method::Delete | Method::Withdraw) {
            made = self.create(request.clone()).await.unwrap().id;
        }
        let failing: Vec<_> = kinds.iter().copied().chain(method.failing()).collect();
        self.upstream.fail(&failing, how);
        match method {
            Method::Create | Method::CreateInto | Method::Refused | Method::Lost => {
                self.create(request).await.map(drop)
            }
            Method::Check | Method::CheckInto => {
                request.validate_only = true;
                self.create(request).await.map(drop)
            }
            Method::Get => {
                let request =
                    proto::GetHubSpotDataflowRequest { id: self.flow.clone(), ..Default::default() };
                let response = self.client.get_hub_spot_dataflow(request).await;
                self.observed.note("get", response).map(drop)
            }
            Method::List => self.list(false).await,
            Method::Count => self.list(true).await,
            Method::Pause => self.set_enabled(false).await,
            Method::Resume => self.set_enabled(true).await,
            Method::Runs => {
                let request =
                    proto::ListHubSpotDataflowRunsRequest { id: self.flow.clone(), ..Default::default() };
                let response = self.client.list_hub_spot_dataflow_runs(request).await;
                self.observed.note("runs", response).map(drop)
            }
            Method::Delete => self.delete(Deleted::Id(made)).await,
            Method::Withdraw => self.delete(Deleted::CreateRequestId(request.request_id)).await,
        }
    }

    /// The kinds of requests of each method. Of those that fail, only the ones after the failure.
    pub(super) async fn kinds(&mut self, methods: &[Method]) -> Vec<(Method, String)> {
        let mut kinds: Vec<(Method, String)> = Vec::new();
        for &method in methods {
            let status = if method == Method::Lost { 500 } else { 400 };
            let outcome = self.call(method, &[], (status, "everywhere", Echo::Authorization)).await;
            assert_eq!(outcome.is_err(), method.failing().is_some(), "{method:?}: {outcome:?}");
            let seen = self.upstream.seen().into_iter();
            let is_before = |kind: &String| kinds.contains(&(Method::Create, kind.clone()));
            let seen = seen.filter(|kind| method.failing().is_none() || !is_before(kind));
            let seen: Vec<_> = seen.map(|kind| (method, kind)).collect();
            assert!(!seen.is_empty(), "{method:?}");
            kinds.extend(seen);
        }
        kinds
    }
}
