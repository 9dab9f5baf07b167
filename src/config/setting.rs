//! The table of settings: one constant each, with its name, default, parser and help.
//!
//! The environment, the command line and its help, the output of `check-config`, the test of the documentation
//! and the suggestions for misspelt names all follow this table. To add a setting, add its constant here, in
//! the order of the documentation, and read it into the field of the configuration that it sets.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use reqwest::Url;

use super::parse;
use crate::{
    domain::{AllowedSandboxes, Callers, Invalid, SandboxName},
    exactly_once::{FingerprintKeys, SearchFirst, store::RedisUrl},
    http_client::{HttpVersion, NoProxy, ProxyUrl},
    telemetry::LogFormat,
};

/// One setting. In [`SETTINGS`] it has no parser, so that settings of all types fit into one table.
#[derive(Clone, Copy, Debug)]
pub struct Setting<P = ()> {
    /// The environment variable.
    pub name: &'static str,
    pub fallback: Fallback,
    /// A secret is never shown, has no flag, and can also be read from a file.
    pub secret: bool,
    /// What it sets, in one sentence.
    pub help: &'static str,
    pub(super) parse: P,
}

/// Reads the text of a setting. Its error says how to write the value, and does not repeat it.
pub(super) type Parser<T> = fn(&str) -> Result<T, Invalid>;

