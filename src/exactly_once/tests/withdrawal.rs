//! Withdrawals of creations that nobody will retry.

use super::{waiting::Remote, *};
use crate::exactly_once::{
    store::{Claim, Holder, Lease, Outage, Step},
    withdrawal::{Deletion, Known, Withdrawal, withdraw},
};

/// A context that this version cannot read.
const DAMAGED: &str = "damaged";

/// The withdrawal of a thing, which keeps what it is asked to delete.
struct WithdrawThing {
    sandbox: SandboxName,
    /// What lists show. The last one counts on.
    exists: Mutex<VecDeque<bool>>,
    /// The results of the next deletions. After them it is gone.
    deletions: Mutex<VecDeque<Deletion>>,
    /// Whether what is not found was certainly visible before, at each deletion.
    settled: Mutex<Vec<bool>>,
    deleted: Mutex<Vec<Known<String, Thing>>>,
    fails: bool,
}

fn withdrawal(exists: impl IntoIterator<Item = bool>) -> WithdrawThing {
    WithdrawThing {
        sandbox: SandboxName::parse("prod").unwrap(),
        exists: Mutex::new(exists.into_iter().collect()),
        deletions: Mutex::default(),
        settled: Mutex::default(),
        deleted: Mutex::default(),
        fails: false,
    }
}

impl Withdrawal for WithdrawThing {
    type Id = String;
    type Outcome = Thing;
    type Context = String;
    type Deleted = ();
    type Error = NoDataset;

    const KIND: Kind = Kind::Dataflow;

    fn sandbox(&self) -> &SandboxName {
        &self.sandbox
    }
    fn read(context: &str) -> Option<String> {
        Some(context.to_owned()).filter(|context| context != DAMAGED)
    }
    async fn exists(&self, _: RequestId, context: &str, _: Instant) -> Result<bool, CallError> {
        assert_eq!(context, "a context");
        let mut exists = self.exists.lock().unwrap();
        Ok(if exists.len() > 1 { exists.pop_front() } else { exists.front().copied() }.unwrap_or(false))
    }
    async fn delete_resource(
        &self,
        _: RequestId,
        _: &Known<String, Thing>,
        is_settled: bool,
        _: Instant,
    ) -> Result<Deletion, NoDataset> {
        self.settled.lock().unwrap().push(is_settled);
        Ok(self.deletions.lock().unwrap().pop_front().unwrap_or(Deletion::Gone))
    }
    async fn delete_rest(
        &self,
        _: RequestId,
        known: &Known<String, Thing>,
        _: Instant,
    ) -> Result<(), NoDataset> {
        self.deleted.lock().unwrap().push(known.clone());
        if self.fails { Err(NoDataset("fails")) } else { Ok(()) }
    }
}

impl Replica {
    async fn withdraw(
        &self,
        id: RequestId,
        withdrawal: &WithdrawThing,
        patience: u64,
    ) -> Result<(), Failure<String, NoDataset>> {
        let deadline = Instant::now() + Duration::from_secs(patience);
        withdraw(&self.0.engine, id, withdrawal, deadline).await
    }

    async fn assert_withdrawn(&self, id: RequestId) {
        for sandbox in ["prod", "dev"] {
            let world = world(World::default());
            let failure = self.create_in(sandbox, id, &world).await.unwrap_err();
            assert!(matches!(*failure, Failure::Withdrawn), "{failure:?}");
            assert!(world.lock().unwrap().prepared_after.is_empty());
        }
    }
}

