//! Reads every setting into the configuration, and checks what must hold between settings.

use std::{ffi::OsString, net::SocketAddr, num::NonZeroUsize};

use reqwest::Url;

use super::{
    CallersConfig, Config, Effective, Flags, Problem, Problems, callers, idempotency, parse,
    setting::*,
    source::{Reported, Source, all_of},
    traces,
};
use crate::{
    adobe::{AdobeConfig, AdobeCredential, UpstreamConfig},
    domain::{Invalid, SandboxName, Sandboxes},
    http_client::HttpClientConfig,
    server::DrainConfig,
    telemetry::{LogConfig, LogFormat},
};

/// Where Adobe serves the Flow Service, the Schema Registry, the Catalog and Data Prep.
const PLATFORM_URL: &str = "https://platform.adobe.io";

/// A configuration, and what to print about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// The same for people.
    pub effective: Effective,
    /// Variables of other standards that have no effect, and why.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Loads the configuration from an environment and from flags, which win. `log_format` is the
    /// default of `HCS_LOG_FORMAT`, which depends on where the log goes.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: Flags,
        log_format: LogFormat,
    ) -> Result<Loaded, Problems> {
        let mut source = Source::new(environment, flags);
        let config = read(&mut source, log_format);
        source.finish(config)
    }
}

fn read(source: &mut Source, log_format: LogFormat) -> Result<Config, Reported> {
    let callers = callers::callers(source);
    let listeners = listeners(source, callers.as_ref().ok());
    let request_timeout = source.read(HCS_REQUEST_TIMEOUT);
    let upstream = upstream(source);
    let idempotency = idempotency::idempotency(source);
    if let (Ok(idempotency), Ok(upstream), Ok(request_timeout)) = (&idempotency, &upstream, &request_timeout)
    {
        idempotency::check_together(source, idempotency, upstream, *request_timeout);
    }
    let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
    all_of!(Config {
        listen: listeners.map(|(listen, _)| listen),
        admin_listen: listeners.map(|(_, admin_listen)| admin_listen),
        callers,
        reflection: source.read(HCS_REFLECTION),
        max_connection_age: source.read(HCS_MAX_CONNECTION_AGE),
        max_in_flight: source.read(HCS_MAX_IN_FLIGHT),
        request_timeout,
        worker_threads: source.read_or(HCS_WORKER_THREADS, cpus.to_string()),
        drain: all_of!(DrainConfig {
            delay: source.read(HCS_DRAIN_DELAY),
            timeout: source.read(HCS_DRAIN_TIMEOUT),
        }),
        sandboxes: sandboxes(source),
        adobe: all_of!(AdobeConfig {
            org_id: source.read(HCS_ORG_ID),
            client_id: source.read(HCS_CLIENT_ID),
            credential: credential(source),
            scopes: source.read(HCS_SCOPES),
        }),
        upstream,
        idempotency,
        log: all_of!(LogConfig {
            filter: source.read(HCS_LOG),
            format: source.read_or(HCS_LOG_FORMAT, log_format.to_string()),
        }),
        traces: Ok(traces::traces(source)),
    })
}

fn listeners(
    source: &mut Source,
    callers: Option<&CallersConfig>,
) -> Result<(SocketAddr, SocketAddr), Reported> {
    let (listen, admin_listen) = (source.read(HCS_LISTEN), source.read(HCS_ADMIN_LISTEN));
    let insecure = source.read(HCS_INSECURE);
    let (listen, admin_listen, insecure) = (listen?, admin_listen?, insecure?);
    if collide(listen, admin_listen) {
        source.report(HCS_ADMIN_LISTEN.name, "takes the address of HCS_LISTEN: set another port");
    }
    // If the settings of callers are unusable, their own problem is enough.
    if let Some(callers) = callers {
        callers::check_exposure(source, listen, callers, insecure);
    }
    Ok((listen, admin_listen))
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let share_an_address = one.ip().to_canonical() == other.ip().to_canonical()
        || one.ip().is_unspecified()
        || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && share_an_address
}

fn credential(source: &mut Source) -> Result<AdobeCredential, Reported> {
    let (client_secret, access_token) =
        (source.read_secret(HCS_CLIENT_SECRET), source.read_secret(HCS_ACCESS_TOKEN));
    let problem = match (client_secret?, access_token?) {
        (Some((secret, ())), None) => return Ok(AdobeCredential::ClientSecret(secret)),
        (None, Some((token, ()))) => return Ok(AdobeCredential::AccessToken(token)),
        (None, None) => {
            "required but not set: set it or HCS_CLIENT_SECRET_FILE, or HCS_ACCESS_TOKEN for a quick try"
        }
        (Some(_), Some(_)) => "set together with HCS_ACCESS_TOKEN: unset one of the two",
    };
    Err(source.report(HCS_CLIENT_SECRET.name, problem))
}

