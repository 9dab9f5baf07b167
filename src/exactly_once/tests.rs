//! What the engine does for an operation that prepares something and resends what it sent before.

use std::{
    ops::ControlFlow,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Background, Engine, Failure, FingerprintKeys, Kind, Recovery, SearchFirst,
    creation::{Creation, Finished},
    engine::Creations,
    operation::{self, Earlier, ErrorOf, FailureOf, Operation, Unprepared},
    recognition::{Match, Reference},
    scope::Scope,
    store::{CAPACITY, LEASE, MemoryStore, Origin, Retention},
};
use crate::{
    adobe::CallError,
    domain::{CallProgress, Description, Progress, RequestId, SandboxName},
    metrics::CreationMetrics,
};

/// What happens outside.
#[derive(Default)]
struct World {
    /// The contexts that prepare was given, and those that were sent.
    prepared_after: Vec<Option<String>>,
    sent: Vec<String>,
    /// What the preparation finds, and why it fails.
    found: Option<Thing>,
    problem: Option<&'static str>,
    /// How many sendings are lost.
    lost: usize,
}

/// Creates things, each of which keeps the context of its sending.
struct CreateThing {
    world: Arc<Mutex<World>>,
    sandbox: SandboxName,
}

#[derive(Clone, Debug, PartialEq)]
struct Thing {
    id: String,
    origin: Option<Origin>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoDataset(&'static str);

impl operation::Item for Thing {
    type Id = String;

    fn id(&self) -> Option<&String> {
        Some(&self.id)
    }
    fn description(&self) -> Option<&str> {
        None
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
        Some(Self { id: outcome["id"].as_str()?.to_owned(), origin: None })
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
        _: &Scope,
        earlier: Earlier<'_>,
    ) -> Result<ControlFlow<Thing, String>, Unprepared<NoDataset>> {
        let mut world = self.world.lock().unwrap();
        let prepared = if let Earlier::Prepared(context) = earlier { Some(context.to_owned()) } else { None };
        world.prepared_after.push(prepared.clone());
        match (world.problem, world.found.clone()) {
            (Some(problem), _) => Err(Unprepared { error: NoDataset(problem), undo: None }),
            (None, Some(found)) => Ok(ControlFlow::Break(found)),
            (None, None) => Ok(ControlFlow::Continue(prepared.unwrap_or_else(|| "a context".to_owned()))),
        }
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
        Ok(Thing { id: format!("thing {}", world.sent.len()), origin: Some(Origin::Reply) })
    }
    fn retry_in(&self, _: u32, _: Option<Duration>, _: Instant) -> Option<Duration> {
        None
    }
    async fn list(
        &self,
        _: RequestId,
        _: Option<&str>,
        _: &mut Vec<Thing>,
        _: impl Fn(&[Thing]) -> bool + Send + Sync,
        _: Instant,
    ) -> Result<(), CallError> {
        Ok(())
    }
    async fn read(&self, id: &String, _: Instant) -> Result<Option<Thing>, CallError> {
        Ok(Some(Thing { id: id.clone(), origin: None }))
    }
    fn recognize(&self, _: &Thing, _: &Reference, _: &str) -> Match {
        Match::Another
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
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(BEGIN.elapsed().as_millis()).unwrap()
}

/// One replica, whose callers have all the time that they need.
struct Replica(Creations<CreateThing>);

impl Replica {
    fn new() -> Self {
        let retention = Retention {
            request_id: Duration::from_secs(86_400),
            create_timeout: Duration::from_secs(60),
            settle_window: Duration::from_secs(90),
            lease: LEASE,
        };
        let engine = Engine {
            store: Arc::new(MemoryStore::new(retention, CAPACITY)),
            fingerprint_keys: FingerprintKeys::random(),
            retention,
            recovery: Recovery { references: true, search_first: SearchFirst::Never },
            wall_clock,
            background: Background::default(),
            metrics: CreationMetrics::default(),
        };
        Self(Creations::new(engine, Arc::new(tokio::sync::Semaphore::new(10))))
    }

    async fn create(
        &self,
        id: RequestId,
        world: &Arc<Mutex<World>>,
    ) -> Result<Thing, Arc<Failure<String, NoDataset>>> {
        let operation =
            CreateThing { world: Arc::clone(world), sandbox: SandboxName::parse("prod").unwrap() };
        let deadline = Instant::now() + Duration::from_secs(1000);
        let created = self.0.create(Some(id), operation, deadline, &CallProgress::default()).await;
        created.map(|(created, _)| created).map_err(|error| error.failure)
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_preparation_finds_is_taken_over_and_nothing_is_sent() {
    let found = Thing { id: "found".to_owned(), origin: None };
    let world = Arc::new(Mutex::new(World { found: Some(found), ..World::default() }));
    let (replica, id) = (Replica::new(), RequestId::generate());
    let created = replica.create(id, &world).await.unwrap();
    assert_eq!(created, Thing { id: "found".to_owned(), origin: Some(Origin::Unrecorded) });
    // A retry gets it from the record, without another preparation.
    assert_eq!(replica.create(id, &world).await.unwrap().id, "found");
    let world = world.lock().unwrap();
    assert_eq!((world.prepared_after.len(), world.sent.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_preparation_that_fails_leaves_no_record() {
    let world = Arc::new(Mutex::new(World { problem: Some("no dataset"), ..World::default() }));
    let (replica, id) = (Replica::new(), RequestId::generate());
    let failure = replica.create(id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::Operation(NoDataset("no dataset"))), "{failure:?}");
    world.lock().unwrap().problem = None;
    assert_eq!(replica.create(id, &world).await.unwrap().id, "thing 1");
}

#[tokio::test(start_paused = true)]
async fn a_lost_creation_is_resent_with_the_context_of_its_record() {
    let world = Arc::new(Mutex::new(World { lost: 1, ..World::default() }));
    let (replica, id) = (Replica::new(), RequestId::generate());
    let failure = replica.create(id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    // The creation continues until it is proven that there is nothing, as long as a caller waits.
    let created = loop {
        if let Ok(created) = replica.create(id, &world).await {
            break created;
        }
    };
    assert_eq!(created.id, "thing 2");
    let world = world.lock().unwrap();
    assert_eq!(world.sent, ["a context", "a context"]);
    assert_eq!(world.prepared_after, [None, Some("a context".to_owned())]);
}
