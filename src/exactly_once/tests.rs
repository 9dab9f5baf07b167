//! What the engine does for an operation that prepares something and resends what it sent before.

mod failover;
mod kinds;
mod lost_begin;
mod preparation;
mod undo;
mod waiting;
mod withdrawal;

use std::{
    collections::VecDeque,
    future::pending,
    ops::ControlFlow,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    Background, Engine, Failure, FingerprintKeys, Kind, Recovery, SearchFirst, Waiting,
    creation::{Creation, Finished},
    engine::Creations,
    operation::{self, Earlier, ErrorOf, FailureOf, Operation, Undone, Unprepared},
    recognition::{Match, Reference},
    scope::Scope,
    store::{CAPACITY, LEASE, MemoryStore, Origin, Retention, Store},
};
use crate::{
    adobe::{CallError, Problem, Refusal},
    domain::{CallProgress, Description, Progress, RequestId, SandboxName, Stage},
    metrics::CreationMetrics,
};

/// What happens outside.
#[derive(Default)]
struct World {
    /// What prepare may do, what it was given, and the contexts that were sent and undone.
    scope: Option<Scope>,
    prepared_after: Vec<After>,
    sent: Vec<String>,
    undone: Vec<String>,
    /// What the preparation finds, why it fails, and what is undone then.
    found: Option<Thing>,
    problem: Option<&'static str>,
    to_undo: Option<&'static str>,
    /// How long the preparation takes. With `prepares_long` it lasts until the lease is lost.
    takes: Duration,
    prepares_long: bool,
    /// How many sendings are lost, and whether the others are refused.
    lost: usize,
    refuses: bool,
    /// The results of the next undos. After them everything is deleted; `None` lasts for ever.
    undos: VecDeque<Option<Undone<Thing>>>,
    /// What lists show, and the contexts that they were asked for.
    listed: Vec<Thing>,
    /// Whether what they show is recognized without a context as well.
    recognizes: bool,
    listed_for: Vec<Option<String>>,
}

/// What a preparation knew of earlier attempts.
#[derive(Debug, PartialEq)]
enum After {
    Nothing,
    Prepared(String),
    Undone(String),
}

