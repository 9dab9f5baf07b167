//! The service of the proto file: parse, call the use case, render.

use tonic::{Request, Response, Status};

use super::{
    audit::Audit,
    convert::{self, Create, List},
    layer::deadline::Deadline,
    page_token, render, status,
    status::Subject,
};
use crate::{
    adobe::FlowService,
    domain::{ConnectionRef, Sandboxes},
    proto::{self, hub_spot_connection_service_server::HubSpotConnectionService},
    service::{Listed, Service},
    telemetry::spans,
};

/// Implements the generated service over the use cases.
#[derive(Debug)]
pub(super) struct Connections<F> {
    pub(super) service: Service<F>,
    pub(super) sandboxes: Sandboxes,
}

/// A call apart from its message.
fn parts<T>(request: Request<T>) -> Result<(T, Deadline), Status> {
    let deadline = request.extensions().get::<Deadline>().cloned().ok_or_else(status::internal)?;
    Ok((request.into_inner(), deadline))
}

impl<F> Connections<F> {
    /// Where the connection is that a request names.
    fn locate(&self, id: &str, sandbox_name: &str) -> Result<ConnectionRef, Status> {
        let at = convert::connection(id, sandbox_name, &self.sandboxes).map_err(status::refused_request)?;
        note(&at);
        Ok(at)
    }
}

/// Puts a connection into the log line of the call, and into its span.
fn note(at: &ConnectionRef) {
    spans::note("connection_id", at.id.as_str());
}

#[tonic::async_trait]
impl<F: FlowService> HubSpotConnectionService for Connections<F> {
    async fn create_hub_spot_connection(
        &self,
        request: Request<proto::CreateHubSpotConnectionRequest>,
    ) -> Result<Response<proto::CreateHubSpotConnectionResponse>, Status> {
        let audit = Audit::of(&request);
        let (request, Deadline { at, progress }) = parts(request)?;
        if request.validate_only {
            audit.is_no_write();
        }
        let command = match convert::create(request, &self.sandboxes).map_err(status::refused_request) {
            Ok(Create::Command(command)) => command,
            Ok(Create::DryRun(connection)) => {
                let checked = self.service.dry_run(&connection, at, &progress).await;
                checked.map_err(|error| status::dry_run_failed(&error, &connection.sandbox, &progress))?;
                return Ok(Response::new(proto::CreateHubSpotConnectionResponse::default()));
            }
            Err(refused) => return Err(refused),
        };
        let sandbox = command.connection.sandbox.clone();
        audit.about(&sandbox, None);
        let created = self.service.create_hubspot_connection(command, at, &progress).await;
        let created = created.map_err(|error| status::creation_failed(&error))?;
        audit.about(&sandbox, Some(&created.connection.id));
        audit.is_replay(created.replayed);
        spans::note("connection_id", created.connection.id.as_str());
        Ok(Response::new(created.into()))
    }

    async fn get_hub_spot_connection(
        &self,
        request: Request<proto::GetHubSpotConnectionRequest>,
    ) -> Result<Response<proto::GetHubSpotConnectionResponse>, Status> {
        let (request, Deadline { at: deadline, progress }) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        let read = self.service.get_hubspot_connection(&at, deadline, &progress).await;
        let connection =
            read.map_err(|error| status::connection_failed(&error, Subject::Connection(&at), &progress))?;
        let connection = Some(render::connection(connection, &at.sandbox));
        Ok(Response::new(proto::GetHubSpotConnectionResponse { connection }))
    }

