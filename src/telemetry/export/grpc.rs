//! OTLP over gRPC.

use std::error::Error;

use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use tonic::{
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::TracesConfig;
use crate::secret::read_for_setting;

pub(super) fn exporter(config: &TracesConfig) -> Result<SpanExporter, Box<dyn Error>> {
    let builder = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel(config)?)
        .with_metadata(MetadataMap::from_headers(config.headers.clone()))
        .with_timeout(config.timeout);
    // The environment decides about compression.
    Ok(builder.build()?)
}

/// Connects when there is something to export.
fn channel(config: &TracesConfig) -> Result<Channel, Box<dyn Error>> {
    // Leaves half of the time for another attempt to connect.
    let mut endpoint = Endpoint::from_shared(config.endpoint.to_string())?
        .timeout(config.timeout)
        .connect_timeout(config.timeout / 2);
    if config.endpoint.scheme() == "https" {
        endpoint = endpoint.tls_config(tls(config)?)?;
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // With an own connector the timeout covers the TLS handshake, too.
    Ok(endpoint.connect_with_connector_lazy(connector))
}

fn tls(config: &TracesConfig) -> Result<ClientTlsConfig, Box<dyn Error>> {
    // The default trusts no authority.
    let mut tls = match &config.authority {
        Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read_for_setting(file)?)),
        None => ClientTlsConfig::new().with_enabled_roots(),
    };
    if let Some((certificate, key)) = &config.identity {
        tls = tls.identity(Identity::from_pem(read_for_setting(certificate)?, read_for_setting(key)?));
    }
    Ok(tls)
}
