//! Adobe's services: how they are called, and what their replies mean.

pub(crate) mod answer;
mod asked_service;
pub(crate) mod catalog;
mod client;
pub(crate) mod data_prep;
mod error;
pub(crate) mod flow_service;
pub(crate) mod identity;
mod marker_list;
mod pages;
mod platform;
mod port;
mod resilience;
pub(crate) mod schema_registry;
pub(crate) mod wire;

use std::time::Duration;

pub use self::{
    answer::{
        advice::Advice,
        presentable::redacted,
        problem::{Author, Problem, Refusal},
    },
    asked_service::AskedService,
    client::{Identity, Timeouts, UpstreamState},
    error::{CallError, NextStep},
    flow_service::list::{ConnectionPage, ListQuery, ListedConnection},
    identity::{
        error::{TokenError, TokenErrorKind},
        ims::{Ims, ReadyToken},
        token::{AccessToken, IssueToken, IssuedToken, TokenSource},
    },
    pages::{PageToken, PageTrail},
    platform::HttpPlatform,
    port::*,
    resilience::Permit,
};
use crate::{
    http_client::{HttpClientConfig, HttpVersion},
    secret::Secret,
};

/// How this service authenticates to Adobe.
#[derive(Clone, Debug)]
pub struct AdobeConfig {
    /// The organization, sent as `x-gw-ims-org-id`.
    pub org_id: String,
    /// The client ID of the service's own credential, sent as `x-api-key`.
    pub client_id: String,
    /// The source of the access tokens.
    pub credential: AdobeCredential,
    pub scopes: Vec<String>,
}

/// The source of the access tokens.
#[derive(Clone, Debug)]
pub enum AdobeCredential {
    /// A client secret, exchanged for access tokens at IMS.
    ClientSecret(Secret),
    /// A ready access token.
    AccessToken(Secret),
}

/// How Adobe and HubSpot are called.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// The base URL of the Flow Service; its path ends in no slash unless it is the root.
    pub flow_service_url: reqwest::Url,
    /// The base URL of the Schema Registry, the Catalog and Data Prep, likewise.
    pub platform_url: reqwest::Url,
    /// The base URL of HubSpot; `None` if it is never called.
    pub hubspot_url: Option<reqwest::Url>,
    /// The token endpoint of IMS.
    pub ims_url: reqwest::Url,
    /// The timeout of one attempt, except that of a creation.
    pub attempt_timeout: Duration,
    /// The timeout of a creation.
    pub create_timeout: Duration,
    /// The HTTP version for the Flow Service.
    pub http: HttpVersion,
    pub client: HttpClientConfig,
}
