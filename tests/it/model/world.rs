//! The world around the use case: a Flow Service and a store in which every step can fail, and
//! replicas that can die.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use hubspot_connection_service::{
    domain::{
        CallProgress, ConnectionId, ConnectionName, CreatedConnection, Credential, Etag, HubSpotCredentials,
        NewConnection, Progress, RequestId, SandboxName,
    },
    emulator::{spec, store as emulator},
    flow_service::{
        ConnectionPage, ConnectionSummary, CreateError, FlowService, PageToken, Problem, ReadError,
    },
    idempotency::{
        CAPACITY, Claim, FingerprintKeys, Key, LEASE, Lease, MemoryStore, Recorded, Retention, Store,
        StoreError,
    },
    service::{Background, CreateHubSpotConnection, Failure, Parts, Service},
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

pub(super) const RETENTION: Retention = Retention {
    request_id: Duration::from_secs(86_400),
    settle_window: Duration::from_secs(90),
    lease: LEASE,
};

/// What can fail in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The request is not sent.
    NotSent,
    /// The request is refused for its rate.
    Throttled,
    /// The request is refused for its token.
    TokenRefused,
    /// The answer is lost, and so was the request.
    LostBeforeCommit,
    /// The answer is lost.
    LostAfterCommit,
    /// The answer is lost, and the request arrives so many seconds later.
    LateCommit(u64),
    /// The answer is lost so many seconds after it was carried out.
    LostSlowly(u64),
    /// The answer takes so many milliseconds.
    SlowAnswer(u64),
    /// Nothing can be read.
    ReadFails,
    /// The store is down.
    StoreDown,
    /// The store does it, and its answer is lost.
    StoreAnswerLost,
    /// The store seems to be down, and does it a second later.
    StoreLate,
    /// The process dies before the step.
    DeathBefore,
    /// The process dies after the step, before it has the answer.
    DeathAfter,
}

impl Fault {
    pub(super) fn kills(self) -> bool {
        matches!(self, Self::DeathBefore | Self::DeathAfter)
    }
}

/// A call of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    Pass,
    Create,
    List,
    Store(&'static str),
}

impl StepKind {
    /// The faults that can strike it.
    pub(super) fn faults(self) -> &'static [Fault] {
        match self {
            Self::Pass => &[Fault::NotSent, Fault::DeathBefore],
            Self::Create => &[
                Fault::NotSent,
                Fault::Throttled,
                Fault::TokenRefused,
                Fault::LostBeforeCommit,
                Fault::LostAfterCommit,
                Fault::LateCommit(1),
                Fault::LateCommit(30),
                Fault::LateCommit(84),
                Fault::LostSlowly(60),
                // Between a caller's deadline and its next call, and beyond both.
                Fault::SlowAnswer(20_400),
                Fault::SlowAnswer(30_000),
                Fault::DeathBefore,
                Fault::DeathAfter,
            ],
            Self::List => &[Fault::ReadFails, Fault::DeathBefore, Fault::DeathAfter],
            Self::Store(_) => &[
                Fault::StoreDown,
                Fault::StoreAnswerLost,
                Fault::StoreLate,
                Fault::DeathBefore,
                Fault::DeathAfter,
            ],
        }
    }
}

/// Everything outside of the replicas, and the replicas.
pub(super) struct World {
    ledger: Mutex<emulator::Store>,
    made: Mutex<Vec<(RequestId, ConnectionId)>>,
    records: MemoryStore,
    script: BTreeMap<usize, Fault>,
    steps: Mutex<Vec<(Instant, usize, StepKind)>>,
    index_lag: Duration,
    replicas: Mutex<HashMap<usize, Arc<Replica>>>,
    began: Instant,
}

impl World {
    pub(super) fn new(script: BTreeMap<usize, Fault>, index_lag: Duration) -> Arc<Self> {
        Arc::new(Self {
            ledger: Mutex::default(),
            made: Mutex::default(),
            records: MemoryStore::new(RETENTION, CAPACITY),
            script,
            steps: Mutex::default(),
            index_lag,
            replicas: Mutex::default(),
            began: Instant::now(),
        })
    }

