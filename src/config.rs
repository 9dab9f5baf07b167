//! The configuration: one struct with everything checked.
//!
//! [`Config::load`] reads the settings of one table ([`SETTINGS`]) from the environment and the
//! command line, both passed in, and finds every problem at once. Nothing checks a value again.

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

pub(crate) use self::setting::secret_meant_by;
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
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where health and, for probes, `/livez` and `/readyz` are served in plaintext.
    pub admin_listen: SocketAddr,
    /// Who may call, and how that is found out.
    pub callers: CallersConfig,
    /// Whether the gRPC port serves reflection.
    pub reflection: bool,
    /// The age at which a connection of a caller is ended gracefully.
    pub max_connection_age: Duration,
    /// The calls that may be under way at once; those beyond it are shed.
    pub max_in_flight: NonZeroUsize,
    /// The longest a caller waits.
    pub request_timeout: Duration,
    /// The threads of the runtime.
    pub worker_threads: NonZeroUsize,
    /// How the service ends.
    pub drain: DrainConfig,
    /// The sandboxes that callers may name.
    pub sandboxes: Sandboxes,
    /// How this service authenticates to Adobe.
    pub adobe: AdobeConfig,
    /// How the Flow Service and IMS are called.
    pub upstream: UpstreamConfig,
    /// How repeated requests are recognized.
    pub idempotency: IdempotencyConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Where traces are exported to, where they are.
    pub traces: Option<TracesConfig>,
}

impl Config {
    /// What each call needs before the service is ready.
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

/// Who may call, and how that is found out. Where both a certificate and a token are asked for, the
/// token names the caller.
#[derive(Clone, Debug, Default)]
pub struct CallersConfig {
    /// TLS on the gRPC port.
    pub tls: Option<TlsConfig>,
    /// How the tokens of callers are checked, where they must send one.
    pub jwt: Option<JwtConfig>,
    /// The callers that are allowed; `None` is everyone who is authenticated.
    pub allowed: Option<Callers>,
}