/// What applies if a setting is not set.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    Required,
    /// This text, read as if it had been set.
    Text(&'static str),
    /// A value that loading the configuration works out, described here.
    Derived(&'static str),
    Unset,
}

use Fallback::{Derived, Required, Text, Unset};

/// Marks a setting as a secret.
const SECRET: bool = true;

/// Defines a constant for each setting, of which the doc comment is the help, and the table of all.
macro_rules! settings {
    ($(
        $(#[doc = $help:literal])+
        $name:ident: $type:ty = $parse:expr, $fallback:expr $(, $secret:expr)?;
    )+) => {
        $(
            $(#[doc = $help])+
            pub(super) const $name: Setting<Parser<$type>> = Setting {
                name: stringify!($name),
                fallback: $fallback,
                secret: false $(|| $secret)?,
                help: concat!($($help),+).trim_ascii(),
                parse: $parse,
            };
        )+

        /// Every setting, in the order of the documentation.
        pub const SETTINGS: &[Setting] = &[$($name.erased()),+];
    };
}

settings! {
    /// IP address and port of the gRPC server.
    HCS_LISTEN: SocketAddr = parse::socket_address, Text("127.0.0.1:50051");
    /// IP address and port of the plaintext health server.
    HCS_ADMIN_LISTEN: SocketAddr = parse::socket_address, Text("127.0.0.1:9090");
    /// Base URL of the Flow Service, ending in /data/foundation/flowservice.
    HCS_FLOW_SERVICE_URL: Url =
        parse::flow_service_url, Derived("/data/foundation/flowservice below HCS_PLATFORM_URL");
    /// Base URL of the Schema Registry, the Catalog and Data Prep, without their paths.
    HCS_PLATFORM_URL: Url = parse::platform_url,
        Derived("HCS_FLOW_SERVICE_URL without its path, or else https://platform.adobe.io");
    /// Base URL of HubSpot, whose host is api.hubapi.com: lets validate_only and VERIFICATION_REQUIRE ask HubSpot about
    /// credentials; if it is not set, HubSpot is never called.
    HCS_HUBSPOT_URL: Url = parse::hubspot_url, Unset;
    /// URL of the IMS token endpoint, ending in /ims/token/v3.
    HCS_IMS_URL: Url = parse::ims_url, Text("https://ims-na1.adobelogin.com/ims/token/v3");
    /// ID of the organization at Adobe, ending in @AdobeOrg.
    HCS_ORG_ID: String = parse::org_id, Required;
    /// Client ID of this service's credential at Adobe.
    HCS_CLIENT_ID: String = parse::word, Required;
    /// Client secret of that credential; set it or HCS_ACCESS_TOKEN.
    HCS_CLIENT_SECRET: () = |_| Ok(()), Unset, SECRET;
    /// A ready Adobe access token, for a quick try: it is not renewed; set it or HCS_CLIENT_SECRET.
    HCS_ACCESS_TOKEN: () = |_| Ok(()), Unset, SECRET;
    /// IMS scopes, comma separated.
    HCS_SCOPES: Vec<String> =
        parse::scopes, Text("openid,AdobeID,read_organizations,additional_info.projectedProductContext");
    /// Sandbox of the calls that name none.
    HCS_SANDBOX: SandboxName = SandboxName::parse, Text("prod");
    /// Sandboxes that callers may name, comma separated; * allows any.
    HCS_ALLOWED_SANDBOXES: AllowedSandboxes = parse::allowed_sandboxes, Derived("the default sandbox");
    /// URL of the shared idempotency store; if it is not set, memory is used.
    HCS_REDIS_URL: RedisUrl = RedisUrl::parse, Unset, SECRET;
    /// Path of a PEM file with the authority of a rediss:// server, in place of the system's.
    HCS_REDIS_CA_FILE: PathBuf = parse::path, Unset;
    /// Path of a PEM file with the certificate to show a rediss:// server.
    HCS_REDIS_CLIENT_CERT_FILE: PathBuf = parse::path, Unset;
    /// Path of the PEM file with its private key.
    HCS_REDIS_CLIENT_KEY_FILE: PathBuf = parse::path, Unset;
    /// Key that compares repeated requests, at least 32 bytes; required with Redis, else random.
    HCS_FINGERPRINT_KEY: FingerprintKeys = |text| FingerprintKeys::parse(&text.into()), Unset, SECRET;
    /// How long a request id is remembered, as a duration.
    HCS_REQUEST_ID_TTL: Duration = parse::timeout, Text("24h");
    /// How long a connection may stay invisible after the last moment at which it may have been created, as
    /// a duration; a lost creation is not sent again earlier.
    HCS_SETTLE_WINDOW: Duration = parse::timeout, Text("90s");
    /// Stores the request id at the end of the description, which recognizes a lost creation: true or
    /// false.
    HCS_DESCRIPTION_REFERENCE: bool = parse::boolean, Text("true");
    /// Searches before sending where the store may have forgotten a request id: auto, strict or never.
    HCS_SEARCH_FIRST: SearchFirst =
        |text| parse::choice(text, "must be auto, strict or never"), Text("auto");
    /// Longest time that a caller waits, as a duration; a shorter deadline of its own counts instead.
    HCS_REQUEST_TIMEOUT: Duration = parse::timeout, Text("60s");
    /// Longest time that one upstream attempt of anything but a creation may take, as a duration.
    HCS_ATTEMPT_TIMEOUT: Duration = parse::timeout, Text("20s");
    /// Longest time that a creation may take upstream, as a duration.
    HCS_CREATE_TIMEOUT: Duration = parse::timeout, Text("65s");
    /// Path of a PEM file with one more certificate authority to trust for Adobe, HubSpot and the JWKS URL.
    HCS_UPSTREAM_CA_FILE: PathBuf = parse::ca_file, Unset;
    /// URL of the egress proxy for Adobe and HubSpot, and for a JWKS URL outside the cluster.
    HCS_UPSTREAM_PROXY: ProxyUrl = ProxyUrl::parse, Unset;
    /// Hosts that the proxy does not serve, comma separated: example.com, .example.com, 10.0.0.0/8; names
    /// without a dot, loopback, .svc and .cluster.local never go through it.
    HCS_UPSTREAM_NO_PROXY: NoProxy = NoProxy::parse, Unset;
    /// Whether the URLs of Adobe and HubSpot may be plain http beyond loopback: true or false.
    HCS_UPSTREAM_ALLOW_HTTP: bool = parse::boolean, Text("false");
    /// HTTP version spoken to the Flow Service: http1 or http2.
    HCS_UPSTREAM_HTTP: HttpVersion = |text| parse::choice(text, "must be http1 or http2"), Text("http1");
    /// Path of the PEM file with the certificate of the gRPC port.
    HCS_TLS_CERT_FILE: PathBuf = parse::pem_file, Unset;
    /// Path of the PEM file with its private key.
    HCS_TLS_KEY_FILE: PathBuf = parse::pem_file, Unset;
    /// Path of the PEM file with the authority of the certificates that callers must show.
    HCS_TLS_CLIENT_CA_FILE: PathBuf = parse::ca_file, Unset;
    /// Issuer of the bearer tokens that callers must send.
    HCS_JWT_ISSUER: String = parse::word, Unset;
    /// Audience of those tokens: the name of this service there.
    HCS_JWT_AUDIENCE: String = parse::word, Unset;
    /// URL of the issuer's keys; this or HCS_JWT_JWKS_FILE.
    HCS_JWT_JWKS_URL: Url = parse::url, Unset;
    /// Path of a file with the issuer's keys.
    HCS_JWT_JWKS_FILE: PathBuf = parse::jwks_file, Unset;
    /// Whether HCS_JWT_JWKS_URL may be plain http beyond loopback: true or false.
    HCS_JWT_ALLOW_HTTP: bool = parse::boolean, Text("false");
    /// Who may call, as IDENTITY=read or IDENTITY=write, comma separated; required with HCS_JWT_ISSUER.
    HCS_CALLERS: Callers = Callers::parse, Unset;
    /// Whether HCS_LISTEN may leave loopback without TLS and a check of callers: true or false.
    HCS_INSECURE: bool = parse::boolean, Text("false");
    /// Whether server reflection is served: true or false.
    HCS_REFLECTION: bool = parse::boolean, Text("true");
    /// Number of concurrent calls to Adobe: this many creations, and this many other calls; more are rejected.
    HCS_MAX_IN_FLIGHT: NonZeroUsize = |text| parse::count(text, MOST_IN_FLIGHT), Text("1024");
    /// Age at which a caller's connection is ended gracefully, as a duration, at least 1s.
    HCS_MAX_CONNECTION_AGE: Duration = parse::connection_age, Text("30m");
    /// Number of worker threads. With 1, everything runs on one thread.
    HCS_WORKER_THREADS: NonZeroUsize = |text| parse::count(text, MOST_THREADS), Derived("the CPU limit");
    /// Time for which a stopping service reports NOT_SERVING but still accepts calls, as a duration.
    HCS_DRAIN_DELAY: Duration = parse::duration, Text("5s");
    /// Longest time that finishing the calls in progress may take after that, as a duration.
    HCS_DRAIN_TIMEOUT: Duration = parse::timeout, Text("25s");
    /// Log filter: a level, or target=level, comma separated.
    HCS_LOG: String = parse::log_filter, Text("info");
    /// Form of a log line: text or json.
    HCS_LOG_FORMAT: LogFormat =
        |text| parse::choice(text, "must be text or json"), Derived("text on a terminal, else json");
}

const PREFIX: &str = "HCS_";

/// A variable of the client, which can be set for both.
pub(crate) const CLIENT_ADDRESS: &str = "HCS_CLIENT_ADDRESS";

/// More calls than one process can serve, and fewer than a semaphore can count.
const MOST_IN_FLIGHT: usize = 1_000_000;
/// More threads would only contend.
pub(super) const MOST_THREADS: usize = 1024;

impl<P> Setting<P> {
    /// The flag without its dashes: `org-id` for `HCS_ORG_ID`. Secrets have none, because the
    /// arguments of a process are visible to others.
    pub fn flag(&self) -> Option<String> {
        let name = self.name.trim_start_matches(PREFIX);
        (!self.secret).then(|| name.to_ascii_lowercase().replace('_', "-"))
    }

    /// The variable that may hold the path of a file with the value; only secrets have one.
    pub fn file_variable(&self) -> Option<String> {
        self.secret.then(|| format!("{}_FILE", self.name))
    }

    /// Whether this variable sets it, by its value or by the path of a file.
    pub(super) fn is_set_by(&self, variable: &str) -> bool {
        self.name == variable || self.file_variable().is_some_and(|file| file == variable)
    }

    const fn erased(&self) -> Setting {
        Setting { name: self.name, fallback: self.fallback, secret: self.secret, help: self.help, parse: () }
    }
}

/// The secret that an argument of the command line most likely means, such as `--client-secret` or
/// `HCS_CLIENT_SECRET=…`; `None` for a flag.
pub(crate) fn secret_meant_by(argument: &str) -> Option<&'static Setting> {
    let name = argument.split('=').next().unwrap_or_default();
    let (dashes, name) = name.split_at(name.len() - name.trim_start_matches('-').len());
    let name = name.to_ascii_uppercase().replace('-', "_");
    if dashes.is_empty() && !is_ours(&name) {
        return None;
    }
    let name = format!("{PREFIX}{}", name.trim_start_matches(PREFIX));
    if SETTINGS.iter().any(|setting| !setting.secret && setting.name == name) {
        return None;
    }
    let meant = nearest(&name)?;
    SETTINGS.iter().find(|setting| setting.secret && setting.is_set_by(&meant))
}

/// Whether a variable has this service's prefix, known or not.
pub(super) fn is_ours(variable: &str) -> bool {
    variable.starts_with(PREFIX)
}

/// The known variable that a misspelt one most likely means.
pub(super) fn nearest(unknown: &str) -> Option<String> {
    let variables =
        SETTINGS.iter().flat_map(|setting| [Some(setting.name.to_owned()), setting.file_variable()]);
    // The prefix is the same for all and would make every name look alike.
    let stem = |name: &str| name.trim_start_matches(PREFIX).to_ascii_uppercase();
    let wanted = stem(unknown);
    let most_edits = (wanted.len() / 3).max(1);
    variables
        .flatten()
        .map(|variable| (strsim::damerau_levenshtein(&stem(&variable), &wanted), variable))
        .filter(|(edits, _)| *edits <= most_edits)
        .min()
        .map(|(_, variable)| variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_named_like_its_variable_and_secrets_have_none() {
        assert_eq!(HCS_ORG_ID.flag().as_deref(), Some("org-id"));
        assert_eq!(HCS_CLIENT_SECRET.flag(), None);
    }

    #[test]
    fn only_secrets_can_come_from_a_file() {
        assert_eq!(HCS_CLIENT_SECRET.file_variable().as_deref(), Some("HCS_CLIENT_SECRET_FILE"));
        assert_eq!(HCS_ORG_ID.file_variable(), None);
    }

    #[test]
    fn an_argument_that_means_a_secret_is_recognized() {
        for (argument, meant) in [
            ("--client-secret", "HCS_CLIENT_SECRET"),
            ("--client-secret=canary", "HCS_CLIENT_SECRET"),
            ("-client-secret=canary", "HCS_CLIENT_SECRET"),
            ("--client_secret", "HCS_CLIENT_SECRET"),
            ("--CLIENT-SECRET", "HCS_CLIENT_SECRET"),
            ("--client-secrets", "HCS_CLIENT_SECRET"),
            ("--client-secret-file", "HCS_CLIENT_SECRET"),
            ("--hcs-client-secret", "HCS_CLIENT_SECRET"),
            ("HCS_CLIENT_SECRET=canary", "HCS_CLIENT_SECRET"),
            ("--access-token", "HCS_ACCESS_TOKEN"),
            ("--redis-url=redis://:canary@redis", "HCS_REDIS_URL"),
            ("--redis-uri", "HCS_REDIS_URL"),
            ("--fingerprint-key", "HCS_FINGERPRINT_KEY"),
        ] {
            assert_eq!(secret_meant_by(argument).map(|setting| setting.name), Some(meant), "{argument}");
        }
        for argument in [
            "--client-id",
            "--org-id=x",
            "--listen",
            "--redis-ca-file=x",
            "serve",
            "client-secret",
            "--no-such-flag",
            "--",
            "-h",
            "",
        ] {
            assert!(secret_meant_by(argument).is_none(), "{argument}");
        }
    }

    #[test]
    fn a_slip_is_understood_and_a_stranger_is_not() {
        for (slip, meant) in [
            ("HCS_ORGID", "HCS_ORG_ID"),
            ("HCS_LSITEN", "HCS_LISTEN"),
            ("HCS_SANDBOXES", "HCS_SANDBOX"),
            ("HCS_CLIENT_SECRETS_FILE", "HCS_CLIENT_SECRET_FILE"),
            ("HCS_log", "HCS_LOG"),
        ] {
            assert_eq!(nearest(slip).as_deref(), Some(meant));
        }
        for stranger in ["HCS_", "HCS_KUBERNETES", "HCS_SOMETHING_ELSE"] {
            assert_eq!(nearest(stranger), None, "{stranger}");
        }
    }
}
