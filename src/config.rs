//! The configuration: one struct with everything checked.
//!
//! [`Config::load`] reads the settings of one table ([`SETTINGS`]) from the environment and the
//! command line, both passed in, and finds every problem at once. Nothing checks a value again.

mod callers;
mod effective;
mod idempotency;
mod load;
mod no_proxy;
mod parse;
mod placeholder;
mod problem;
mod proxy_url;
mod secret;
mod service_link;
mod setting;
mod small_file;
mod source;
mod traces;

use std::{fmt, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

pub use self::{
    effective::Effective,
    load::Loaded,
    no_proxy::NoProxy,
    problem::{Problem, Problems},
    proxy_url::ProxyUrl,
    secret::{Secret, SecretError},
    setting::{Fallback, SETTINGS, Setting},
    small_file::ReadError as SmallFileError,
    source::Flags,
    traces::{BatchConfig, TracesConfig, TracesProtocol},
};
pub(crate) use self::{
    idempotency::fingerprint_keys, parse::MOST_CA_BYTES, setting::secret_meant_by,
    small_file::read as read_small_file,
};
use crate::{
    domain::{Callers, Sandboxes},
    idempotency::RedisTlsFiles,
    service::Recovery,
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

/// The files of TLS on the gRPC port, in PEM form.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The certificate, and those of its issuers.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// The authority of the certificates that callers must show, where they must.
    pub client_ca_file: Option<PathBuf>,
}

/// How the tokens of callers are checked.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Who issues them.
    pub issuer: String,
    /// Whom they are for: this service.
    pub audience: String,
    /// Where the issuer's keys are.
    pub jwks: JwksSource,
}

/// Where the keys of an issuer of tokens are.
#[derive(Clone, Debug)]
pub enum JwksSource {
    /// At a URL.
    Url(reqwest::Url),
    /// In a file.
    File(PathBuf),
}

/// How repeated requests are recognized.
#[derive(Clone, Debug)]
pub struct IdempotencyConfig {
    /// The URL of the shared store; without one, memory is used.
    pub redis_url: Option<Secret>,
    /// How TLS is spoken with it.
    pub redis_tls: RedisTlsFiles,
    /// The keys that compare repeated requests; without them, a key of this process alone.
    pub fingerprint_keys: Option<Secret>,
    /// How long a request id is remembered, from its last change.
    pub request_id_ttl: Duration,
    /// How long a connection may stay invisible after the last moment at which it may have been created.
    pub settle_window: Duration,
    /// What to do about lost creations.
    pub recovery: Recovery,
}

/// How the service ends.
#[derive(Clone, Debug)]
pub struct DrainConfig {
    /// How long it says NOT_SERVING while it still accepts.
    pub delay: Duration,
    /// The most that finishing the calls under way may take after that.
    pub timeout: Duration,
}

/// How this service authenticates to Adobe.
#[derive(Clone, Debug)]
pub struct AdobeConfig {
    /// The organization, sent as `x-gw-ims-org-id`.
    pub org_id: String,
    /// The client ID of the service's own credential, sent as `x-api-key`.
    pub client_id: String,
    /// Where its access tokens come from.
    pub credential: AdobeCredential,
    /// The IMS scopes.
    pub scopes: Vec<String>,
}

/// Where the service's access tokens come from.
#[derive(Clone, Debug)]
pub enum AdobeCredential {
    /// A client secret, exchanged for access tokens at IMS.
    ClientSecret(Secret),
    /// A ready access token, used until Adobe refuses it.
    AccessToken(Secret),
}

/// How the Flow Service and IMS are called.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// The base URL of the Flow Service; its path ends in no slash unless it is the root.
    pub flow_service_url: reqwest::Url,
    /// The token endpoint of IMS.
    pub ims_url: reqwest::Url,
    /// The longest one attempt of anything but a creation may take.
    pub attempt_timeout: Duration,
    /// The longest a creation may take.
    pub create_timeout: Duration,
    /// The HTTP version spoken to the Flow Service.
    pub http: UpstreamHttp,
    /// One more certificate authority to trust, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// The egress proxy.
    pub proxy: Option<ProxyUrl>,
    /// The hosts that it does not serve.
    pub no_proxy: NoProxy,
}

/// The HTTP version spoken to the Flow Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHttp {
    /// HTTP/1.1, one connection for each call under way.
    Http1,
    /// HTTP/2, one connection for all calls.
    Http2,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