    /// The replica of this number: a new process where the last one has died.
    pub(super) fn replica(self: &Arc<Self>, number: usize) -> Arc<Replica> {
        let mut replicas = self.replicas.lock().unwrap();
        let replica = replicas.entry(number).or_insert_with(|| Replica::start(self, number));
        if replica.process.dead.is_cancelled() {
            *replica = Replica::start(self, number);
        }
        Arc::clone(replica)
    }

    /// The connections that were made, with the requests that made them.
    pub(super) fn made(&self) -> Vec<(RequestId, ConnectionId)> {
        self.made.lock().unwrap().clone()
    }

    pub(super) fn steps(&self) -> Vec<StepKind> {
        self.steps.lock().unwrap().iter().map(|(_, _, kind)| *kind).collect()
    }

    /// What happened, for a person.
    pub(super) fn trace(&self) -> String {
        let mut trace = String::new();
        for (index, (at, replica, kind)) in self.steps.lock().unwrap().iter().enumerate() {
            let fault = self.script.get(&index).map(|fault| format!(" ✗ {fault:?}")).unwrap_or_default();
            let _ =
                writeln!(trace, "{index:4} {:>9.3?} replica {replica}: {kind:?}{fault}", *at - self.began);
        }
        trace
    }

    fn commit(&self, connection: &NewConnection, request_id: RequestId) -> CreatedConnection {
        let mut ledger = self.ledger.lock().unwrap();
        let new = emulator::NewConnection {
            name: connection.name.as_str().to_owned(),
            description: None,
            spec: &spec::HUBSPOT,
            params: BTreeMap::new(),
            client: "demo-client".to_owned(),
        };
        let made = ledger.create(&tenant(&connection.sandbox), new, "enabled");
        let created = CreatedConnection {
            id: ConnectionId::parse(&made.id).unwrap(),
            etag: Etag::parse(&made.etag).unwrap(),
        };
        self.made.lock().unwrap().push((request_id, created.id.clone()));
        created
    }
}

fn tenant(sandbox: &SandboxName) -> emulator::Tenant {
    emulator::Tenant { org: "ORG@AdobeOrg".to_owned(), sandbox: sandbox.as_str().to_owned() }
}

/// A process that serves calls until it dies.
pub(super) struct Replica {
    service: Service<Port>,
    process: Process,
}

/// What makes a process die.
#[derive(Clone)]
struct Process {
    world: Arc<World>,
    number: usize,
    background: Background,
    dead: CancellationToken,
}

impl Process {
    /// Takes a step: tells the fault that strikes it, and never returns where that is death.
    async fn step(&self, kind: StepKind) -> Option<Fault> {
        let fault = {
            let mut steps = self.world.steps.lock().unwrap();
            steps.push((Instant::now(), self.number, kind));
            self.world.script.get(&(steps.len() - 1)).copied().filter(|fault| kind.faults().contains(fault))
        };
        if fault == Some(Fault::DeathBefore) {
            self.die().await;
        }
        fault
    }

    async fn die(&self) {
        self.dead.cancel();
        self.background.kill();
        std::future::pending().await
    }
}

/// What a caller is left with.
pub(super) enum Answer {
    Created(RequestId, ConnectionId),
    /// Nothing was created, or the caller knows the request id.
    Repeat,
    /// The error said to repeat the call with this request id.
    RepeatWith(RequestId),
}

impl Replica {
    fn start(world: &Arc<World>, number: usize) -> Arc<Self> {
        let background = Background::default();
        let dead = CancellationToken::new();
        let process = Process { world: Arc::clone(world), number, background: background.clone(), dead };
        let service = Service::new(
            Parts {
                flow_service: Port(process.clone()),
                store: Arc::new(Records(process.clone())),
                fingerprint_keys: FingerprintKeys::new(&[7; 32], None),
                retention: RETENTION,
                background,
            },
            100.try_into().unwrap(),
        );
        Arc::new(Self { service, process })
    }