fn sandboxes(source: &mut Source) -> Result<Sandboxes, Reported> {
    let default = source.read(HCS_SANDBOX);
    // Without a usable default there is nothing to derive from, and its problem is reported already.
    let default_text = default.as_ref().map_or_else(|_| "*".to_owned(), SandboxName::to_string);
    let allowed = source.read_or(HCS_ALLOWED_SANDBOXES, default_text);
    Sandboxes::new(default?, allowed?).map_err(|Invalid { sentence, .. }| {
        let message = format!("{sentence}: add it, or set another HCS_SANDBOX");
        source.report(HCS_ALLOWED_SANDBOXES.name, message)
    })
}

fn upstream(source: &mut Source) -> Result<UpstreamConfig, Reported> {
    let allow_http = source.read(HCS_UPSTREAM_ALLOW_HTTP);
    let platform = platform_urls(source, allow_http);
    let upstream = all_of!(UpstreamConfig {
        flow_service_url: platform.clone().map(|(flow_service, _)| flow_service),
        platform_url: platform.map(|(_, platform)| platform),
        hubspot_url: hubspot_url(source, allow_http),
        ims_url: adobe_url(source, HCS_IMS_URL, allow_http),
        attempt_timeout: source.read(HCS_ATTEMPT_TIMEOUT),
        create_timeout: source.read(HCS_CREATE_TIMEOUT),
        http: source.read(HCS_UPSTREAM_HTTP),
        client: http_client(source),
    });
    allow_http.and(upstream)
}

/// The URLs of the Flow Service and of its siblings. Whichever is not set follows the other one: what is meant for an
/// emulator or a proxy must not be sent to Adobe.
fn platform_urls(source: &mut Source, allow_http: Result<bool, Reported>) -> Result<(Url, Url), Reported> {
    let flow_service = source.read_optional(HCS_FLOW_SERVICE_URL);
    let platform = source.read_optional(HCS_PLATFORM_URL);
    let flow_service = check_exposed(source, HCS_FLOW_SERVICE_URL, flow_service, allow_http);
    let platform = check_exposed(source, HCS_PLATFORM_URL, platform, allow_http);
    let (flow_service, platform) = (flow_service?, platform?);
    let platform = match (platform, &flow_service) {
        (Some(platform), _) => platform,
        (None, Some(url)) => source.read_or(HCS_PLATFORM_URL, parse::before_flow_service(url))?,
        (None, None) => source.read_or(HCS_PLATFORM_URL, PLATFORM_URL.to_owned())?,
    };
    let flow_service = match flow_service {
        Some(flow_service) => flow_service,
        None => source.read_or(HCS_FLOW_SERVICE_URL, parse::flow_service_below(&platform))?,
    };
    Ok((flow_service, platform))
}

/// Reads a URL of Adobe. Requests to it carry credentials.
fn adobe_url(
    source: &mut Source,
    setting: Setting<Parser<Url>>,
    allow_http: Result<bool, Reported>,
) -> Result<Url, Reported> {
    let url = source.read(setting);
    check_exposed(source, setting, url.map(Some), allow_http)?.ok_or(Reported)
}

fn hubspot_url(source: &mut Source, allow_http: Result<bool, Reported>) -> Result<Option<Url>, Reported> {
    let url = source.read_optional(HCS_HUBSPOT_URL);
    check_exposed(source, HCS_HUBSPOT_URL, url, allow_http)
}

fn check_exposed(
    source: &mut Source,
    setting: Setting<Parser<Url>>,
    url: Result<Option<Url>, Reported>,
    allow_http: Result<bool, Reported>,
) -> Result<Option<Url>, Reported> {
    let url = url?;
    // If the permission is unusable, its own problem is enough.
    if matches!(allow_http, Ok(false)) && url.as_ref().is_some_and(parse::is_exposed) {
        let plain_http = "must be https beyond loopback; HCS_UPSTREAM_ALLOW_HTTP=true allows plain http, \
                          which shows the credentials to the network";
        return Err(source.report(setting.name, plain_http));
    }
    Ok(url)
}

fn http_client(source: &mut Source) -> Result<HttpClientConfig, Reported> {
    let proxy = source.read_optional(HCS_UPSTREAM_PROXY);
    if let Ok(Some(proxy)) = &proxy {
        source.show(HCS_UPSTREAM_PROXY.name, proxy.to_string());
    }
    all_of!(HttpClientConfig {
        ca_file: source.read_optional(HCS_UPSTREAM_CA_FILE),
        proxy,
        no_proxy: source.read_optional(HCS_UPSTREAM_NO_PROXY).map(Option::unwrap_or_default),
    })
}

#[cfg(test)]
mod tests;
