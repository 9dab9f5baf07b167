//! The service of the proto file: parse, call the use case, render.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{convert, status};
use crate::{
    domain::{CallProgress, Sandboxes},
    flow_service::FlowService,
    proto::{self, hub_spot_connection_service_server::HubSpotConnectionService},
    service::{Creation, Service},
};

/// Implements the generated service over the use cases.
#[derive(Debug)]
pub(super) struct Connections<F> {
    pub(super) service: Service<F>,
    pub(super) sandboxes: Sandboxes,
}

#[tonic::async_trait]
impl<F: FlowService> HubSpotConnectionService for Connections<F> {
    async fn create_hub_spot_connection(
        &self,
        request: Request<proto::CreateHubSpotConnectionRequest>,
    ) -> Result<Response<proto::CreateHubSpotConnectionResponse>, Status> {
        let progress = request.extensions().get::<Arc<CallProgress>>().cloned().unwrap_or_default();
        let command =
            convert::create(request.into_inner(), &self.sandboxes).map_err(status::refused_request)?;
        let creation = self
            .service
            .create_hubspot_connection(command, progress)
            .await
            .map_err(|error| status::creation_failed(&error))?;
        Ok(Response::new(creation.into()))
    }

    async fn get_hub_spot_connection(
        &self,
        _: Request<proto::GetHubSpotConnectionRequest>,
    ) -> Result<Response<proto::GetHubSpotConnectionResponse>, Status> {
        Err(status::not_built("GetHubSpotConnection"))
    }

    async fn list_hub_spot_connections(
        &self,
        _: Request<proto::ListHubSpotConnectionsRequest>,
    ) -> Result<Response<proto::ListHubSpotConnectionsResponse>, Status> {
        Err(status::not_built("ListHubSpotConnections"))
    }

    async fn update_hub_spot_connection(
        &self,
        _: Request<proto::UpdateHubSpotConnectionRequest>,
    ) -> Result<Response<proto::UpdateHubSpotConnectionResponse>, Status> {
        Err(status::not_built("UpdateHubSpotConnection"))
    }

    async fn delete_hub_spot_connection(
        &self,
        _: Request<proto::DeleteHubSpotConnectionRequest>,
    ) -> Result<Response<proto::DeleteHubSpotConnectionResponse>, Status> {
        Err(status::not_built("DeleteHubSpotConnection"))
    }

    async fn test_hub_spot_connection(
        &self,
        _: Request<proto::TestHubSpotConnectionRequest>,
    ) -> Result<Response<proto::TestHubSpotConnectionResponse>, Status> {
        Err(status::not_built("TestHubSpotConnection"))
    }

    async fn list_hub_spot_tables(
        &self,
        _: Request<proto::ListHubSpotTablesRequest>,
    ) -> Result<Response<proto::ListHubSpotTablesResponse>, Status> {
        Err(status::not_built("ListHubSpotTables"))
    }

    async fn get_hub_spot_table(
        &self,
        _: Request<proto::GetHubSpotTableRequest>,
    ) -> Result<Response<proto::GetHubSpotTableResponse>, Status> {
        Err(status::not_built("GetHubSpotTable"))
    }
}

impl From<Creation> for proto::CreateHubSpotConnectionResponse {
    fn from(Creation { request_id, connection }: Creation) -> Self {
        tracing::Span::current().record("connection_id", connection.id.as_str());
        Self {
            id: connection.id.as_str().to_owned(),
            etag: connection.etag.as_str().to_owned(),
            request_id: request_id.to_string(),
            replayed: false,
            test: None,
        }
    }
}
