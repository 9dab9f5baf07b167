//! The methods: parse the request, call the use case, render the result.

use tonic::{Request, Response, Status};

use super::{
    convert::{self, Create, List},
    render,
    status::{Action, Subject, dry_run_shed, failed},
};
use crate::{
    adobe::Platform,
    domain::{ConnectionRef, Sandboxes},
    grpc::{
        call::{Call, parts},
        page_token::{self, Query},
        status::creation_failed,
    },
    proto::{self, hub_spot_connection_service_server::HubSpotConnectionService},
    service::{Listed, Service},
    telemetry::spans,
};

#[derive(Debug)]
pub(in crate::grpc) struct Connections<P: Platform> {
    pub(in crate::grpc) service: Service<P>,
    pub(in crate::grpc) sandboxes: Sandboxes,
}

impl<P: Platform> Connections<P> {
    fn locate(&self, id: &str, sandbox_name: &str) -> Result<ConnectionRef, Status> {
        let at = convert::connection(id, sandbox_name, &self.sandboxes)?;
        note(&at);
        Ok(at)
    }
}

/// Adds a connection to the span of the call.
fn note(at: &ConnectionRef) {
    spans::note("connection_id", at.id.as_str());
}

/// Adds a connection to the audit event of the call.
fn audit(call: &Call, at: &ConnectionRef) {
    let mut audited = call.audited();
    audited.sandbox = Some(at.sandbox.clone());
    audited.connection = Some(at.id.clone());
}

#[tonic::async_trait]
impl<P: Platform> HubSpotConnectionService for Connections<P> {
    async fn create_hub_spot_connection(
        &self,
        request: Request<proto::CreateHubSpotConnectionRequest>,
    ) -> Result<Response<proto::CreateHubSpotConnectionResponse>, Status> {
        let (request, call) = parts(request)?;
        call.audited().is_dry_run = request.validate_only;
        let command = match convert::create(request, &self.sandboxes)? {
            Create::Command(command) => command,
            Create::DryRun(connection) => {
                let checked = self.service.dry_run(&connection, call.deadline, &call.progress).await;
                let checks = checked.map_err(|_| dry_run_shed(&call))?;
                return Ok(Response::new(proto::CreateHubSpotConnectionResponse {
                    checks: checks.into_iter().map(Into::into).collect(),
                    ..proto::CreateHubSpotConnectionResponse::default()
                }));
            }
        };
        call.audited().sandbox = Some(command.connection.sandbox.clone());
        let created = self.service.create_hubspot_connection(command, call.deadline, &call.progress).await;
        let created = created.map_err(|error| creation_failed(&error))?;
        let id = &created.connection.id;
        spans::note("connection_id", id.as_str());
        call.audited().connection = Some(id.clone());
        call.audited().replayed = created.replayed;
        Ok(Response::new(created.into()))
    }

    async fn get_hub_spot_connection(
        &self,
        request: Request<proto::GetHubSpotConnectionRequest>,
    ) -> Result<Response<proto::GetHubSpotConnectionResponse>, Status> {
        let (request, call) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        let read = self.service.get_hubspot_connection(&at, call.deadline, &call.progress).await;
        let connection = read.map_err(failed(&call, Subject::connection(&at, Action::Read)))?;
        let connection = Some(render::connection(connection, &at.sandbox));
        Ok(Response::new(proto::GetHubSpotConnectionResponse { connection }))
    }

    async fn list_hub_spot_connections(
        &self,
        request: Request<proto::ListHubSpotConnectionsRequest>,
    ) -> Result<Response<proto::ListHubSpotConnectionsResponse>, Status> {
        let (request, call) = parts(request)?;
        match convert::list(request, &self.sandboxes)? {
            List::Page(command) => {
                let sandbox = &command.sandbox;
                let listed =
                    self.service.list_hubspot_connections(&command, call.deadline, &call.progress).await;
                let Listed { connections, next } =
                    listed.map_err(failed(&call, Subject::sandbox(sandbox)))?;
                let query = Query::connections(sandbox, &command.filter);
                let next = next.map(|next| page_token::encode(&next, &query));
                Ok(Response::new(proto::ListHubSpotConnectionsResponse {
                    connections: connections.into_iter().map(|c| render::connection(c, sandbox)).collect(),
                    next_page_token: next.unwrap_or_default(),
                    total_size: 0,
                }))
            }
            List::Count { sandbox, filter } => {
                let counted = self
                    .service
                    .count_hubspot_connections(&sandbox, &filter, call.deadline, &call.progress)
                    .await
                    .map_err(failed(&call, Subject::sandbox(&sandbox)))?;
                Ok(Response::new(proto::ListHubSpotConnectionsResponse {
                    total_size: i64::try_from(counted).unwrap_or(i64::MAX),
                    ..proto::ListHubSpotConnectionsResponse::default()
                }))
            }
        }
    }