    /// One call, by a caller that leaves at its deadline.
    pub(super) async fn create(&self, request_id: Option<RequestId>, deadline: Instant) -> Answer {
        let progress = CallProgress::default();
        let command = CreateHubSpotConnection { request_id, connection: connection() };
        let call = self.service.create_hubspot_connection(command, deadline, &progress);
        let answer = tokio::select! {
            answer = timeout_at(deadline, call) => answer,
            () = self.process.dead.cancelled() => return Answer::Repeat,
        };
        match answer {
            Ok(Ok(created)) => Answer::Created(created.request_id, created.connection.id),
            Ok(Err(error)) => match &*error.failure {
                Failure::OutcomeUnknown { .. } | Failure::Crashed => Answer::RepeatWith(error.request_id),
                Failure::RequestIdReused | Failure::Ambiguous(_) => {
                    panic!("{error:?} {:?}\n{}", self.process.world.script, self.process.world.trace())
                }
                Failure::NotCreated(_)
                | Failure::RequestInProgress { .. }
                | Failure::NameInProgress { .. }
                | Failure::TooMany
                | Failure::Store(_)
                | Failure::Abandoned => Answer::Repeat,
            },
            Err(_) => match progress.creation() {
                Some(creation) if creation.may_exist() => Answer::RepeatWith(creation.request_id()),
                _ => Answer::Repeat,
            },
        }
    }
}

fn connection() -> NewConnection {
    let credential = || Credential::parse("x").unwrap();
    NewConnection {
        sandbox: SandboxName::parse("prod").unwrap(),
        name: ConnectionName::parse("HubSpot").unwrap(),
        description: None,
        credentials: HubSpotCredentials {
            client_id: credential(),
            client_secret: credential(),
            access_token: credential(),
            refresh_token: credential(),
        },
    }
}

/// The Flow Service as a replica sees it.
struct Port(Process);

impl FlowService for Port {
    type Pass = ();

    async fn pass(&self, _: Instant) -> Result<(), CreateError> {
        match self.0.step(StepKind::Pass).await {
            Some(_) => Err(CreateError::Unreachable("no token".into())),
            None => Ok(()),
        }
    }

    fn retry_in(&self, attempt: u32, _: Option<Duration>, _: Instant) -> Option<Duration> {
        (attempt < 2).then_some(Duration::from_millis(300))
    }

    async fn create_connection(
        &self,
        (): &(),
        connection: &NewConnection,
        send_by: Instant,
        progress: &Arc<Progress>,
    ) -> Result<CreatedConnection, CreateError> {
        let Self(process) = self;
        let request_id = progress.request_id();
        let lost = || CreateError::OutcomeUnknown { problem: None, cause: "lost".into() };
        let fault = process.step(StepKind::Create).await;
        assert!(Instant::now() < send_by);
        // The way there and back.
        sleep(Duration::from_millis(50)).await;
        match fault {
            Some(Fault::NotSent) => Err(CreateError::Unreachable("refused".into())),
            Some(Fault::Throttled) => Err(CreateError::Throttled { retry_after: None, problem: None }),
            Some(Fault::TokenRefused) => Err(CreateError::TokenRefused { problem: Problem::default() }),
            Some(Fault::LostBeforeCommit) => Err(lost()),
            Some(Fault::LateCommit(seconds)) => {
                let (world, connection) = (Arc::clone(&process.world), connection.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    world.commit(&connection, request_id);
                });
                Err(lost())
            }
            Some(Fault::LostSlowly(seconds)) => {
                process.world.commit(connection, request_id);
                sleep(Duration::from_secs(seconds)).await;
                Err(lost())
            }
            Some(Fault::SlowAnswer(milliseconds)) => {
                let created = process.world.commit(connection, request_id);
                sleep(Duration::from_millis(milliseconds)).await;
                Ok(created)
            }
            Some(Fault::LostAfterCommit) => {
                process.world.commit(connection, request_id);
                Err(lost())
            }
            Some(Fault::DeathAfter) => {
                process.world.commit(connection, request_id);
                process.die().await;
                Err(lost())
            }
            _ => {
                let created = process.world.commit(connection, request_id);
                sleep(Duration::from_millis(50)).await;
                Ok(created)
            }
        }
    }

    async fn list_connections(
        &self,
        sandbox: &SandboxName,
        page: Option<&PageToken>,
        _: Instant,
    ) -> Result<ConnectionPage, ReadError> {
        assert!(page.is_none(), "there is one page");
        let Self(process) = self;
        match process.step(StepKind::List).await {
            Some(Fault::ReadFails) => {
                return Err(ReadError::Unavailable { problem: None, cause: "down".into() });
            }
            Some(Fault::DeathAfter) => process.die().await,
            _ => {}
        }
        let ledger = process.world.ledger.lock().unwrap();
        let all =
            ledger.list(&tenant(sandbox), &emulator::Query::default(), None, 100, process.world.index_lag);
        let connections = all.connections.into_iter().map(|connection| ConnectionSummary {
            id: ConnectionId::parse(&connection.id).unwrap(),
            etag: Etag::parse(&connection.etag).unwrap(),
            name: connection.content.name.clone(),
            description: None,
            created_at_ms: i64::try_from(connection.created_at_ms).unwrap(),
            created_client: Some("demo-client".to_owned()),
            hubspot_client_id: None,
        });
        Ok(ConnectionPage {
            connections: connections.collect(),
            unreadable: Vec::new(),
            next: None,
            server_time_ms: i64::try_from(ledger.now_ms()).unwrap(),
        })
    }
}

