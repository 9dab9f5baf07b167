//! The minimal implementation that a user would write: tonic and reqwest, and nothing between them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{StreamExt as _, TryStreamExt as _};
use hubspot_connection_service::proto::{
    self, CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, GetHubSpotConnectionRequest,
    GetHubSpotConnectionResponse, HubSpotConnection,
    hub_spot_connection_service_server::{HubSpotConnectionService, HubSpotConnectionServiceServer},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tonic::{
    Request, Response, Status,
    transport::server::{Connected, TcpIncoming},
};

use crate::certificates;

/// The URL of the upstream, in the environment.
pub(crate) const UPSTREAM: &str = "BENCH_UPSTREAM";
/// The directory with the certificates, in the environment; without it there is no TLS.
pub(crate) const TLS: &str = "BENCH_TLS";

/// The request that the service sends, by reqwest.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: reqwest::Client,
    connections: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Creation<'a> {
    name: &'a str,
    description: &'a str,
    auth: Auth<'a>,
    connection_spec: ConnectionSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Auth<'a> {
    spec_name: &'static str,
    params: Params<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    access_token: &'a str,
    refresh_token: &'a str,
}

#[derive(Serialize)]
struct ConnectionSpec {
    id: &'static str,
    version: &'static str,
}

#[derive(Deserialize)]
struct Created {
    id: String,
    etag: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    etag: String,
    name: String,
    description: String,
}

impl Upstream {
    pub(crate) fn from_environment() -> Self {
        let connections = format!("{}/connections", std::env::var(UPSTREAM).unwrap());
        Self { client: reqwest::Client::new(), connections }
    }

    pub(crate) async fn create(
        &self,
        request: &CreateHubSpotConnectionRequest,
    ) -> reqwest::Result<CreateHubSpotConnectionResponse> {
        let credentials = request.credentials.as_ref().unwrap();
        let body = Creation {
            name: &request.name,
            description: &request.description,
            auth: Auth {
                spec_name: "Basic Authentication",
                params: Params {
                    client_id: &credentials.client_id,
                    client_secret: &credentials.client_secret,
                    access_token: &credentials.access_token,
                    refresh_token: &credentials.refresh_token,
                },
            },
            connection_spec: ConnectionSpec { id: "cc6a4487-9e91-433e-a3a3-9cf6626c1806", version: "1.0" },
        };
        let request = self.client.post(&self.connections).header("content-type", "application/json");
        let result = self.send(request.body(serde_json::to_vec(&body).unwrap())).await?;
        let Created { id, etag } = serde_json::from_slice(&result).unwrap();
        Ok(CreateHubSpotConnectionResponse { id, etag, ..CreateHubSpotConnectionResponse::default() })
    }

    async fn get(&self, id: &str) -> reqwest::Result<GetHubSpotConnectionResponse> {
        let result = self.send(self.client.get(format!("{}/{id}", self.connections))).await?;
        let page: Page = serde_json::from_slice(&result).unwrap();
        let connection = page.items.into_iter().next().map(|Item { id, etag, name, description }| {
            HubSpotConnection { id, etag, name, description, ..HubSpotConnection::default() }
        });
        Ok(GetHubSpotConnectionResponse { connection })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<bytes::Bytes> {
        let request = request
            .header("authorization", "Bearer bench")
            .header("x-api-key", "bench")
            .header("x-gw-ims-org-id", "1234@AdobeOrg")
            .header("x-sandbox-name", "prod");
        request.send().await?.error_for_status()?.bytes().await
    }
}

fn unavailable(error: reqwest::Error) -> Status {
    Status::unavailable(error.to_string())
}

fn not_implemented<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not measured"))
}

#[tonic::async_trait]
impl HubSpotConnectionService for Upstream {
    async fn create_hub_spot_connection(
        &self,
        request: Request<CreateHubSpotConnectionRequest>,
    ) -> Result<Response<CreateHubSpotConnectionResponse>, Status> {
        Ok(Response::new(self.create(request.get_ref()).await.map_err(unavailable)?))
    }

    async fn get_hub_spot_connection(
        &self,
        request: Request<GetHubSpotConnectionRequest>,
    ) -> Result<Response<GetHubSpotConnectionResponse>, Status> {
        Ok(Response::new(self.get(&request.get_ref().id).await.map_err(unavailable)?))
    }

    async fn list_hub_spot_connections(
        &self,
        _: Request<proto::ListHubSpotConnectionsRequest>,
    ) -> Result<Response<proto::ListHubSpotConnectionsResponse>, Status> {
        not_implemented()
    }

    async fn update_hub_spot_connection(
        &self,
        _: Request<proto::UpdateHubSpotConnectionRequest>,
    ) -> Result<Response<proto::UpdateHubSpotConnectionResponse>, Status> {
        not_implemented()
    }

    async fn delete_hub_spot_connection(
        &self,
        _: Request<proto::DeleteHubSpotConnectionRequest>,
    ) -> Result<Response<proto::DeleteHubSpotConnectionResponse>, Status> {
        not_implemented()
    }

    async fn test_hub_spot_connection(
        &self,
        _: Request<proto::TestHubSpotConnectionRequest>,
    ) -> Result<Response<proto::TestHubSpotConnectionResponse>, Status> {
        not_implemented()
    }

    async fn list_hub_spot_tables(
        &self,
        _: Request<proto::ListHubSpotTablesRequest>,
    ) -> Result<Response<proto::ListHubSpotTablesResponse>, Status> {
        not_implemented()
    }

    async fn get_hub_spot_table(
        &self,
        _: Request<proto::GetHubSpotTableRequest>,
    ) -> Result<Response<proto::GetHubSpotTableResponse>, Status> {
        not_implemented()
    }
}

/// Runs as a separate process until it is killed.
pub(crate) fn main() {
    crate::process::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap().with_nodelay(Some(true));
        let address = incoming.local_addr().unwrap();
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let server = tonic::transport::Server::builder()
            .add_service(health_service)
            .add_service(HubSpotConnectionServiceServer::new(Upstream::from_environment()));
        println!("serving {address}");
        match std::env::var_os(TLS) {
            None => Box::pin(server.serve_with_incoming(incoming)).await,
            Some(directory) => {
                let acceptor = certificates::acceptor(directory.as_ref());
                let handshakes = incoming.and_then(move |stream| {
                    let accept = acceptor.accept(stream);
                    async { accept.await.map(Tls) }
                });
                let connections = handshakes.filter(|tls| std::future::ready(tls.is_ok()));
                Box::pin(server.serve_with_incoming(connections)).await
            }
        }
        .unwrap();
    });
}

/// A connection that tonic accepts.
struct Tls(TlsStream<TcpStream>);

impl Connected for Tls {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Tls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
