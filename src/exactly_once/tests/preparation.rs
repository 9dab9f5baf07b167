//! Preparations, and sendings that are lost.

use super::*;
use crate::exactly_once::store::{Claim, Lease, Recorded, Step, StoreError};

#[tokio::test(start_paused = true)]
async fn what_the_preparation_finds_is_taken_over_and_nothing_is_sent() {
    let world = world(World { found: Some(thing("found")), ..World::default() });
    let (replica, id) = (Replica::new(), RequestId::generate());
    let created = replica.create(id, &world).await.unwrap();
    assert_eq!(created, Thing { origin: Some(Origin::Unrecorded), ..thing("found") });
    // A retry gets it from the record, without another preparation.
    assert_eq!(replica.create(id, &world).await.unwrap().id, "found");
    let world = world.lock().unwrap();
    assert_eq!((world.prepared_after.len(), world.sent.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_preparation_that_fails_leaves_no_record() {
    let world = world(World { problem: Some("no dataset"), ..World::default() });
    let (replica, id) = (Replica::new(), RequestId::generate());
    let failure = replica.create(id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::Operation(NoDataset("no dataset"))), "{failure:?}");
    world.lock().unwrap().problem = None;
    assert_eq!(replica.create(id, &world).await.unwrap().id, "thing 1");
}

#[tokio::test(start_paused = true)]
async fn a_lost_creation_is_resent_with_the_context_of_its_record() {
    let world = world(World { lost: 1, ..World::default() });
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
    assert_eq!(world.prepared_after, [After::Nothing, After::Prepared("a context".to_owned())]);
    assert!(world.listed_for.iter().all(|context| context.as_deref() == Some("a context")));
    assert!(world.undone.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_preparation_knows_its_creation() {
    let replica = Replica::new();
    for remembered in [false, true] {
        if remembered {
            sleep(RETENTION.request_id).await;
        }
        let (id, world, call) = (RequestId::generate(), world(World::default()), CallProgress::default());
        world.lock().unwrap().problem = Some("no dataset");
        let operation =
            CreateThing { world: Arc::clone(&world), sandbox: SandboxName::parse("prod").unwrap() };
        let deadline = Instant::now() + PATIENCE;
        replica.0.create(Some(id), operation, deadline, &call).await.unwrap_err();
        let scope = world.lock().unwrap().scope.take().unwrap();
        assert_eq!((scope.request_id(), scope.deadline()), (id, deadline));
        assert_eq!(scope.may_be_forgotten(), !remembered);
        assert_eq!(call.stage(), Stage::Prepare);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_resource_is_recognized_by_the_context_whatever_its_reference_is() {
    let other = format!("[request {}]", RequestId::generate());
    let found = Thing { description: Some(other), ..thing("found") };
    let world = world(World { lost: 1, listed: vec![found], ..World::default() });
    let created = Replica::new().create(RequestId::generate(), &world).await.unwrap();
    assert_eq!(created, Thing { origin: Some(Origin::Search), ..thing("found") });
    assert_eq!(world.lock().unwrap().sent.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_recognized_resource_without_a_readable_id_is_ambiguous() {
    let nameless = Thing { is_without_id: true, ..Thing::default() };
    let world = world(World { lost: 1, listed: vec![nameless], ..World::default() });
    let (replica, id) = (Replica::new(), RequestId::generate());
    let failure = loop {
        let failure = replica.create(id, &world).await.unwrap_err();
        if !matches!(&*failure, Failure::OutcomeUnknown { .. }) {
            break failure;
        }
    };
    assert!(matches!(&*failure, Failure::Ambiguous(candidates) if candidates.is_empty()), "{failure:?}");
    assert_eq!(world.lock().unwrap().sent.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_preparation_and_its_id_is_free() {
    let (store, id) = (store(), RequestId::generate());
    let replica = Replica::with(Arc::clone(&store) as _);
    let busy = world(World { prepares_long: true, ..World::default() });
    let background = replica.0.engine.background.clone();
    let (failure, ()) = tokio::join!(replica.create(id, &busy), async {
        sleep(Duration::from_secs(3)).await;
        background.drain().await;
    });
    let failure = failure.unwrap_err();
    let stopped = Failure::<String, NoDataset>::NotCreated { error: CallError::Stopping, may_exist: true };
    assert_eq!(format!("{failure:?}"), format!("{stopped:?}"));
    let next = world(World::default());
    assert_eq!(Replica::with(store).create_in("dev", id, &next).await.unwrap().id, "thing 1");
}

/// A store whose leases are not renewed.
struct WithoutRenewals(Arc<MemoryStore>);

#[async_trait::async_trait]
impl Store for WithoutRenewals {
    async fn claim(&self, lease: &Lease, wall_ms: i64) -> Result<Claim, StoreError> {
        self.0.claim(lease, wall_ms).await
    }
    async fn step(&self, lease: &Lease, step: Step, text: &str, wall_ms: i64) -> Result<(), StoreError> {
        if step == Step::Renew {
            return Err(StoreError::Unavailable(Arc::new(std::io::Error::other("down"))));
        }
        self.0.step(lease, step, text, wall_ms).await
    }
    async fn record(
        &self,
        lease: &Lease,
        outcome: Option<&str>,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError> {
        self.0.record(lease, outcome, wall_ms).await
    }
    async fn replace(
        &self,
        request_id: &RequestId,
        expected: &str,
        outcome: &str,
    ) -> Result<Recorded, StoreError> {
        self.0.replace(request_id, expected, outcome).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_preparation_sees_that_its_lease_has_ended_and_another_replica_creates() {
    let (store, id) = (store(), RequestId::generate());
    let replica = Replica::with(Arc::new(WithoutRenewals(Arc::clone(&store))));
    let (busy, next) = (world(World { prepares_long: true, ..World::default() }), world(World::default()));
    let began = Instant::now();
    let failure = replica.create(id, &busy).await.unwrap_err();
    assert!(matches!(&*failure, Failure::RequestInProgress { .. }), "{failure:?}");
    assert!((LEASE..LEASE + Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(Replica::with(store).create(id, &next).await.unwrap().id, "thing 1");
    assert!(busy.lock().unwrap().sent.is_empty());
}