    async fn update_hub_spot_connection(
        &self,
        request: Request<proto::UpdateHubSpotConnectionRequest>,
    ) -> Result<Response<proto::UpdateHubSpotConnectionResponse>, Status> {
        let (request, call) = parts(request)?;
        let validate_only = request.validate_only;
        call.audited().is_dry_run = validate_only;
        let command = convert::update(request, &self.sandboxes)?;
        note(&command.at);
        audit(&call, &command.at);
        if validate_only {
            let checks = self.service.dry_run_of_update(&command, call.deadline, &call.progress).await;
            return Ok(Response::new(proto::UpdateHubSpotConnectionResponse {
                checks: checks.into_iter().map(Into::into).collect(),
                ..proto::UpdateHubSpotConnectionResponse::default()
            }));
        }
        let updated = self.service.update_hubspot_connection(&command, call.deadline, &call.progress).await;
        let etag = updated.map_err(failed(&call, Subject::connection(&command.at, Action::Update)))?;
        Ok(Response::new(proto::UpdateHubSpotConnectionResponse {
            id: command.at.id.as_str().to_owned(),
            etag: etag.as_str().to_owned(),
            checks: Vec::new(),
        }))
    }

    async fn delete_hub_spot_connection(
        &self,
        request: Request<proto::DeleteHubSpotConnectionRequest>,
    ) -> Result<Response<proto::DeleteHubSpotConnectionResponse>, Status> {
        let (request, call) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        audit(&call, &at);
        let deleted = self
            .service
            .delete_hubspot_connection(&at, request.allow_missing, call.deadline, &call.progress)
            .await;
        deleted.map_err(failed(&call, Subject::connection(&at, Action::Delete)))?;
        Ok(Response::new(proto::DeleteHubSpotConnectionResponse {}))
    }

    async fn test_hub_spot_connection(
        &self,
        request: Request<proto::TestHubSpotConnectionRequest>,
    ) -> Result<Response<proto::TestHubSpotConnectionResponse>, Status> {
        let (request, call) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        let tested = self.service.test_hubspot_connection(&at, call.deadline, &call.progress).await;
        let report = tested.map_err(failed(&call, Subject::connection(&at, Action::Read)))?;
        Ok(Response::new(proto::TestHubSpotConnectionResponse { result: Some(report.into()) }))
    }

    async fn list_hub_spot_tables(
        &self,
        request: Request<proto::ListHubSpotTablesRequest>,
    ) -> Result<Response<proto::ListHubSpotTablesResponse>, Status> {
        let (request, call) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        let listed = self.service.list_hubspot_tables(&at, call.deadline, &call.progress).await;
        let tables = listed.map_err(failed(&call, Subject::connection(&at, Action::ListTables)))?;
        let tables = tables.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListHubSpotTablesResponse { tables }))
    }

    async fn get_hub_spot_table(
        &self,
        request: Request<proto::GetHubSpotTableRequest>,
    ) -> Result<Response<proto::GetHubSpotTableResponse>, Status> {
        let (request, call) = parts(request)?;
        let (at, table) = convert::table(&request, &self.sandboxes)?;
        note(&at);
        let read = self.service.get_hubspot_table(&at, &table, call.deadline, &call.progress).await;
        let columns = read.map_err(failed(&call, Subject::connection(&at, Action::ReadTable(&table))))?;
        let columns = columns.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::GetHubSpotTableResponse { columns }))
    }
}
