//! A replica of the service, with its responses translated into the model.

use std::{cell::Cell, sync::Arc};

use hubspot_connection_service::{
    domain::{
        CallProgress, Credential, Description, HubSpotCredentials, NewConnection, RequestId, ResourceName,
        SandboxName, TestReport, Verification,
    },
    exactly_once::{Engine, FingerprintKeys, Recovery, SearchFirst, Waiting},
    metrics::{CreationMetrics, RunsRead},
    service::{
        CreateHubSpotConnection, Created, Error, Failure, Service, VerificationError, dataflows::Dataflows,
    },
};
use tokio::time::{Instant, error::Elapsed, timeout_at};

use super::{
    callers::Response,
    ledger::{CLIENT_ID, DESCRIPTION, NAME},
    port::Port,
    records::{RETENTION, Records},
    world::{Process, World},
};

/// The request of a caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) request_id: Option<RequestId>,
    pub(super) sandbox: &'static str,
    pub(super) access_token: &'static str,
}

impl Request {
    pub(super) fn of(request_id: Option<RequestId>) -> Self {
        Self { request_id, sandbox: "prod", access_token: "first" }
    }

    fn connection(&self) -> NewConnection {
        let credential = |value| Credential::parse(value).unwrap();
        NewConnection {
            sandbox: SandboxName::parse(self.sandbox).unwrap(),
            name: ResourceName::parse(NAME).unwrap(),
            description: Description::parse(DESCRIPTION).unwrap(),
            credentials: HubSpotCredentials {
                client_id: credential(CLIENT_ID),
                client_secret: credential("x"),
                access_token: credential(self.access_token),
                refresh_token: credential("x"),
            },
        }
    }
}

/// The fingerprint keys of all replicas.
#[derive(Clone)]
pub(super) struct Keys(FingerprintKeys);

const OLD: [u8; 32] = [7; 32];
const NEW: [u8; 32] = [8; 32];

impl Keys {
    pub(super) fn new() -> Self {
        Self(FingerprintKeys::new(&OLD, None))
    }

    /// `old,new`: the new key is known.
    pub(super) fn add_the_new(&self) {
        self.0.replace(&FingerprintKeys::new(&OLD, Some(&NEW)));
    }

    /// `new,old`: the new key is used.
    pub(super) fn use_the_new(&self) {
        self.0.replace(&FingerprintKeys::new(&NEW, Some(&OLD)));
    }

    /// `new`: the old key is gone.
    pub(super) fn remove_the_old(&self) {
        self.0.replace(&FingerprintKeys::new(&NEW, None));
    }
}

thread_local! {
    /// A reading of the wall clock, and its time.
    static WALL_CLOCK: Cell<Option<(i64, Instant)>> = const { Cell::new(None) };
}

/// Sets the wall clock of all replicas, which advances by tokio's clock.
pub(super) fn set_wall_clock(now_ms: i64) {
    WALL_CLOCK.set(Some((now_ms, Instant::now())));
}

fn wall_clock() -> i64 {
    let (then_ms, then) = WALL_CLOCK.get().unwrap();
    then_ms + i64::try_from(then.elapsed().as_millis()).unwrap()
}

/// A process that serves calls until it dies.
pub(super) struct Replica {
    service: Service<Port>,
    dataflows: Dataflows<Port>,
    process: Process,
}

impl Replica {
    pub(super) fn start(world: &Arc<World>, number: usize) -> Arc<Self> {
        let process = Process::start(world, number);
        let engine = || Engine {
            store: Arc::new(Records(process.clone())),
            waiting: Waiting::new(100),
            fingerprint_keys: world.keys.0.clone(),
            retention: RETENTION,
            recovery: Recovery { references: true, search_first: SearchFirst::Auto },
            wall_clock,
            background: process.background.clone(),
            metrics: CreationMetrics::default(),
        };
        let service = Service::new(Port(process.clone()), engine(), 100.try_into().unwrap());
        let dataflows =
            Dataflows::new(Arc::new(Port(process.clone())), engine(), service.limits(), RunsRead::default());
        Arc::new(Self { service, dataflows, process })
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    pub(super) fn dataflows(&self) -> &Dataflows<Port> {
        &self.dataflows
    }

    /// One call, by a caller that disconnects at its deadline.
    pub(super) async fn send(
        &self,
        request: Request,
        deadline: Instant,
        progress: &CallProgress,
    ) -> Result<Result<Created, Error>, Elapsed> {
        let command = CreateHubSpotConnection {
            request_id: request.request_id,
            connection: request.connection(),
            verification: self.process.world.setting.verification,
        };
        timeout_at(deadline, self.service.create_hubspot_connection(command, deadline, progress)).await
    }

    /// The same, translated into the model, with the creation that the response is about.
    pub(super) async fn create(&self, request: Request, deadline: Instant) -> (Option<RequestId>, Response) {
        let progress = CallProgress::default();
        let response = tokio::select! {
            biased;
            () = self.process.dead.cancelled() => return (request.request_id, Response::Nothing),
            response = self.send(request, deadline, &progress) => response,
        };
        match response {
            Ok(Ok(created)) => {
                let test = created.test.as_ref().map(TestReport::passed);
                let setting = &self.process.world.setting;
                // A report can also be undecided.
                assert!(test != Some(true) || setting.works);
                assert_eq!(test.is_some(), setting.verification != Verification::None);
                (Some(created.request_id), Response::Created(created.connection.id.as_str().to_owned()))
            }
            Ok(Err(error)) => (Some(error.request_id), in_words(&error.failure)),
            Err(_) => match progress.creation() {
                Some(creation) if creation.may_exist() => (Some(creation.request_id()), Response::MayExist),
                Some(creation) => (Some(creation.request_id()), nothing_created("deadline")),
                None => (request.request_id, nothing_created("deadline")),
            },
        }
    }
}

fn nothing_created(why: &'static str) -> Response {
    Response::NothingCreated { why, retry_after: None }
}

/// The response for a failure, according to the gRPC layer.
fn in_words(failure: &Failure) -> Response {
    match failure {
        Failure::OutcomeUnknown { .. }
        | Failure::Crashed
        | Failure::Operation(VerificationError::Pending { .. }) => Response::MayExist,
        Failure::Operation(VerificationError::Failed { left_behind: None, .. }) => Response::Rejected,
        Failure::Operation(VerificationError::Failed { left_behind: Some(id), .. }) => {
            Response::LeftBehind(id.as_str().to_owned())
        }
        Failure::RequestIdReused { .. } => Response::OtherContent,
        Failure::RecordUnreadable { .. } => Response::Unreadable,
        Failure::Ambiguous(_) => Response::Ambiguous,
        Failure::RequestInProgress { retry_after } => Response::InProgress { retry_after: *retry_after },
        Failure::NotCreated { may_exist: false, .. } => nothing_created("refused"),
        // It contains no information about the outcome.
        Failure::Store { may_exist: true, .. }
        | Failure::TooMany { may_exist: true }
        | Failure::Abandoned { may_exist: true }
        | Failure::NotCreated { may_exist: true, .. }
        | Failure::NotSearched(_) => Response::Nothing,
        Failure::Store { may_exist: false, .. } => nothing_created("store"),
        Failure::Abandoned { may_exist: false } => nothing_created("abandoned"),
        Failure::TooMany { may_exist: false } => nothing_created("too many"),
        Failure::Operation(VerificationError::Refused(_)) => panic!("HubSpot is not asked: {failure:?}"),
        Failure::Withdrawn | Failure::Undoing { .. } | Failure::LeftBehind { .. } => {
            panic!("nothing is prepared for a connection: {failure:?}")
        }
    }
}
