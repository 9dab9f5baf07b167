//! The HTTP client for requests to other servers, with everything that is switched on or off.

mod no_proxy;
mod proxy_url;

use std::{path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Certificate, Client, Proxy, Response, redirect, retry};

pub use self::{no_proxy::NoProxy, proxy_url::ProxyUrl};
use crate::{error::Cause, secret::read_small_file};

/// How connections to other servers are opened.
#[derive(Clone, Debug)]
pub struct HttpClientConfig {
    /// One more certificate authority to trust, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// The egress proxy.
    pub proxy: Option<ProxyUrl>,
    /// The hosts that are reached without the proxy.
    pub no_proxy: NoProxy,
}

/// The HTTP version that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpVersion {
    /// One connection per concurrent call.
    Http1,
    /// One connection for all calls.
    Http2,
}

/// A bundle of every public authority has a quarter of this.
const MOST_CA_BYTES: u64 = 1 << 20;

/// Covers name resolution, TCP and TLS. A failure within it proves that nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below the idle limits of common gateways (60 s and more). If the other side closes a connection just as it is
/// used again, a request is lost, and it is unknown whether it was executed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(25);
/// Detects a dead HTTP/2 connection, on which every call would fail.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that sent data may stay unacknowledged; the create timeout if that is shorter.
const LONGEST_UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Builds a client. It always verifies certificates; follows no redirect, which would send the organization's
/// headers elsewhere; retries no request by itself; and uses no proxy but the configured one, whatever `HTTP_PROXY`
/// and similar variables say.
///
/// # Errors
/// If the file of the additional certificate authority or the proxy cannot be used, or the system has no
/// certificate authorities.
pub fn http_client(
    config: &HttpClientConfig,
    version: HttpVersion,
    longest_request: Duration,
) -> Result<Client, Cause> {
    let mut builder = Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT);
    // A creation may arrive from the moment when it is sent until its timeout, and the settle window begins after
    // that. The kernel retransmits for a quarter of an hour, also after the socket was closed or the process has
    // died: a request that arrives after the timeout could create a second connection.
    #[cfg(target_os = "linux")]
    {
        builder = builder.tcp_user_timeout(longest_request.min(LONGEST_UNACKNOWLEDGED));
    }
    builder = match version {
        HttpVersion::Http1 => builder.http1_only(),
        HttpVersion::Http2 => builder
            .http2_prior_knowledge()
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT),
    };
    builder = match &config.proxy {
        Some(proxy) => {
            // Fails if the proxy cannot be used. The custom one below would silently connect without it.
            Proxy::all(proxy.expose().clone())?;
            let (proxy, no_proxy) = (proxy.expose().clone(), config.no_proxy.clone());
            builder.proxy(Proxy::custom(move |url| (!no_proxy.covers(url)).then(|| proxy.clone())))
        }
        None => builder.no_proxy(),
    };
    if let Some(path) = &config.ca_file {
        let pem = read_small_file(path, MOST_CA_BYTES)?;
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
    }
    Ok(builder.build()?)
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(mut response: Response, limit: usize) -> Result<Bytes, Cause> {
    let mut body = Bytes::new();
    while let Some(chunk) = response.chunk().await.map_err(without_url)? {
        if body.len() + chunk.len() > limit {
            return Err(format!("the response is longer than {limit} bytes").into());
        }
        // A short body arrives in one piece, which is not copied.
        body = if body.is_empty() {
            chunk
        } else {
            let mut longer = BytesMut::from(body);
            longer.extend_from_slice(&chunk);
            longer.freeze()
        };
    }
    Ok(body)
}

/// The cause in an error of the client, for the log. It has no URL: the configuration shows them, and the URL of a
/// proxy can hold a password.
pub(crate) fn without_url(error: reqwest::Error) -> Cause {
    error.without_url().into()
}
