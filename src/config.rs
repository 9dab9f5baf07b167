//! The configuration: one struct with everything checked.
//!
//! [`Config::load`] reads the settings of one table ([`SETTINGS`]) from the environment and the command line and
//! reports every problem at once. No other module checks a value again.

mod callers;
mod effective;
mod idempotency;
mod load;
mod parse;
mod placeholder;
mod problem;
mod service_link;
mod setting;
mod source;
mod traces;

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

pub(crate) use self::setting::{CLIENT_ADDRESS, secret_meant_by};
pub use self::{
    effective::Effective,
    load::Loaded,
    problem::{Problem, Problems},
    setting::{Fallback, SETTINGS, Setting},
    source::Flags,
};
use crate::{
    adobe::{AdobeConfig, AdobeCredential, UpstreamConfig},
    domain::{Callers, Sandboxes},
    exactly_once::IdempotencyConfig,
    jwt::{JwksSource, JwtConfig},
    readiness::Needs,
    server::DrainConfig,
    telemetry::{LogConfig, TracesConfig},
    tls::TlsConfig,
};

/// Everything that can be set, parsed and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gRPC port.
    pub listen: SocketAddr,
    /// The plaintext port of health, `/livez`, `/readyz` and `/metrics`.
    pub admin_listen: SocketAddr,
    pub callers: CallersConfig,
    /// Whether the gRPC port serves reflection.
    pub reflection: bool,
    /// The age at which a caller's connection is ended gracefully.
    pub max_connection_age: Duration,
    /// The limit of concurrent creations, and that of other calls.
    pub max_in_flight: NonZeroUsize,
    /// The longest that a caller waits.
    pub request_timeout: Duration,
    pub worker_threads: NonZeroUsize,
    pub drain: DrainConfig,
    pub sandboxes: Sandboxes,
    /// How this service authenticates to Adobe.
    pub adobe: AdobeConfig,
    /// How Adobe and HubSpot are called.
    pub upstream: UpstreamConfig,
    /// How retries of callers are recognized.
    pub idempotency: IdempotencyConfig,
    pub log: LogConfig,
    /// `None` if traces are not exported.
    pub traces: Option<TracesConfig>,
}

impl Config {
    /// What the service needs before it is ready, in words.
    pub fn needs(&self) -> Needs {
        let credential = match self.adobe.credential {
            AdobeCredential::ClientSecret(_) => {
                "a token from IMS, or at least no rejection of HCS_CLIENT_ID, HCS_CLIENT_SECRET and HCS_SCOPES"
            }
            AdobeCredential::AccessToken(_) => "a readable HCS_ACCESS_TOKEN",
        };
        let keys = self.callers.jwt.as_ref().map(|jwt| match jwt.jwks {
            JwksSource::Url(_) => "the keys of HCS_JWT_JWKS_URL",
            JwksSource::File(_) => "the keys of HCS_JWT_JWKS_FILE",
        });
        Needs { credential, keys }
    }
}

/// Who may call, and how callers are authenticated. If both a certificate and a token are required, the token names
/// the caller.
#[derive(Clone, Debug, Default)]
pub struct CallersConfig {
    pub tls: Option<TlsConfig>,
    pub jwt: Option<JwtConfig>,
    /// `None` allows every authenticated caller.
    pub allowed: Option<Callers>,
}
