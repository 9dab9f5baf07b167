//! Creations over services in memory. Time is virtual.

mod port;
mod world;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::time::{Instant, advance};

use self::world::{Fault, ROUND_TRIP, World};
use super::{
    Dataflows,
    create::{CreateHubSpotDataflow, DataflowCreated, Failure},
    error::{CreateDataflowError, Leftover},
    plan::Plan,
};
use crate::{
    domain::{
        CallProgress, CheckName, CheckState, ConnectionId, RequestId, ResourceName, SandboxName, TablePath,
        dataflow::{
            ClassId, ColumnName, DataflowOptions, DatasetId, DeltaColumn, FieldMapping, Frequency,
            MappingKind, MappingSource, NewDataflow, NewDataset, Repetition, Schedule, SchemaFromTable,
            SchemaSource, StartTime, Target, XdmPath,
        },
        reference::last_reference,
    },
    exactly_once::{
        Background, Engine, FingerprintKeys, Recovery, SearchFirst, Waiting,
        store::{CAPACITY, LEASE, MemoryStore, Retention},
    },
    metrics::{CreationMetrics, RunsRead},
    service::Limits,
};

fn new_schema() -> Target {
    let schema = SchemaFromTable {
        title: ResourceName::parse("Contacts").unwrap(),
        class: ClassId::profile(),
        columns: Vec::new(),
    };
    let name = ResourceName::parse("contacts").unwrap();
    Target::NewDataset(NewDataset { name, description: None, schema: SchemaSource::Table(schema) })
}

fn existing() -> Target {
    Target::Dataset(DatasetId::parse("existing").unwrap())
}

fn dataflow(target: Target) -> NewDataflow {
    NewDataflow {
        sandbox: SandboxName::parse("prod").unwrap(),
        name: ResourceName::parse("contacts").unwrap(),
        description: None,
        connection: ConnectionId::parse("c-1").unwrap(),
        table: TablePath::parse("Hubspot.Contacts").unwrap(),
        target,
        mappings: Vec::new(),
        schedule: Schedule { start: None, repetition: None },
        options: DataflowOptions::default(),
    }
}

thread_local! {
    static BEGINNING: Instant = Instant::now();
}

/// A wall clock that goes with the virtual time.
fn virtual_clock() -> i64 {
    let since = BEGINNING.with(|beginning| Instant::now().duration_since(*beginning));
    1_700_000_000_000 + i64::try_from(since.as_millis()).unwrap()
}

struct Replica {
    dataflows: Dataflows<World>,
    world: World,
    id: RequestId,
}

impl Replica {
    fn new(world: World) -> Self {
        let retention = Retention {
            request_id: Duration::from_secs(86_400),
            create_timeout: Duration::from_secs(60),
            settle_window: Duration::from_secs(90),
            lease: LEASE,
        };
        let engine = Engine {
            store: Arc::new(MemoryStore::new(retention, CAPACITY)),
            waiting: Waiting::new(5),
            fingerprint_keys: FingerprintKeys::random(),
            retention,
            recovery: Recovery { references: true, search_first: SearchFirst::Never },
            wall_clock: virtual_clock,
            background: Background::default(),
            metrics: CreationMetrics::default(),
        };
        let limits = Arc::new(Limits::new(NonZeroUsize::new(10).unwrap()));
        let dataflows = Dataflows::new(Arc::new(world.clone()), engine, limits, RunsRead::default());
        Self { dataflows, world, id: RequestId::generate() }
    }

    async fn create(&self, dataflow: NewDataflow) -> Result<DataflowCreated, Arc<Failure>> {
        let command = CreateHubSpotDataflow { request_id: Some(self.id), dataflow };
        let deadline = Instant::now() + Duration::from_secs(60);
        let call = CallProgress::default();
        let created = self.dataflows.create_hubspot_dataflow(command, deadline, &call);
        created.await.map_err(|error| error.failure)
    }

