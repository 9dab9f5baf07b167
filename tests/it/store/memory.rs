//! What is special to the store in memory.

use std::time::Duration;

use hubspot_connection_service::idempotency::{Claim, Keep, MemoryStore, Recorded, Store, StoreError};

use super::{connection, lease, outcome, retry, subject::RETENTION};

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_new_ids_and_keeps_the_others() {
    let store = MemoryStore::new(RETENTION, 2);
    let (one, two, three) = (lease("1"), lease("2"), lease("3"));
    assert_eq!(store.claim(&one).await.unwrap(), Claim::Fresh);
    assert_eq!(store.claim(&two).await.unwrap(), Claim::Fresh);
    let full = store.claim(&three).await;
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");

    // Every step on what it knows goes on, and the truth is written even beyond the limit.
    store.begin_sending(&one).await.unwrap();
    assert_eq!(store.done(&one, &connection("c-1"), Keep::Remember).await.unwrap(), Recorded::Done);
    assert_eq!(store.claim(&retry(&one)).await.unwrap(), Claim::Done(outcome("c-1")));
    assert_eq!(store.done(&three, &connection("c-3"), Keep::Remember).await.unwrap(), Recorded::Done);
    let full = store.claim(&lease("4")).await;
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");

    tokio::time::advance(RETENTION.request_id + Duration::from_secs(1)).await;
    assert_eq!(store.claim(&lease("4")).await.unwrap(), Claim::Fresh);
    assert_eq!(store.claim(&lease("5")).await.unwrap(), Claim::Fresh);
}

#[tokio::test(start_paused = true)]
async fn locks_and_forgotten_outcomes_take_no_room() {
    let store = MemoryStore::new(RETENTION, 1);
    for n in 0..100 {
        let held = lease(&format!("name {n}"));
        assert_eq!(store.claim(&held).await.unwrap(), Claim::Fresh);
        store.begin_sending(&held).await.unwrap();
        let created = connection(&format!("c-{n}"));
        assert_eq!(store.done(&held, &created, Keep::Forget).await.unwrap(), Recorded::Done);
    }
}
