//! The methods: parse the request, call the use case, render the result.

use tonic::{Request, Response, Status};

use super::{
    convert::{self, Create, Delete, List},
    render,
    status::{Action, failed, list_failed, plan_failed, withdrawal_failed},
};
use crate::{
    adobe::Platform,
    domain::{Sandboxes, dataflow::DataflowRef},
    grpc::{
        call::{Call, parts},
        page_token::{self, Query},
        status::creation_failed,
    },
    proto::{self, hub_spot_dataflow_service_server::HubSpotDataflowService},
    service::dataflows::{self, read::ListedDataflows, runs::ListedRuns},
    telemetry::spans,
};

#[derive(Debug)]
pub(in crate::grpc) struct Dataflows<P: Platform> {
    pub(in crate::grpc) service: dataflows::Dataflows<P>,
    pub(in crate::grpc) sandboxes: Sandboxes,
}

impl<P: Platform> Dataflows<P> {
    fn locate(&self, id: &str, sandbox_name: &str) -> Result<DataflowRef, Status> {
        let at = convert::dataflow(id, sandbox_name, &self.sandboxes)?;
        note(&at);
        Ok(at)
    }
}

/// Adds a dataflow to the span of the call.
fn note(at: &DataflowRef) {
    spans::note("dataflow_id", at.id.as_str());
}

/// Adds a dataflow to the audit event of the call.
fn audit(call: &Call, at: &DataflowRef) {
    let mut audited = call.audited();
    audited.sandbox = Some(at.sandbox.clone());
    audited.dataflow = Some(at.id.clone());
}

#[tonic::async_trait]
impl<P: Platform> HubSpotDataflowService for Dataflows<P> {
    async fn create_hub_spot_dataflow(
        &self,
        request: Request<proto::CreateHubSpotDataflowRequest>,
    ) -> Result<Response<proto::CreateHubSpotDataflowResponse>, Status> {
        let (request, call) = parts(request)?;
        call.audited().is_dry_run = request.validate_only;
        let command = match convert::create(request, &self.sandboxes)? {
            Create::Command(command) => command,
            Create::DryRun(dataflow) => {
                let planned =
                    self.service.plan_hubspot_dataflow(&dataflow, call.deadline, &call.progress).await;
                let plan = planned.map_err(|error| plan_failed(&error, &dataflow.sandbox, &call))?;
                return Ok(Response::new(plan.into()));
            }
        };
        call.audited().sandbox = Some(command.dataflow.sandbox.clone());
        spans::note("connection_id", command.dataflow.connection.as_str());
        let created = self.service.create_hubspot_dataflow(command, call.deadline, &call.progress).await;
        let created = created.map_err(|error| creation_failed(&error))?;
        let id = &created.dataflow.id;
        spans::note("dataflow_id", id.as_str());
        call.audited().dataflow = Some(id.clone());
        call.audited().replayed = created.replayed;
        Ok(Response::new(created.into()))
    }

    async fn get_hub_spot_dataflow(
        &self,
        request: Request<proto::GetHubSpotDataflowRequest>,
    ) -> Result<Response<proto::GetHubSpotDataflowResponse>, Status> {
        let (request, call) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        let read = self.service.get_hubspot_dataflow(&at, call.deadline, &call.progress).await;
        let dataflow = read.map_err(failed(&call, &at, Action::Read))?;
        let dataflow = Some(render::dataflow(dataflow, &at.sandbox));
        Ok(Response::new(proto::GetHubSpotDataflowResponse { dataflow }))
    }

