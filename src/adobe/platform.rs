//! Adobe's services over HTTP, each with its own circuit breaker, throttle gate and retry budget.

mod dataflows;

use futures_util::FutureExt as _;
use reqwest::{Client, Url};
use tokio::time::Instant;

use super::{
    AskedService, CallError, Identity, Refusal, Timeouts, TokenSource, UpstreamState, catalog,
    client::{AdobeClient, Call, below},
    data_prep, flow_service, schema_registry,
};
use crate::{error::Cause, metrics::UpstreamMetrics, secret::redaction::without};

/// Adobe's services, called over HTTP.
#[derive(Debug)]
pub struct HttpPlatform {
    pub(super) flow_service: AdobeClient,
    schema_registry: AdobeClient,
    catalog: AdobeClient,
    data_prep: AdobeClient,
}

impl HttpPlatform {
    /// Combines what a call needs. The Flow Service has a base URL of its own; the others are at their paths below
    /// `platform_base`.
    ///
    /// # Errors
    /// The identity cannot be sent in headers.
    pub fn new(
        client: Client,
        flow_service_base: &Url,
        platform_base: &Url,
        identity: Identity<'_>,
        tokens: TokenSource,
        timeouts: Timeouts,
        metrics: UpstreamMetrics,
    ) -> Result<Self, Cause> {
        let sibling = |service, path| {
            let base = below(platform_base, path, None);
            let at = (service, &base);
            AdobeClient::new(client.clone(), at, identity, tokens.clone(), timeouts, metrics.clone())
        };
        let mut schema_registry = sibling(AskedService::SchemaRegistry, "/data/foundation/schemaregistry")?;
        let mut catalog = sibling(AskedService::Catalog, "/data/foundation/catalog")?;
        let mut data_prep = sibling(AskedService::DataPrep, "/data/foundation/conversion")?;
        let service = (AskedService::FlowService, flow_service_base);
        let mut flow_service = AdobeClient::new(client, service, identity, tokens, timeouts, metrics)?;
        flow_service.expect(&flow_service::ROUTES);
        schema_registry.expect(&schema_registry::ROUTES);
        catalog.expect(&catalog::ROUTES);
        data_prep.expect(&data_prep::ROUTES);
        Ok(Self { flow_service, schema_registry, catalog, data_prep })
    }

    /// What prevents requests to each service from being sent, or from being accepted.
    pub fn states(&self) -> [UpstreamState; 4] {
        let Self { flow_service, schema_registry, catalog, data_prep } = self;
        [flow_service, schema_registry, catalog, data_prep].map(|client| client.state.clone())
    }

    /// Texts of Adobe's without the access token, which they may repeat.
    pub(super) fn without_token(&self, text: &str) -> String {
        match self.flow_service.state.resilience.tokens.token().now_or_never() {
            Some(Ok(token)) => without(text, &[token.expose_secret()]),
            Some(Err(_)) | None => text.to_owned(),
        }
    }

    /// The differences from a specification, which may not exist any more.
    pub(super) async fn drift(
        &self,
        call: Call<'_, Vec<String>>,
        deadline: Instant,
    ) -> Result<Vec<String>, CallError> {
        match self.flow_service.call(call, deadline).await {
            Err(error) if error.refusal() == Some(Refusal::NotFound) => {
                Ok(vec!["it does not exist any more".to_owned()])
            }
            Err(error) => Err(error),
            Ok(drift) => Ok(drift.iter().map(|text| self.without_token(text)).collect()),
        }
    }
}