/// The store as a replica sees it.
struct Records(Process);

impl Records {
    async fn step<T>(
        &self,
        name: &'static str,
        step: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        let Self(process) = self;
        let down = || Err(StoreError::Unavailable(Arc::new(std::io::Error::other("down"))));
        match process.step(StepKind::Store(name)).await {
            Some(Fault::StoreDown) => down(),
            Some(Fault::StoreAnswerLost) => {
                let _ = step.await;
                down()
            }
            Some(Fault::StoreLate) => {
                tokio::spawn(async move {
                    sleep(Duration::from_secs(1)).await;
                    let _ = step.await;
                });
                down()
            }
            Some(Fault::DeathAfter) => {
                let _ = step.await;
                process.die().await;
                down()
            }
            _ => step.await,
        }
    }
}

#[async_trait::async_trait]
impl Store for Records {
    async fn claim(&self, lease: &Lease) -> Result<Claim, StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("claim", async move { world.records.claim(&lease).await }).await
    }

    /// Not a step: it happens all the time, and where it fails nothing is decided.
    async fn renew(&self, lease: &Lease) -> Result<(), StoreError> {
        self.0.world.records.renew(lease).await
    }

    async fn begin_sending(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("begin_sending", async move { world.records.begin_sending(&lease).await }).await
    }

    async fn not_created(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("not_created", async move { world.records.not_created(&lease).await }).await
    }

    async fn outcome_unknown(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("outcome_unknown", async move { world.records.outcome_unknown(&lease).await }).await
    }

    async fn done(
        &self,
        lease: &Lease,
        connection: &CreatedConnection,
        remember: bool,
    ) -> Result<Recorded, StoreError> {
        let (world, lease, connection) = (Arc::clone(&self.0.world), lease.clone(), connection.clone());
        self.step("done", async move { world.records.done(&lease, &connection, remember).await }).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("release", async move { world.records.release(&lease).await }).await
    }

    async fn abandon(&self, lease: &Lease) -> Result<(), StoreError> {
        let (world, lease) = (Arc::clone(&self.0.world), lease.clone());
        self.step("abandon", async move { world.records.abandon(&lease).await }).await
    }

    async fn outcomes_of_others(
        &self,
        key: &Key,
        connections: &[ConnectionId],
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let (world, key, connections) = (Arc::clone(&self.0.world), key.clone(), connections.to_vec());
        self.step(
            "outcomes_of_others",
            async move { world.records.outcomes_of_others(&key, &connections).await },
        )
        .await
    }
}
