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
        NewConnection, RequestId, SandboxName, TestReport, Verification,
    },
    emulator::{spec, store as emulator},
    idempotency::{CAPACITY, FingerprintKeys, LEASE, MemoryStore, Retention},
    service::{Background, CreateHubSpotConnection, Created, Error, Failure, Parts, Service},
};
use tokio::time::{Instant, error::Elapsed, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{port::Port, records::Records};

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
    Get,
    Test,
    Delete,
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
            Self::List | Self::Get | Self::Test => &[Fault::ReadFails, Fault::DeathBefore, Fault::DeathAfter],
            Self::Delete => &[
                Fault::NotSent,
                Fault::LostBeforeCommit,
                Fault::LostAfterCommit,
                Fault::DeathBefore,
                Fault::DeathAfter,
            ],
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
    pub(super) ledger: Mutex<emulator::Store>,
    /// The state of a connection straight after its creation.
    initial_state: Mutex<&'static str>,
    /// Whether connections work.
    pub(super) works: bool,
    pub(super) verification: Verification,
    made: Mutex<Vec<(RequestId, ConnectionId)>>,
    pub(super) records: MemoryStore,
    script: BTreeMap<usize, Fault>,
    steps: Mutex<Vec<(Instant, usize, StepKind)>>,
    pub(super) index_lag: Duration,
    replicas: Mutex<HashMap<usize, Arc<Replica>>>,
    began: Instant,
}

impl World {
    pub(super) fn new(
        script: BTreeMap<usize, Fault>,
        index_lag: Duration,
        verification: Verification,
        works: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            ledger: Mutex::default(),
            initial_state: Mutex::new("enabled"),
            works,
            verification,
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

    /// The connections that there are.
    pub(super) fn ledger(&self) -> Vec<String> {
        self.ledger.lock().unwrap().ledger().into_iter().map(|connection| connection.id).collect()
    }

    /// Makes connections begin in another state than `enabled`.
    pub(super) fn begin_in(&self, state: &'static str) {
        *self.initial_state.lock().unwrap() = state;
    }

    /// Changes the state of every connection that there is.
    pub(super) fn set_state(&self, state: &str) {
        for id in self.ledger() {
            self.ledger.lock().unwrap().set_state(&id, state);
        }
    }

    /// Deletes every connection, as somebody else would.
    pub(super) fn clear(&self) {
        *self.ledger.lock().unwrap() = emulator::Store::default();
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

    pub(super) fn commit(&self, connection: &NewConnection, request_id: RequestId) -> CreatedConnection {
        let mut ledger = self.ledger.lock().unwrap();
        let new = emulator::NewConnection {
            name: connection.name.as_str().to_owned(),
            description: None,
            spec: &spec::HUBSPOT,
            params: BTreeMap::new(),
            client: "demo-client".to_owned(),
        };
        let made = ledger.create(&tenant(&connection.sandbox), new, *self.initial_state.lock().unwrap());
        let created = CreatedConnection {
            id: ConnectionId::parse(&made.id).unwrap(),
            etag: Etag::parse(&made.etag).unwrap(),
        };
        self.made.lock().unwrap().push((request_id, created.id.clone()));
        created
    }
}

pub(super) fn tenant(sandbox: &SandboxName) -> emulator::Tenant {
    emulator::Tenant { org: "ORG@AdobeOrg".to_owned(), sandbox: sandbox.as_str().to_owned() }
}

/// A process that serves calls until it dies.
pub(super) struct Replica {
    service: Service<Port>,
    process: Process,
}

/// What makes a process die.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) world: Arc<World>,
    number: usize,
    background: Background,
    dead: CancellationToken,
}

impl Process {
    /// Takes a step: tells the fault that strikes it, and never returns where that is death.
    pub(super) async fn step(&self, kind: StepKind) -> Option<Fault> {
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

    pub(super) async fn die(&self) {
        self.dead.cancel();
        self.background.kill();
        std::future::pending().await
    }
}

/// What a caller is left with.
pub(super) enum Answer {
    Created(RequestId, ConnectionId),
    /// It was created, did not work, and was deleted again.
    Rejected(RequestId),
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
    pub(super) async fn send(
        &self,
        request_id: Option<RequestId>,
        deadline: Instant,
        progress: &CallProgress,
    ) -> Result<Result<Created, Error>, Elapsed> {
        let command = CreateHubSpotConnection {
            request_id,
            connection: connection(),
            verification: self.process.world.verification,
        };
        timeout_at(deadline, self.service.create_hubspot_connection(command, deadline, progress)).await
    }

    /// The same, by a caller that knows what to do with each answer.
    pub(super) async fn create(&self, request_id: Option<RequestId>, deadline: Instant) -> Answer {
        let progress = CallProgress::default();
        let answer = tokio::select! {
            answer = self.send(request_id, deadline, &progress) => answer,
            () = self.process.dead.cancelled() => return Answer::Repeat,
        };
        match answer {
            Ok(Ok(created)) => {
                let test = created.test.as_ref().map(TestReport::passed);
                // A report can also say that nothing is known.
                assert!(test != Some(true) || self.process.world.works);
                assert_eq!(test.is_some(), self.process.world.verification != Verification::None);
                Answer::Created(created.request_id, created.connection.id)
            }
            Ok(Err(error)) => match &*error.failure {
                Failure::OutcomeUnknown { .. } | Failure::Crashed | Failure::VerificationPending { .. } => {
                    Answer::RepeatWith(error.request_id)
                }
                Failure::VerificationFailed { left_behind: None, .. } => Answer::Rejected(error.request_id),
                Failure::VerificationFailed { left_behind: Some(_), .. } => {
                    Answer::RepeatWith(error.request_id)
                }
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