/// Creates things, each of which keeps the context of its sending.
struct CreateThing {
    world: Arc<Mutex<World>>,
    sandbox: SandboxName,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Thing {
    id: String,
    origin: Option<Origin>,
    /// In lists: the ID cannot be read.
    is_without_id: bool,
    description: Option<String>,
}

fn thing(id: &str) -> Thing {
    Thing { id: id.to_owned(), ..Thing::default() }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoDataset(&'static str);

impl operation::Item for Thing {
    type Id = String;

    fn id(&self) -> Option<&String> {
        Some(&self.id).filter(|_| !self.is_without_id)
    }
    fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
    fn created_at_ms(&self) -> Option<i64> {
        None
    }
    fn updated_at_ms(&self) -> Option<i64> {
        None
    }
    fn is_of_another_kind(&self) -> bool {
        false
    }
}

impl operation::Outcome for Thing {
    type Id = String;

    fn id(&self) -> &String {
        &self.id
    }
    fn to_text(&self) -> String {
        format!(r#"{{"kind":"dataflow","id":"{}"}}"#, self.id)
    }
    fn parse(text: &str) -> Option<Self> {
        let outcome: serde_json::Value = serde_json::from_str(text).ok()?;
        outcome["id"].as_str().map(thing)
    }
}

impl Operation for CreateThing {
    const KIND: Kind = Kind::Dataflow;
    const IS_RECOGNIZED_BY_CONTEXT: bool = true;

    fn connection_id(_: &String) -> Option<&str> {
        None
    }

    type Id = String;
    type Item = Thing;
    type Permission = ();
    type Outcome = Thing;
    type Created = Thing;
    type Error = NoDataset;

    fn sandbox(&self) -> &SandboxName {
        &self.sandbox
    }
    fn content(&self) -> impl Iterator<Item = (&'static str, &str)> + Clone {
        [("sandbox_name", self.sandbox.as_str())].into_iter()
    }
    fn description(&self) -> Option<&Description> {
        None
    }
    async fn prepare(
        &self,
        scope: &Scope,
        earlier: Earlier<'_>,
    ) -> Result<ControlFlow<Thing, String>, Unprepared<NoDataset>> {
        let undone = scope.undone().await.unwrap();
        let takes = self.world.lock().unwrap().takes;
        if !takes.is_zero() {
            sleep(takes).await;
        }
        let prepares_long = {
            let mut world = self.world.lock().unwrap();
            scope.enter(Stage::Prepare);
            world.scope = Some(scope.clone());
            world.prepared_after.push(match earlier {
                Earlier::Prepared(context) => After::Prepared(context.to_owned()),
                Earlier::Unknown if undone.is_empty() => After::Nothing,
                Earlier::Unknown => After::Undone(undone.join(",")),
            });
            world.prepares_long
        };
        if prepares_long {
            while scope.still_ours() {
                sleep(Duration::from_secs(1)).await;
            }
            return Err(Unprepared { error: NoDataset("stopped"), undo: None });
        }
        let world = self.world.lock().unwrap();
        match (world.problem, world.found.clone()) {
            (Some(problem), _) => {
                Err(Unprepared { error: NoDataset(problem), undo: world.to_undo.map(str::to_owned) })
            }
            (None, Some(found)) => Ok(ControlFlow::Break(found)),
            (None, None) => Ok(ControlFlow::Continue(match earlier {
                Earlier::Prepared(context) => context.to_owned(),
                Earlier::Unknown => "a context".to_owned(),
            })),
        }
    }
    async fn undo(&self, _: &Scope, context: &str) -> Undone<Thing> {
        let result = {
            let mut world = self.world.lock().unwrap();
            world.undone.push(context.to_owned());
            world.undos.pop_front()
        };
        match result {
            Some(Some(result)) => result,
            Some(None) => pending().await,
            None => Undone::Deleted { deleted: vec![context.to_owned()], kept: Vec::new() },
        }
    }
    fn leftovers(&self, context: &str) -> Vec<String> {
        vec![context.to_owned()]
    }
    async fn permission(&self, _: Instant) -> Result<(), CallError> {
        Ok(())
    }
    async fn send(
        &self,
        (): &(),
        context: &str,
        _: Option<RequestId>,
        _: Instant,
        _: &Arc<Progress>,
    ) -> Result<Thing, CallError> {
        let mut world = self.world.lock().unwrap();
        world.sent.push(context.to_owned());
        if world.sent.len() <= world.lost {
            return Err(CallError::Unavailable { retry_after: None, problem: None, cause: "lost".into() });
        }
        if world.refuses {
            return Err(CallError::Refused { refusal: Refusal::Request, problem: Problem::default() });
        }
        Ok(Thing { origin: Some(Origin::Reply), ..thing(&format!("thing {}", world.sent.len())) })
    }
    fn retry_in(&self, _: u32, _: Option<Duration>, _: Instant) -> Option<Duration> {
        None
    }
    async fn list(
        &self,
        _: RequestId,
        context: Option<&str>,
        items: &mut Vec<Thing>,
        _: impl Fn(&[Thing]) -> bool + Send + Sync,
        _: Instant,
    ) -> Result<(), CallError> {
        let mut world = self.world.lock().unwrap();
        world.listed_for.push(context.map(str::to_owned));
        items.extend(world.listed.clone());
        Ok(())
    }
    async fn read(&self, id: &String, _: Instant) -> Result<Option<Thing>, CallError> {
        Ok(Some(thing(id)))
    }
    /// Lists show only what has the source of the context.
    fn recognize(&self, _: &Thing, _: &Reference, context: &str) -> Match {
        if context.is_empty() && !self.world.lock().unwrap().recognizes {
            Match::Another
        } else {
            Match::Same
        }
    }
    fn resembles(&self, _: &Thing) -> bool {
        false
    }
    fn differences(&self, _: &Thing) -> Vec<String> {
        Vec::new()
    }
    fn found(&self, item: &Thing, _: &str, origin: Origin) -> Option<Thing> {
        Some(Thing { origin: Some(origin), ..item.clone() })
    }
    fn is_complete(&self, _: &Thing) -> bool {
        true
    }
    fn redacted(&self, _: &CallError) -> CallError {
        CallError::OtherSource
    }
    async fn complete(_: &Creation<Self>, finished: Finished<Thing>) -> Result<Thing, FailureOf<Self>> {
        Ok(finished.outcome)
    }
    fn report_abandoned(&self, _: Result<&Thing, ErrorOf<Self>>, _: bool) {}
}

/// A wall clock that goes on by tokio's clock, as the store's does.
fn wall_clock() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the paused clock of the test that comes first may be far ahead of the others"
    )]
    static BEGIN: LazyLock<Instant> = LazyLock::new(|| std::time::Instant::now().into());
    i64::try_from(BEGIN.elapsed().as_millis()).unwrap()
}

const RETENTION: Retention = Retention {
    request_id: Duration::from_secs(86_400),
    create_timeout: Duration::from_secs(60),
    settle_window: Duration::from_secs(90),
    lease: LEASE,
};
/// Callers have all the time that they need.
const PATIENCE: Duration = Duration::from_secs(1000);

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(RETENTION, CAPACITY))
}

fn keys() -> FingerprintKeys {
    FingerprintKeys::new(&[7; 32], None)
}

/// One replica.
struct Replica(Creations<CreateThing>);

impl Replica {
    fn new() -> Self {
        Self::with(store())
    }

    fn with(store: Arc<dyn Store>) -> Self {
        Self::searching(store, SearchFirst::Never)
    }

    fn searching(store: Arc<dyn Store>, search_first: SearchFirst) -> Self {
        let engine = Engine {
            store,
            waiting: Waiting::new(5),
            fingerprint_keys: keys(),
            retention: RETENTION,
            recovery: Recovery { references: true, search_first },
            wall_clock,
            background: Background::default(),
            metrics: CreationMetrics::default(),
        };
        Self(Creations::new(engine, Arc::new(tokio::sync::Semaphore::new(10))))
    }

    async fn create(&self, id: RequestId, world: &Arc<Mutex<World>>) -> Result<Thing, Failed> {
        self.create_in("prod", id, world).await
    }

    async fn create_in(
        &self,
        sandbox: &str,
        id: RequestId,
        world: &Arc<Mutex<World>>,
    ) -> Result<Thing, Failed> {
        let operation =
            CreateThing { world: Arc::clone(world), sandbox: SandboxName::parse(sandbox).unwrap() };
        let deadline = Instant::now() + PATIENCE;
        let created = self.0.create(Some(id), operation, deadline, &CallProgress::default()).await;
        created.map(|(created, _)| created).map_err(|error| error.failure)
    }
}

type Failed = Arc<Failure<String, NoDataset>>;

fn world(world: World) -> Arc<Mutex<World>> {
    Arc::new(Mutex::new(world))
}
