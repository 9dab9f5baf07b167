//! The process: the only file that knows every part.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::Client;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    admin::{self, Observed},
    adobe::{AdobeCredential, HttpPlatform, Identity, Ims, ReadyToken, Timeouts, TokenSource},
    config::{CallersConfig, Config},
    error::Cause,
    exactly_once::{
        Background, Engine, FollowedKeys, IdempotencyConfig, Waiting,
        store::{self, LEASE, MemoryStore, RedisStore, Retention, Store},
        wall_clock,
    },
    grpc::{self, CallerCheck},
    health::Health,
    http_client::{HttpVersion, http_client},
    hubspot::HubSpot,
    jwt::TokenCheck,
    metrics::Metrics,
    readiness::Readiness,
    server::{self, DrainConfig, Serving, Shutdown},
    service::{Service, dataflows::Dataflows},
    tls::{ServerTls, TlsError},
};

/// For the last steps, which take no time unless something hangs.
pub(crate) const ABORT_TIMEOUT: Duration = Duration::from_millis(500);

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} ({variable})")]
    Listen {
        variable: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot use the files of TLS ({})", .0.setting)]
    Tls(#[source] TlsError),
    #[error("cannot {0}")]
    Other(&'static str, #[source] Cause),
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every call was finished.
    Completely,
    /// Calls were cut at the end of the drain timeout.
    TimedOut,
}

/// The process with its ports open, not yet serving.
pub struct App {
    grpc: TcpListener,
    admin: TcpListener,
    serving: Serving,
    observed: Observed,
    background: Background,
    drain: DrainConfig,
    /// Reload files and keys, and check the store.
    _following: Vec<AbortOnDropHandle<()>>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("grpc", &self.grpc).field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl App {
    /// Opens the ports and builds everything. Adobe need not be reachable.
    ///
    /// # Errors
    /// [`StartError`] names the setting to correct.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let grpc = listen("HCS_LISTEN", config.listen).await?;
        let admin = listen("HCS_ADMIN_LISTEN", config.admin_listen).await?;
        Self::on(grpc, admin, config).await
    }

    /// The same on open ports, instead of the configured addresses.
    ///
    /// # Errors
    /// All but [`StartError::Listen`].
    pub async fn on(grpc: TcpListener, admin: TcpListener, config: &Config) -> Result<Self, StartError> {
        let metrics = Metrics::default();
        let upstream_error = |cause| StartError::Other("build the HTTP client for Adobe", cause);
        // One client for everything over HTTP/1.1: building one reads the system's certificates.
        let client = http_client(&config.upstream.client, HttpVersion::Http1, config.upstream.create_timeout)
            .map_err(upstream_error)?;
        let tokens = tokens(config, client.clone(), &metrics);
        let platform = platform(config, client.clone(), tokens.clone(), &metrics).map_err(upstream_error)?;
        let upstream = platform.states();
        let hubspot_url = config.upstream.hubspot_url.as_ref();
        let hubspot =
            hubspot_url.map(|url| Arc::new(HubSpot::new(client.clone(), url, metrics.upstream.clone())));
        let tls_config = config.callers.tls.as_ref();
        let tls = tls_config.map(ServerTls::load).transpose().map_err(StartError::Tls)?;
        let CallersConfig { jwt, allowed, .. } = &config.callers;
        let token_check = jwt.as_ref().map(|jwt| Arc::new(TokenCheck::new(jwt, client, metrics.clone())));
        let keys = token_check.as_ref().map(|tokens| tokens.keys.clone());
        let callers = CallerCheck {
            tokens: token_check,
            certificates: tls_config.is_some_and(|tls| tls.client_ca_file.is_some()),
            allowed: allowed.clone().map(Arc::new),
            metrics: metrics.clone(),
        };
        let background = Background::default();
        let retention = Retention {
            request_id: config.idempotency.request_id_ttl,
            create_timeout: config.upstream.create_timeout,
            settle_window: config.idempotency.settle_window,
            lease: LEASE,
        };
        let store = store(&config.idempotency, &config.adobe.org_id, retention)?;
        let fingerprint_keys = FollowedKeys::read(config.idempotency.fingerprint_keys.clone());
        let fingerprint_keys =
            fingerprint_keys.map_err(|cause| StartError::Other("use HCS_FINGERPRINT_KEY", cause))?;
        let engine = Engine {
            store: Arc::clone(&store),
            // The others of those that may be in progress have their error at once, while the store is away.
            waiting: Waiting::new(config.max_in_flight.get().div_ceil(2)),
            fingerprint_keys: fingerprint_keys.keys(),
            retention,
            recovery: config.idempotency.recovery,
            wall_clock,
            background: background.clone(),
            metrics: metrics.creations.clone(),
        };
        let platform = Arc::new(platform);
        let service =
            Service::new(Arc::clone(&platform), engine.clone(), config.max_in_flight).asking(hubspot.clone());
        let dataflows =
            Dataflows::new(platform, engine, service.limits(), metrics.dataflow_runs_read.clone());
        let spec_has_drifted = service.spec_has_drifted();
        let health = Health::new(&[grpc::SERVICE_NAME, grpc::DATAFLOW_SERVICE_NAME]).await;
        let shutdown = Shutdown::default();
        let options = grpc::Options {
            sandboxes: config.sandboxes.clone(),
            request_timeout: config.request_timeout,
            reflection: config.reflection,
            callers,
            metrics: metrics.clone(),
        };
        let handler =
            grpc::handler(service, dataflows, health.grpc_service(), options, shutdown.drain.clone());
        let readiness = Readiness { keys: keys.clone(), tokens: tokens.clone(), needs: config.needs() };
        let following = [
            tls.clone().map(|tls| tokio::spawn(tls.follow(metrics.clone()))),
            keys.map(|keys| tokio::spawn(keys.follow())),
            Some(tokio::spawn(fingerprint_keys.follow())),
            Some(tokio::spawn(store::keep_checking(Arc::clone(&store)))),
        ];
        Ok(Self {
            grpc,
            admin,
            observed: Observed {
                health,
                readiness,
                metrics: metrics.clone(),
                store,
                spec_has_drifted,
                upstream,
                hubspot,
                tokens,
                tls: tls.clone(),
            },
            serving: Serving {
                handler,
                tls,
                max_age: config.max_connection_age,
                // No call lasts longer, so the age of its connection cuts none.
                grace: config.request_timeout,
                shutdown,
                metrics,
            },
            background,
            drain: config.drain.clone(),
            _following: following.into_iter().flatten().map(AbortOnDropHandle::new).collect(),
        })
    }

    /// # Errors
    /// Those of the operating system.
    pub fn grpc_address(&self) -> io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// # Errors
    /// Those of the operating system.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop` resolves. Then drains: reports NOT_SERVING and ends connections while it still accepts,
    /// stops accepting, finishes running calls and creations, and cuts what is left at the timeout.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Drained {
        let Self { grpc, admin, serving, observed, background, drain, _following } = self;
        let Observed { health, readiness, metrics, .. } = observed.clone();
        let shutdown = serving.shutdown.clone();
        // Before the first call is accepted, so that no probe sees an ordinary start as not ready.
        let is_ready = readiness.reached_by_an_ordinary_start().await;
        health.set_serving(is_ready).await;
        let mut serving = tokio::spawn(server::serve(grpc, serving));
        // Until the process ends: probes and people need it during the drain, too.
        let _admin = AbortOnDropHandle::new(tokio::spawn(admin::serve(admin, observed)));

        let becoming_ready = async {
            if !is_ready {
                let waiting_for = readiness.missing().join("; ");
                tracing::warn!(waiting_for, "not ready: NOT_SERVING until it is available");
                readiness.reached().await;
                health.set_serving(true).await;
                tracing::info!("ready: SERVING from now on");
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            () = stop => {}
            () = becoming_ready => {}
        }
        tracing::info!(delay = ?drain.delay, "stopping: NOT_SERVING, still accepting");
        health.set_serving(false).await;
        shutdown.goaway.cancel();
        tokio::time::sleep(drain.delay).await;

        tracing::info!(timeout = ?drain.timeout, "stopping: finishing the calls under way");
        shutdown.drain.cancel();
        let finished = async {
            // Calls that only wait stop waiting. One that is still being received may start a creation, so the last
            // creation ends after the last call.
            let (_, ()) = tokio::join!(&mut serving, background.drain());
            background.drain().await;
        };
        tokio::pin!(finished);
        let drained = match timeout(drain.timeout, &mut finished).await {
            Ok(()) => Drained::Completely,
            Err(_) => {
                tracing::warn!(
                    creations = metrics.creations.running(),
                    background_tasks = background.tasks(),
                    "the drain timeout has passed: cutting what is left"
                );
                shutdown.kill.cancel();
                background.kill();
                // For the log lines, metrics and spans of what was cut.
                let _ = timeout(ABORT_TIMEOUT, finished).await;
                Drained::TimedOut
            }
        };
        tracing::info!(?drained, "stopped");
        drained
    }
}

async fn listen(variable: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { variable, address, source })
}

fn store(
    config: &IdempotencyConfig,
    org_id: &str,
    retention: Retention,
) -> Result<Arc<dyn Store>, StartError> {
    let Some(url) = &config.redis_url else {
        let store = MemoryStore::new(retention, store::CAPACITY);
        // Redis logs its weaknesses after its first connection.
        store::log_weaknesses(&[], &store.weaknesses());
        return Ok(Arc::new(store));
    };
    let store = RedisStore::connect(url.clone(), org_id, retention);
    let store = store
        .map_err(|error| StartError::Other("build the client for Redis (HCS_REDIS_URL)", error.into()))?;
    Ok(Arc::new(store.with_tls(config.redis_tls.clone())))
}

fn tokens(config: &Config, client: Client, metrics: &Metrics) -> TokenSource {
    let Config { adobe, upstream, .. } = config;
    let counted = metrics.token.clone();
    match &adobe.credential {
        AdobeCredential::ClientSecret(client_secret) => {
            let ims = Ims {
                client,
                url: upstream.ims_url.clone(),
                client_id: adobe.client_id.clone(),
                client_secret: client_secret.clone(),
                scope: adobe.scopes.join(","),
                timeout: upstream.attempt_timeout,
                metrics: metrics.upstream.clone(),
            };
            TokenSource::start_counted(ims, counted)
        }
        AdobeCredential::AccessToken(token) => TokenSource::start_counted(ReadyToken(token.clone()), counted),
    }
}

fn platform(
    config: &Config,
    http1_client: Client,
    tokens: TokenSource,
    metrics: &Metrics,
) -> Result<HttpPlatform, Cause> {
    let Config { adobe, upstream, .. } = config;
    let client = match upstream.http {
        HttpVersion::Http1 => http1_client,
        HttpVersion::Http2 => http_client(&upstream.client, HttpVersion::Http2, upstream.create_timeout)?,
    };
    let identity = Identity { org_id: &adobe.org_id, client_id: &adobe.client_id };
    let timeouts = Timeouts { create: upstream.create_timeout, attempt: upstream.attempt_timeout };
    let base = &upstream.flow_service_url;
    let platform = &upstream.platform_url;
    HttpPlatform::new(client, base, platform, identity, tokens, timeouts, metrics.upstream.clone())
}