    async fn plan(&self, dataflow: &NewDataflow) -> Result<Plan, CreateDataflowError> {
        let deadline = Instant::now() + Duration::from_secs(60);
        self.dataflows.plan_hubspot_dataflow(dataflow, deadline, &CallProgress::default()).await
    }

    async fn abandon(&self) -> Result<Vec<Leftover>, Arc<Failure>> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let (sandbox, call) = (SandboxName::parse("prod").unwrap(), CallProgress::default());
        let deleted =
            self.dataflows.delete_abandoned_hubspot_dataflow(self.id, &sandbox, false, deadline, &call);
        deleted.await.map_err(|error| error.failure)
    }
}

fn violated(failure: &Failure) -> Vec<&str> {
    let Failure::Operation(CreateDataflowError::Invalid(violations)) = failure else { panic!("{failure:?}") };
    violations.iter().map(|violation| violation.field.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_creation_takes_few_round_trips_and_a_retry_returns_it() {
    for (target, most, counts) in
        [(new_schema(), 7.5, [1, 1, 2, 1, 1, 1, 1]), (existing(), 5.5, [0, 0, 1, 1, 1, 1, 1])]
    {
        let replica = Replica::new(World::new());
        let began = Instant::now();
        let created = replica.create(dataflow(target.clone())).await.unwrap();
        assert!(began.elapsed() <= ROUND_TRIP.mul_f64(most), "{:?}", began.elapsed());
        assert_eq!(replica.world.counts(), counts);
        let flow = replica.world.0.lock().flows[0].clone();
        assert_eq!(flow.description.as_deref().and_then(last_reference), Some(replica.id));
        assert_eq!(created.start.map(|start| start.0), flow.schedule.start);
        let mapped = created.mappings.iter().map(|mapping| mapping.destination.as_str()).collect::<Vec<_>>();
        if target == existing() {
            assert_eq!(mapped, ["_acme.vid", "email"]);
            assert_eq!(created.unmapped_columns, ["Added_At"]);
        } else {
            assert_eq!(mapped, ["_acme.Vid", "_acme.Email", "_acme.Added_At"]);
            assert!(created.resources.is_dataset_created && created.resources.is_schema_created);
        }
        let again = replica.create(dataflow(target)).await.unwrap();
        assert_eq!(again, DataflowCreated { replayed: true, ..created });
        assert_eq!(replica.world.counts(), counts);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_reply_is_lost_there_is_one_flow_and_a_later_call_sweeps() {
    for call in [
        "create_field_group",
        "create_schema",
        "create_dataset",
        "create_mapping_set",
        "create_source_connection",
        "create_target_connection",
        "create_flow",
    ] {
        for fault in [Fault::Lost, Fault::NeverArrived] {
            let replica = Replica::new(World::with(&[(call, fault)]));
            let mut created = replica.create(dataflow(new_schema())).await;
            if call == "create_flow" && fault == Fault::NeverArrived {
                assert!(created.is_err(), "{created:?}");
                advance(Duration::from_secs(200)).await;
                created = replica.create(dataflow(new_schema())).await;
            }
            let created = created.unwrap_or_else(|failure| panic!("{call} {fault:?}: {failure:?}"));
            advance(Duration::from_secs(200)).await;
            let again = replica.create(dataflow(new_schema())).await.unwrap();
            assert_eq!(again, DataflowCreated { replayed: true, ..created.clone() });
            assert_eq!(replica.world.counts(), [1, 1, 2, 1, 1, 1, 1], "{call} {fault:?}");
            let flow = replica.world.0.lock().flows[0].clone();
            assert_eq!(flow.id.as_ref(), Some(&created.dataflow.id));
            assert_eq!(flow.source_connections.first(), created.resources.source_connection.as_ref());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_resumes_what_could_not_be_finished() {
    for call in ["create_schema", "create_dataset", "create_mapping_set", "create_target_connection"] {
        let replica = Replica::new(World::with(&[(call, Fault::NotSent)]));
        let failure = replica.create(dataflow(new_schema())).await.unwrap_err();
        let Failure::Operation(CreateDataflowError::Call { .. }) = &*failure else { panic!("{failure:?}") };
        let created = replica.create(dataflow(new_schema())).await.unwrap();
        assert_eq!(replica.world.counts(), [1, 1, 2, 1, 1, 1, 1], "{call}");
        assert_eq!(created.mappings.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_leaves_nothing_behind_and_names_its_field() {
    let nothing = [0, 0, 1, 0, 0, 0, 0];
    for (target, fault, field) in [
        (new_schema(), ("create_flow", Fault::Refused("FLOW-1360-400")), "schedule.start_time"),
        (existing(), ("create_flow", Fault::Refused("FLOW-1419-400")), "mappings"),
        (existing(), ("create_source_connection", Fault::Refused("FLOW-1330-400")), "table"),
        (new_schema(), ("create_mapping_set", Fault::Refused("")), "mappings"),
    ] {
        let replica = Replica::new(World::with(&[fault]));
        let failure = replica.create(dataflow(target.clone())).await.unwrap_err();
        assert_eq!(violated(&failure), [field]);
        assert_eq!(replica.world.counts(), nothing, "{fault:?}");
        replica.create(dataflow(target)).await.unwrap();
    }
    for call in ["create_dataset", "create_target_connection", "create_flow"] {
        let replica = Replica::new(World::with(&[(call, Fault::Forbidden)]));
        replica.create(dataflow(new_schema())).await.unwrap_err();
        assert_eq!(replica.world.counts(), nothing, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_wrong_is_reported_at_once_and_nothing_is_created() {
    let mut wrong = dataflow(existing());
    wrong.mappings = vec![FieldMapping {
        source: MappingSource::parse("missing").unwrap(),
        destination: XdmPath::parse("nowhere").unwrap(),
        kind: MappingKind::Attribute,
    }];
    let delta_column = DeltaColumn { name: ColumnName::parse("Vid").unwrap(), date_format: None };
    let repetition = Repetition { frequency: Frequency::Hour, interval: 1, backfill: true, delta_column };
    wrong.schedule = Schedule { start: Some(StartTime(1)), repetition: Some(repetition) };
    let replica = Replica::new(World::new());
    let failure = replica.create(wrong.clone()).await.unwrap_err();
    let fields = [
        "mappings[0].source",
        "mappings[0].destination",
        "schedule.delta_column.name",
        "schedule.start_time",
    ];
    assert_eq!(violated(&failure), fields);
    let planned = replica.plan(&wrong).await.unwrap_err();
    assert_eq!(violated(&Failure::Operation(planned)), fields);
    assert_eq!(replica.world.0.lock().writes, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_schema_with_the_title_is_never_used() {
    let world = World::new();
    let other = Replica::new(world.clone());
    other.create(dataflow(new_schema())).await.unwrap();
    let replica = Replica::new(world);
    let failure = replica.create(dataflow(new_schema())).await.unwrap_err();
    assert!(matches!(&*failure, Failure::Operation(CreateDataflowError::TitleTaken { .. })), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_used_again_that_was_undone_though_lists_still_show_it() {
    let replica = Replica::new(World::with(&[("create_flow", Fault::Forbidden)]));
    replica.world.0.lock().are_lists_stale = true;
    replica.create(dataflow(new_schema())).await.unwrap_err();
    let created = replica.create(dataflow(new_schema())).await.unwrap().resources;
    assert_eq!(replica.world.counts(), [1, 1, 2, 1, 1, 1, 1]);
    let state = replica.world.0.lock();
    assert_eq!(Some(&state.sources[0].id), created.source_connection.as_ref());
    assert_eq!(Some(&state.targets[0].id), created.target_connection.as_ref());
    assert_eq!(Some(&state.sets[0].at.id), created.mapping_set.as_ref());
    assert_eq!(Some(&state.datasets[1].id), created.dataset.as_ref());
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_creation_is_deleted_and_its_id_creates_nothing_any_more() {
    let replica = Replica::new(World::new());
    replica.create(dataflow(new_schema())).await.unwrap();
    replica.world.0.lock().datasets.last_mut().unwrap().has_batch = true;
    let leftovers = replica.abandon().await.unwrap();
    let kinds: Vec<_> = leftovers.iter().map(|leftover| leftover.part.kind()).collect();
    assert_eq!(kinds, ["dataset", "schema", "field_group"]);
    assert_eq!(replica.world.counts(), [1, 1, 2, 0, 0, 0, 0]);
    // It can be repeated.
    assert_eq!(replica.abandon().await.unwrap(), leftovers);
    let failure = replica.create(dataflow(new_schema())).await.unwrap_err();
    assert!(matches!(&*failure, Failure::Withdrawn), "{failure:?}");

    // Without a record nothing is deleted before it is certain what there is.
    let replica = Replica::new(World::with(&[("create_target_connection", Fault::NotSent)]));
    replica.create(dataflow(new_schema())).await.unwrap_err();
    let prepared = replica.world.counts();
    let failure = replica.abandon().await.unwrap_err();
    assert!(matches!(&*failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert_eq!(replica.world.counts(), prepared);
    advance(Duration::from_secs(200)).await;
    assert_eq!(replica.abandon().await.unwrap(), []);
    assert_eq!(replica.world.counts(), [0, 0, 1, 0, 0, 0, 0]);

    let replica = Replica::new(World::new());
    let failure = replica.abandon().await.unwrap_err();
    assert!(matches!(&*failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    advance(Duration::from_secs(200)).await;
    let failure = replica.abandon().await.unwrap_err();
    assert!(matches!(&*failure, Failure::Operation(CreateDataflowError::NothingMade)), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_flow_that_is_not_visible_yet_is_not_taken_for_gone() {
    for (seconds, is_found_in_time) in [(5, true), (100, false)] {
        let replica = Replica::new(World::new());
        replica.create(dataflow(existing())).await.unwrap();
        let readable_from = Instant::now() + Duration::from_secs(seconds);
        replica.world.0.lock().readable_from = Some(readable_from);
        if !is_found_in_time {
            let failure = replica.abandon().await.unwrap_err();
            assert!(matches!(&*failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
            // Nothing is deleted that the flow uses.
            assert_eq!(replica.world.counts(), [0, 0, 1, 1, 1, 1, 1]);
            advance(Duration::from_secs(seconds)).await;
        }
        assert_eq!(replica.abandon().await.unwrap(), []);
        assert_eq!(replica.world.counts(), [0, 0, 1, 0, 0, 0, 0]);
        // It can be repeated at once.
        assert_eq!(replica.abandon().await.unwrap(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_has_every_check_and_creates_nothing() {
    let states = |plan: &Plan| plan.checks.iter().map(|check| check.state).collect::<Vec<_>>();
    for target in [new_schema(), existing()] {
        let replica = Replica::new(World::new());
        let plan = replica.plan(&dataflow(target)).await.unwrap();
        let names: Vec<_> = plan.checks.iter().map(|check| check.name).collect();
        assert_eq!(names, CheckName::OF_DATAFLOW);
        assert_eq!(states(&plan), [CheckState::Passed; 8], "{:?}", plan.checks);
        assert!(!plan.mappings.is_empty());
        assert_eq!(replica.world.0.lock().writes, [""; 0]);
    }
    let replica = Replica::new(World::with(&[("get_dataset", Fault::Forbidden)]));
    let plan = replica.plan(&dataflow(existing())).await.unwrap();
    let [token, connection, table, spec, dataset, rest @ ..] = &states(&plan)[..] else { panic!() };
    assert_eq!([token, connection, table, spec], [&CheckState::Passed; 4]);
    assert_eq!((dataset, rest), (&CheckState::Failed, &[CheckState::Skipped; 3][..]));
    assert!(plan.checks[4].message.contains("Manage Datasets"), "{}", plan.checks[4].message);
}