    async fn list_hub_spot_dataflows(
        &self,
        request: Request<proto::ListHubSpotDataflowsRequest>,
    ) -> Result<Response<proto::ListHubSpotDataflowsResponse>, Status> {
        let (request, call) = parts(request)?;
        match convert::list(request, &self.sandboxes)? {
            List::Page(command) => {
                let sandbox = &command.sandbox;
                let listed =
                    self.service.list_hubspot_dataflows(&command, call.deadline, &call.progress).await;
                let ListedDataflows { dataflows, next } = listed.map_err(list_failed(&call, sandbox))?;
                let query = Query::dataflows(sandbox, &command.filter);
                Ok(Response::new(proto::ListHubSpotDataflowsResponse {
                    dataflows: dataflows.into_iter().map(|d| render::dataflow(d, sandbox)).collect(),
                    next_page_token: next.map(|next| page_token::encode(&next, &query)).unwrap_or_default(),
                    total_size: 0,
                }))
            }
            List::Count { sandbox, filter } => {
                let counted = self
                    .service
                    .count_hubspot_dataflows(&sandbox, &filter, call.deadline, &call.progress)
                    .await
                    .map_err(list_failed(&call, &sandbox))?;
                Ok(Response::new(proto::ListHubSpotDataflowsResponse {
                    total_size: i64::try_from(counted).unwrap_or(i64::MAX),
                    ..proto::ListHubSpotDataflowsResponse::default()
                }))
            }
        }
    }

    async fn pause_hub_spot_dataflow(
        &self,
        request: Request<proto::PauseHubSpotDataflowRequest>,
    ) -> Result<Response<proto::PauseHubSpotDataflowResponse>, Status> {
        let (request, call) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        audit(&call, &at);
        let paused = self.service.pause_hubspot_dataflow(&at, call.deadline, &call.progress).await;
        let etag = paused.map_err(failed(&call, &at, Action::Pause))?;
        let (id, etag) = (at.id.to_string(), etag.to_string());
        Ok(Response::new(proto::PauseHubSpotDataflowResponse { id, etag }))
    }

    async fn resume_hub_spot_dataflow(
        &self,
        request: Request<proto::ResumeHubSpotDataflowRequest>,
    ) -> Result<Response<proto::ResumeHubSpotDataflowResponse>, Status> {
        let (request, call) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        audit(&call, &at);
        let resumed = self.service.resume_hubspot_dataflow(&at, call.deadline, &call.progress).await;
        let etag = resumed.map_err(failed(&call, &at, Action::Resume))?;
        let (id, etag) = (at.id.to_string(), etag.to_string());
        Ok(Response::new(proto::ResumeHubSpotDataflowResponse { id, etag }))
    }

    async fn delete_hub_spot_dataflow(
        &self,
        request: Request<proto::DeleteHubSpotDataflowRequest>,
    ) -> Result<Response<proto::DeleteHubSpotDataflowResponse>, Status> {
        let (request, call) = parts(request)?;
        let allow_missing = request.allow_missing;
        let leftovers = match convert::delete(&request, &self.sandboxes)? {
            Delete::Dataflow(at) => {
                note(&at);
                audit(&call, &at);
                let deleted = self
                    .service
                    .delete_hubspot_dataflow(&at, allow_missing, call.deadline, &call.progress)
                    .await;
                deleted.map_err(failed(&call, &at, Action::Delete))?
            }
            Delete::Abandoned { sandbox, request_id } => {
                {
                    let mut audited = call.audited();
                    audited.sandbox = Some(sandbox.clone());
                    audited.request_id = Some(request_id);
                }
                let deleted = self
                    .service
                    .delete_abandoned_hubspot_dataflow(
                        request_id,
                        &sandbox,
                        allow_missing,
                        call.deadline,
                        &call.progress,
                    )
                    .await;
                deleted.map_err(|error| withdrawal_failed(&error))?
            }
        };
        let leftovers = leftovers.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::DeleteHubSpotDataflowResponse { leftovers }))
    }

    async fn list_hub_spot_dataflow_runs(
        &self,
        request: Request<proto::ListHubSpotDataflowRunsRequest>,
    ) -> Result<Response<proto::ListHubSpotDataflowRunsResponse>, Status> {
        let (request, call) = parts(request)?;
        let command = convert::runs(request, &self.sandboxes)?;
        note(&command.at);
        let listed = self.service.list_hubspot_dataflow_runs(&command, call.deadline, &call.progress).await;
        let ListedRuns { runs, next } = listed.map_err(failed(&call, &command.at, Action::Read))?;
        let next = next.map(|next| page_token::encode(&next, &Query::runs(&command)));
        Ok(Response::new(proto::ListHubSpotDataflowRunsResponse {
            runs: runs.into_iter().map(Into::into).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }
}
