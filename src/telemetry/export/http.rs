//! OTLP over HTTP, with protobuf.

use std::{error::Error, sync::PoisonError};

use async_trait::async_trait;
use http::{Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use reqwest::{Certificate, Client, Identity, redirect, retry};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::{LastFailure, TracesConfig};
use crate::{
    error::error_chain,
    http_client::{read_body, without_url},
    secret::read_for_setting,
};

/// A reply says at most how many spans the collector rejected, and why.
const MAX_REPLY: usize = 64 * 1024;

pub(super) fn exporter(config: &TracesConfig, failure: LastFailure) -> Result<SpanExporter, Box<dyn Error>> {
    let builder = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(config.endpoint.as_str())
        .with_http_client(InRuntime { client: client(config)?, runtime: Handle::current(), failure })
        .with_timeout(config.timeout);
    // The environment decides about compression.
    Ok(builder.build()?)
}

fn client(config: &TracesConfig) -> Result<Client, Box<dyn Error>> {
    let mut builder = Client::builder()
        // Neither may send the headers elsewhere.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .retry(retry::never())
        .default_headers(config.headers.clone())
        .timeout(config.timeout)
        // Leaves half of the time for another attempt to connect.
        .connect_timeout(config.timeout / 2);
    if let Some(file) = &config.authority {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(&read_for_setting(file)?)?);
    } else if config.endpoint.scheme() == "http" {
        // Without any authorities in the system the client could not be built.
        builder = builder.tls_certs_only([]);
    }
    if let Some((certificate, key)) = &config.identity {
        let (certificate, key) = (read_for_setting(certificate)?, read_for_setting(key)?);
        let pem = Zeroizing::new([&certificate[..], &key[..]].join(&b'\n'));
        builder = builder.identity(Identity::from_pem(&pem)?);
    }
    Ok(builder.build()?)
}

/// Sends in the runtime that serves: the exporting thread has none, and a blocking client would start one.
#[derive(Debug)]
struct InRuntime {
    client: Client,
    runtime: Handle,
    failure: LastFailure,
}

#[async_trait]
impl HttpClient for InRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.client.clone(), request));
        let reply = AbortOnDropHandle::new(sent).await.unwrap_or_else(|error| Err(error.into()));
        // The exporter only reports that there was an error.
        reply.inspect_err(|error| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error_chain(&**error));
        })
    }
}

async fn send(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let reply = client.execute(request.try_into()?).await.map_err(without_url)?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = reply.status();
    *response.headers_mut() = reply.headers().clone();
    *response.body_mut() = read_body(reply, MAX_REPLY).await?;
    Ok(response)
}