    async fn list_hub_spot_connections(
        &self,
        request: Request<proto::ListHubSpotConnectionsRequest>,
    ) -> Result<Response<proto::ListHubSpotConnectionsResponse>, Status> {
        let (request, Deadline { at: deadline, progress }) = parts(request)?;
        match convert::list(request, &self.sandboxes).map_err(status::refused_request)? {
            List::Page(command) => {
                let sandbox = &command.sandbox;
                let listed = self.service.list_hubspot_connections(&command, deadline, &progress).await;
                let Listed { connections, next } = listed.map_err(|error| {
                    status::connection_failed(&error, Subject::Sandbox(sandbox), &progress)
                })?;
                let next = next.map(|next| page_token::encode(&next, sandbox, &command.filter));
                Ok(Response::new(proto::ListHubSpotConnectionsResponse {
                    connections: connections.into_iter().map(|c| render::connection(c, sandbox)).collect(),
                    next_page_token: next.unwrap_or_default(),
                    total_size: 0,
                }))
            }
            List::Count { sandbox, filter } => {
                let counted = self
                    .service
                    .count_hubspot_connections(&sandbox, &filter, deadline, &progress)
                    .await
                    .map_err(|error| {
                        status::connection_failed(&error, Subject::Sandbox(&sandbox), &progress)
                    })?;
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
        let audit = Audit::of(&request);
        let (request, Deadline { at: deadline, progress }) = parts(request)?;
        let command = convert::update(request, &self.sandboxes).map_err(status::refused_request)?;
        note(&command.at);
        audit.about(&command.at.sandbox, Some(&command.at.id));
        let updated = self.service.update_hubspot_connection(&command, deadline, &progress).await;
        let etag = updated
            .map_err(|error| status::connection_failed(&error, Subject::Update(&command.at), &progress))?;
        Ok(Response::new(proto::UpdateHubSpotConnectionResponse {
            id: command.at.id.as_str().to_owned(),
            etag: etag.as_str().to_owned(),
        }))
    }

    async fn delete_hub_spot_connection(
        &self,
        request: Request<proto::DeleteHubSpotConnectionRequest>,
    ) -> Result<Response<proto::DeleteHubSpotConnectionResponse>, Status> {
        let audit = Audit::of(&request);
        let (request, Deadline { at: deadline, progress }) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        audit.about(&at.sandbox, Some(&at.id));
        let deleted =
            self.service.delete_hubspot_connection(&at, request.allow_missing, deadline, &progress).await;
        deleted.map_err(|error| status::connection_failed(&error, Subject::Delete(&at), &progress))?;
        Ok(Response::new(proto::DeleteHubSpotConnectionResponse {}))
    }

    async fn test_hub_spot_connection(
        &self,
        request: Request<proto::TestHubSpotConnectionRequest>,
    ) -> Result<Response<proto::TestHubSpotConnectionResponse>, Status> {
        let (request, Deadline { at: deadline, progress }) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        let tested = self.service.test_hubspot_connection(&at, deadline, &progress).await;
        let report =
            tested.map_err(|error| status::connection_failed(&error, Subject::Connection(&at), &progress))?;
        Ok(Response::new(proto::TestHubSpotConnectionResponse { result: Some(report.into()) }))
    }

    async fn list_hub_spot_tables(
        &self,
        request: Request<proto::ListHubSpotTablesRequest>,
    ) -> Result<Response<proto::ListHubSpotTablesResponse>, Status> {
        let (request, Deadline { at: deadline, progress }) = parts(request)?;
        let at = self.locate(&request.id, &request.sandbox_name)?;
        let listed = self.service.list_hubspot_tables(&at, deadline, &progress).await;
        let tables =
            listed.map_err(|error| status::connection_failed(&error, Subject::Tables(&at), &progress))?;
        let tables = tables.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListHubSpotTablesResponse { tables }))
    }

    async fn get_hub_spot_table(
        &self,
        request: Request<proto::GetHubSpotTableRequest>,
    ) -> Result<Response<proto::GetHubSpotTableResponse>, Status> {
        let (request, Deadline { at: deadline, progress }) = parts(request)?;
        let (at, table) = convert::table(&request, &self.sandboxes).map_err(status::refused_request)?;
        note(&at);
        let read = self.service.get_hubspot_table(&at, &table, deadline, &progress).await;
        let columns =
            read.map_err(|error| status::connection_failed(&error, Subject::Table(&at, &table), &progress))?;
        let columns = columns.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::GetHubSpotTableResponse { columns }))
    }
}
