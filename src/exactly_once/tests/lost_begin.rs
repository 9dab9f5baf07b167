//! Steps to `sending` whose replies are lost: nothing is sent, and a retry goes on.

use super::{
    waiting::{LONG, Remote, SOON, assert_store_failed, nothing},
    *,
};
use crate::exactly_once::store::Outage;

#[tokio::test(start_paused = true)]
async fn a_hold_whose_step_was_lost_ends_when_the_store_is_back() {
    let remote = Remote::new();
    let (replica, world, id) = (remote.replica(), nothing(), Some(RequestId::generate()));
    world.lock().unwrap().takes = Duration::from_secs(1);
    let outage = async {
        sleep(Duration::from_millis(500)).await;
        // Nothing has found out yet when the creation is about to be sent.
        remote.goes(Outage::Refused);
    };
    let (created, ()) = tokio::join!(replica.create_within(LONG, id, &world), outage);
    assert_store_failed(created, true);
    remote.is_back();
    sleep(SOON).await;
    // Not only when the lease has ended.
    let began = Instant::now();
    replica.create_within(LONG, id, &world).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert_eq!(world.lock().unwrap().sent.len(), 1);
}

/// The step is taken, but the creation does not learn that, and sends nothing.
#[tokio::test(start_paused = true)]
async fn a_creation_that_was_not_sent_because_its_begin_was_lost_is_sent_by_a_retry() {
    let remote = Remote::new();
    let (replica, world, id) = (remote.replica(), nothing(), Some(RequestId::generate()));
    remote.loses_begins(1);
    assert_store_failed(replica.create_within(LONG, id, &world).await, true);
    assert!(world.lock().unwrap().sent.is_empty());
    sleep(Duration::from_millis(1)).await;
    let began = Instant::now();
    assert_eq!(replica.create_within(LONG, id, &world).await.unwrap().id, "thing 1");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// What was sent before may still be executed.
#[tokio::test(start_paused = true)]
async fn a_creation_that_was_lost_before_stays_lost_when_it_is_not_resent() {
    let remote = Remote::new();
    let (replica, id) = (remote.replica(), Some(RequestId::generate()));
    let world = world(World { lost: 1, ..World::default() });
    let failure = replica.create_within(LONG, id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    sleep(RETENTION.settled_after()).await;
    remote.loses_begins(1);
    // It was just proven that nothing was created.
    assert_store_failed(replica.create_within(LONG, id, &world).await, false);
    assert_eq!(world.lock().unwrap().sent.len(), 1);
    sleep(Duration::from_millis(1)).await;
    // It needs the proof again that nothing was created.
    let failure = replica.create_within(LONG, id, &world).await.unwrap_err();
    assert!(matches!(&*failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    sleep(RETENTION.settled_after()).await;
    assert_eq!(replica.create_within(LONG, id, &world).await.unwrap().id, "thing 2");
}