/// A creation that was lost, and of which no caller waits.
async fn lost(replica: &Replica) -> RequestId {
    let (id, world) = (RequestId::generate(), world(World { lost: 1, ..World::default() }));
    let failure = replica.create(id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    id
}

#[tokio::test(start_paused = true)]
async fn an_id_without_a_record_is_withdrawn_once_nothing_of_it_can_arrive() {
    let (replica, id, withdrawal) = (Replica::new(), RequestId::generate(), withdrawal([]));
    withdrawal.deletions.lock().unwrap().extend([
        Deletion::Gone,
        Deletion::NoneFound,
        Deletion::NoneFound,
        Deletion::NoneFound,
    ]);
    for _ in 0..2 {
        let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
        assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
        // The tombstone comes first, and what the resource uses last.
        replica.assert_withdrawn(id).await;
        assert!(withdrawal.deleted.lock().unwrap().is_empty());
    }
    sleep(RETENTION.settled_after() + Duration::from_secs(1)).await;
    let began = Instant::now();
    replica.withdraw(id, &withdrawal, 10).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(5), "between two lists");
    replica.assert_withdrawn(id).await;
    // A repetition needs no proof any more.
    replica.withdraw(id, &withdrawal, 10).await.unwrap();
    assert_eq!(*withdrawal.settled.lock().unwrap(), [false, false, true, true]);
    assert_eq!(*withdrawal.deleted.lock().unwrap(), [Known::Nothing, Known::Nothing]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_a_later_list_does_not_show_any_more_is_not_taken_for_gone() {
    let (store, id) = (store(), RequestId::generate());
    let lease = lease_of(id, "dataflow");
    store.claim(&lease, wall_clock()).await.unwrap();
    store.step(&lease, Step::BeginSending, "a context", wall_clock()).await.unwrap();
    store.step(&lease, Step::Abandon, "", wall_clock()).await.unwrap();
    let (replica, withdrawal) = (Replica::with(store), withdrawal([true]));
    withdrawal.deletions.lock().unwrap().push_back(Deletion::NoneFound);
    let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert!(withdrawal.deleted.lock().unwrap().is_empty());
    replica.withdraw(id, &withdrawal, 10).await.unwrap();
    assert_eq!(*withdrawal.deleted.lock().unwrap(), [Known::Context("a context".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_new_resource_that_is_not_found_is_not_taken_for_gone() {
    let (replica, id, withdrawal) = (Replica::new(), RequestId::generate(), withdrawal([]));
    replica.create(id, &world(World::default())).await.unwrap();
    withdrawal.deletions.lock().unwrap().push_back(Deletion::Unknown);
    let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert!(withdrawal.deleted.lock().unwrap().is_empty());
    // From the second deletion on it is known to be gone.
    for _ in 0..2 {
        replica.withdraw(id, &withdrawal, 10).await.unwrap();
    }
    assert_eq!(*withdrawal.settled.lock().unwrap(), [false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_done_is_withdrawn_with_its_outcome() {
    let (replica, id) = (Replica::new(), RequestId::generate());
    replica.create(id, &world(World::default())).await.unwrap();
    let mut withdrawal = withdrawal([]);
    withdrawal.fails = true;
    let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
    assert!(matches!(failure, Failure::Operation(NoDataset("fails"))), "{failure:?}");
    replica.assert_withdrawn(id).await;
    // A retry continues.
    withdrawal.fails = false;
    replica.withdraw(id, &withdrawal, 10).await.unwrap();
    let outcome = || Known::Outcome(thing("thing 1"));
    assert_eq!(*withdrawal.deleted.lock().unwrap(), [outcome(), outcome()]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_creation_is_withdrawn_once_nothing_of_it_can_arrive() {
    let replica = Replica::new();
    let id = lost(&replica).await;
    // Its caller's creation still searches.
    let withdrawal = withdrawal([]);
    let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
    assert!(matches!(failure, Failure::RequestInProgress { .. }), "{failure:?}");
    let began = Instant::now();
    while replica.0.engine.background.tasks() > 0 {
        sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() > RETENTION.settled_after() - Duration::from_secs(30));

    let failure = replica.withdraw(id, &withdrawal, 3).await.unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert!(withdrawal.deleted.lock().unwrap().is_empty());
    let began = Instant::now();
    replica.withdraw(id, &withdrawal, 100).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(*withdrawal.deleted.lock().unwrap(), [Known::Context("a context".to_owned())]);
    replica.assert_withdrawn(id).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_creation_that_is_found_is_withdrawn_at_once() {
    let (store, id) = (store(), RequestId::generate());
    let lease = lease_of(id, "dataflow");
    store.claim(&lease, wall_clock()).await.unwrap();
    store.step(&lease, Step::BeginSending, "a context", wall_clock()).await.unwrap();
    store.step(&lease, Step::Abandon, "", wall_clock()).await.unwrap();
    let (replica, withdrawal) = (Replica::with(store), withdrawal([false, true]));
    let began = Instant::now();
    replica.withdraw(id, &withdrawal, 10).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(*withdrawal.deleted.lock().unwrap(), [Known::Context("a context".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_being_undone_is_withdrawn_with_what_remains() {
    let (store, id) = (store(), RequestId::generate());
    let lease = lease_of(id, "dataflow");
    store.claim(&lease, 0).await.unwrap();
    store.step(&lease, Step::Undo, "source/1", 0).await.unwrap();
    let (replica, withdrawal) = (Replica::with(Arc::clone(&store) as _), withdrawal([]));
    let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
    assert!(matches!(failure, Failure::RequestInProgress { .. }), "{failure:?}");
    store.step(&lease, Step::Abandon, "", 0).await.unwrap();
    withdrawal.deletions.lock().unwrap().extend([Deletion::NoneFound; 3]);
    // A sending that the store has forgotten may have made a resource.
    let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert!(withdrawal.deleted.lock().unwrap().is_empty());
    sleep(RETENTION.settled_after() + Duration::from_secs(1)).await;
    replica.withdraw(id, &withdrawal, 10).await.unwrap();
    assert_eq!(*withdrawal.deleted.lock().unwrap(), [Known::Context("source/1".to_owned())]);
    replica.assert_withdrawn(id).await;
}

#[tokio::test(start_paused = true)]
async fn only_a_creation_of_the_same_kind_and_sandbox_is_withdrawn() {
    for (method, sandbox, expected) in [("connection", "prod", "method"), ("dataflow", "dev", "sandbox_name")]
    {
        for is_done in [false, true] {
            let (store, id) = (store(), RequestId::generate());
            let content = [("method", method), ("sandbox_name", sandbox), ("name", "n")];
            let fingerprints = keys().fingerprints(content);
            let lease = Lease { request_id: id, fingerprints, holder: Holder::generate() };
            if is_done {
                let outcome = format!(r#"{{"kind":"{method}","id":"i-1"}}"#);
                store.record(&lease, Some(&outcome), 0).await.unwrap();
            } else {
                store.claim(&lease, 0).await.unwrap();
                store.step(&lease, Step::Abandon, "", 0).await.unwrap();
            }
            let withdrawal = withdrawal([]);
            let failure = Replica::with(store).withdraw(id, &withdrawal, 10).await.unwrap_err();
            let Failure::RequestIdReused { differs, created } = failure else { panic!("{failure:?}") };
            assert_eq!(differs, [expected]);
            assert_eq!(created.map(|made| made.id), is_done.then(|| "i-1".to_owned()));
            assert!(withdrawal.deleted.lock().unwrap().is_empty());
        }
    }
}

/// A lease with more content than a withdrawal knows.
fn lease_of(id: RequestId, method: &str) -> Lease {
    let content = [("method", method), ("sandbox_name", "prod"), ("name", "n")];
    Lease { request_id: id, fingerprints: keys().fingerprints(content), holder: Holder::generate() }
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_context_cannot_be_read_is_not_withdrawn_and_its_record_stays() {
    for step in [Step::BeginSending, Step::Undo] {
        let (store, id) = (store(), RequestId::generate());
        let lease = lease_of(id, "dataflow");
        store.claim(&lease, wall_clock()).await.unwrap();
        store.step(&lease, step, DAMAGED, wall_clock()).await.unwrap();
        store.step(&lease, Step::Abandon, "", wall_clock()).await.unwrap();
        let (replica, withdrawal) = (Replica::with(Arc::clone(&store) as _), withdrawal([]));
        for _ in 0..2 {
            let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
            assert!(matches!(failure, Failure::RecordUnreadable { .. }), "{failure:?}");
        }
        assert!(withdrawal.deleted.lock().unwrap().is_empty());
        // Nobody holds it.
        let claim = store.claim(&lease_of(id, "dataflow"), wall_clock()).await.unwrap();
        let (Claim::Unknown { context, .. } | Claim::Undoing { context }) = claim else {
            panic!("{claim:?}")
        };
        assert_eq!(context, DAMAGED);
    }
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_waits_for_a_store_that_is_away() {
    let remote = Remote::away(Outage::Refused);
    let (replica, id, withdrawal) = (remote.replica(), RequestId::generate(), withdrawal([]));
    // Half of its time.
    let began = Instant::now();
    let failure = replica.withdraw(id, &withdrawal, 10).await.unwrap_err();
    assert!(matches!(failure, Failure::Store { may_exist: true, .. }), "{failure:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    let back = async {
        sleep(Duration::from_secs(12)).await;
        remote.is_back();
    };
    let (withdrawn, ()) = tokio::join!(replica.withdraw(id, &withdrawal, 60), back);
    // Without a record it is unknown at first.
    assert!(matches!(withdrawn, Err(Failure::OutcomeUnknown { .. })), "{withdrawn:?}");
    replica.assert_withdrawn(id).await;
}
