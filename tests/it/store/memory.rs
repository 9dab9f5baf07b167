//! The special behaviours of the store in memory.

use std::time::Duration;

use hubspot_connection_service::exactly_once::store::{Lease, MemoryStore, Origin, Store, StoreError};

use super::{
    connection,
    expect::{SECOND, assert_fresh, assert_remembers},
    lease, retry,
    step::{Keep, Recorded, Steps as _},
    subject::{BEGIN_MS, RETENTION},
};

async fn assert_full(store: &MemoryStore) {
    let full = store.claim(&lease(), BEGIN_MS).await;
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_new_ids_and_keeps_the_others() {
    let store = MemoryStore::new(RETENTION, 2);
    let (one, two, three) = (lease(), lease(), lease());
    let done = async |lease: &Lease, id: &str| {
        store.done(lease, &connection(id), Origin::Reply, Keep::Remember, BEGIN_MS).await.unwrap()
    };
    assert_fresh(store.claim(&one, BEGIN_MS).await.unwrap());
    assert_fresh(store.claim(&two, BEGIN_MS).await.unwrap());
    assert_full(&store).await;

    // Every step on a known id still works, and an outcome is recorded even beyond the limit.
    store.begin_sending(&one, BEGIN_MS).await.unwrap();
    assert_eq!(done(&one, "c-1").await, Recorded::Done);
    assert!(matches!(done(&retry(&one), "c-1").await, Recorded::Already(_)));
    assert_eq!(done(&three, "c-3").await, Recorded::Done);
    assert_full(&store).await;

    tokio::time::advance(RETENTION.request_id + SECOND).await;
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
    assert_full(&store).await;
}

#[tokio::test(start_paused = true)]
async fn released_and_forgotten_ids_take_no_space() {
    let store = MemoryStore::new(RETENTION, 1);
    for n in 0..100 {
        let held = lease();
        assert_fresh(store.claim(&held, BEGIN_MS).await.unwrap());
        if n % 2 == 0 {
            store.release(&held).await.unwrap();
        } else {
            store.begin_sending(&held, BEGIN_MS).await.unwrap();
            let created = connection("c-1");
            let recorded = store.done(&held, &created, Origin::Reply, Keep::Forget, BEGIN_MS).await.unwrap();
            assert_eq!(recorded, Recorded::Done);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_starts_with_the_store_whatever_the_wall_clock_shows() {
    let store = MemoryStore::new(RETENTION, 10);
    tokio::time::advance(100 * SECOND).await;
    for wall_ms in [BEGIN_MS, 0, BEGIN_MS + 3_600_000] {
        assert_remembers(store.claim(&lease(), wall_ms).await.unwrap(), 100 * SECOND);
    }
    let restarted = MemoryStore::new(RETENTION, 10);
    assert_remembers(restarted.claim(&lease(), BEGIN_MS).await.unwrap(), Duration::ZERO);
}
