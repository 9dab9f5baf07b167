//! The process: the only file that knows every part.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};

use axum::Router;
use tokio::{net::TcpListener, time::timeout};

use crate::{
    admin,
    config::{
        AdobeConfig, AdobeCredential, Config, DrainConfig, IdempotencyConfig, UpstreamConfig, UpstreamHttp,
    },
    flow_service::{
        Cause, HttpFlowService, Identity, Ims, ReadyToken, Timeouts, TokenSource, upstream_client,
    },
    grpc,
    health::Health,
    idempotency::{self, MemoryStore, RedisStore, Store},
    server::{self, Lifetimes, Shutdown},
    service::{Background, Parts, Service},
};

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be opened.
    #[error("cannot listen on {address} ({variable})")]
    Listen {
        /// The variable that names the address.
        variable: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The HTTP client towards Adobe cannot be built.
    #[error("cannot build the HTTP client for Adobe")]
    Upstream(#[source] Cause),
    /// The client of the idempotency store cannot be built.
    #[error("cannot build the client for Redis (HCS_REDIS_URL)")]
    Store(#[source] Cause),
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every call was finished.
    Completely,
    /// Calls were left when the time for it was over.
    TimedOut,
}

/// The process with its ports open, not yet serving.
pub struct App {
    grpc: TcpListener,
    admin: TcpListener,
    router: Router,
    shutdown: Shutdown,
    health: Health,
    store: Arc<dyn Store>,
    spec_has_drifted: Arc<AtomicBool>,
    background: Background,
    lifetimes: Lifetimes,
    drain: DrainConfig,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("grpc", &self.grpc).field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl App {
    /// Opens the ports and builds what serves them. Adobe does not have to be there.
    ///
    /// # Errors
    /// [`StartError`] says what has to be changed.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let grpc = listen("HCS_LISTEN", config.listen).await?;
        let admin = listen("HCS_ADMIN_LISTEN", config.admin_listen).await?;
        Self::on(grpc, admin, config).await
    }

    /// The same on ports that are open already; the addresses of the configuration do not count.
    ///
    /// # Errors
    /// [`StartError::Upstream`].
    pub async fn on(grpc: TcpListener, admin: TcpListener, config: &Config) -> Result<Self, StartError> {
        let flow_service = flow_service(&config.adobe, &config.upstream).map_err(StartError::Upstream)?;
        let background = Background::default();
        let store = store(&config.idempotency, &config.adobe.org_id)?;
        let service = Service::new(
            Parts {
                flow_service,
                store: Arc::clone(&store),
                fingerprint_keys: config.idempotency.fingerprint_keys.clone(),
                retention: config.idempotency.retention,
                background: background.clone(),
            },
            config.max_in_flight,
        );
        let spec_has_drifted = service.spec_has_drifted();
        let health = Health::new().await;
        let shutdown = Shutdown::default();
        let options = grpc::Options {
            sandboxes: config.sandboxes.clone(),
            request_timeout: config.request_timeout,
            max_in_flight: config.max_in_flight,
            reflection: config.reflection,
        };
        Ok(Self {
            grpc,
            admin,
            router: grpc::router(service, health.grpc_service(), options, shutdown.drain.clone()),
            shutdown,
            health,
            store,
            spec_has_drifted,
            background,
            // No call lives longer than the request timeout: none is cut for its connection's age.
            lifetimes: Lifetimes { max_age: config.max_connection_age, grace: config.request_timeout },
            drain: config.drain.clone(),
        })
    }

    /// The address of the gRPC port.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn grpc_address(&self) -> io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// The address of the admin port.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop` resolves, then drains: says NOT_SERVING while it still accepts, for
    /// whoever sends calls to notice; stops accepting; finishes what is under way; and ends what is
    /// left when the time is over.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Drained {
        let Self {
            grpc,
            admin,
            router,
            shutdown,
            health,
            store,
            spec_has_drifted,
            background,
            lifetimes,
            drain,
        } = self;
        // Before the first call is accepted, so that no probe ever finds a start that is not ready.
        health.serving().await;
        let mut serving = tokio::spawn(server::serve(grpc, router, lifetimes, shutdown.clone()));
        // Until the process ends: probes and people ask while it drains, too.
        let admin_router = admin::router(&health, store, spec_has_drifted);
        let admin = tokio::spawn(axum::serve(admin, admin_router).into_future());

        stop.await;
        tracing::info!(delay = ?drain.delay, "stopping: NOT_SERVING, still accepting");
        health.not_serving().await;
        tokio::time::sleep(drain.delay).await;

        tracing::info!(timeout = ?drain.timeout, "stopping: finishing the calls under way");
        shutdown.drain.cancel();
        let finished = async {
            // Calls that only wait are told to stop. One that is still being received may start a
            // creation, so the last creation ends after the last call.
            let (_, ()) = tokio::join!(&mut serving, background.drain());
            background.drain().await;
        };
        let drained = match timeout(drain.timeout, finished).await {
            Ok(()) => Drained::Completely,
            Err(_) => {
                tracing::warn!(
                    creations = background.len(),
                    "the time for finishing is over: ending what is left"
                );
                shutdown.kill.cancel();
                background.kill();
                Drained::TimedOut
            }
        };
        admin.abort();
        tracing::info!(?drained, "stopped");
        drained
    }
}

async fn listen(variable: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { variable, address, source })
}

fn store(config: &IdempotencyConfig, org_id: &str) -> Result<Arc<dyn Store>, StartError> {
    let Some(url) = &config.redis_url else {
        tracing::warn!(
            "request ids are remembered in memory: a restart forgets them, and other replicas do not know \
             them; set HCS_REDIS_URL for a promise that reaches further"
        );
        return Ok(Arc::new(MemoryStore::new(config.retention, idempotency::CAPACITY)));
    };
    let connect =
        || -> Result<RedisStore, Cause> { Ok(RedisStore::connect(url.read()?, org_id, config.retention)?) };
    Ok(Arc::new(connect().map_err(StartError::Store)?))
}

fn flow_service(adobe: &AdobeConfig, upstream: &UpstreamConfig) -> Result<HttpFlowService, Cause> {
    let ims_client = upstream_client(upstream, UpstreamHttp::Http1)?;
    // One client for both where they agree: building one reads the platform's certificates.
    let client = match upstream.http {
        UpstreamHttp::Http1 => ims_client.clone(),
        UpstreamHttp::Http2 => upstream_client(upstream, UpstreamHttp::Http2)?,
    };
    let tokens = match &adobe.credential {
        AdobeCredential::ClientSecret(client_secret) => TokenSource::start(Ims {
            client: ims_client,
            url: upstream.ims_url.clone(),
            client_id: adobe.client_id.clone(),
            client_secret: client_secret.clone(),
            scope: adobe.scopes.join(","),
            timeout: upstream.attempt_timeout,
        }),
        AdobeCredential::AccessToken(token) => TokenSource::start(ReadyToken(token.clone())),
    };
    let identity = Identity { org_id: &adobe.org_id, client_id: &adobe.client_id };
    let timeouts = Timeouts { create: upstream.create_timeout, attempt: upstream.attempt_timeout };
    HttpFlowService::new(client, &upstream.flow_service_url, identity, tokens, timeouts)
}
