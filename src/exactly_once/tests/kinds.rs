//! One request id names one creation, whatever the method.

use super::*;
use crate::exactly_once::{
    Made, RecordProblem,
    store::{Holder, Lease, Step},
};

/// A lease of a connection's creation.
fn connections(id: RequestId) -> Lease {
    let content = [("method", "connection"), ("sandbox_name", "prod"), ("name", "n")];
    Lease { request_id: id, fingerprints: keys().fingerprints(content), holder: Holder::generate() }
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_connection_creates_nothing_else() {
    let outcome = r#"{"version":1,"id":"c-1","etag":"e","origin":"reply"}"#;
    for (outcome, id) in [(None, None), (Some(outcome), Some("c-1"))] {
        let (store, lease) = (store(), connections(RequestId::generate()));
        match outcome {
            None => drop(store.claim(&lease, 0).await.unwrap()),
            Some(outcome) => drop(store.record(&lease, Some(outcome), 0).await.unwrap()),
        }
        let world = world(World::default());
        let failure = Replica::with(store).create(lease.request_id, &world).await.unwrap_err();
        let Failure::RequestIdReused { differs, created } = &*failure else { panic!("{failure:?}") };
        assert_eq!(*differs, ["method"]);
        let connection = id.map(|id| Made { kind: Kind::Connection, id: id.to_owned() });
        assert_eq!(*created, connection);
        assert!(world.lock().unwrap().sent.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_of_an_unknown_kind_cannot_be_read() {
    let (store, lease) = (store(), connections(RequestId::generate()));
    store.record(&lease, Some(r#"{"version":1,"kind":"audience","id":"a-1"}"#), 0).await.unwrap();
    let failure = Replica::with(store).create(lease.request_id, &world(World::default())).await.unwrap_err();
    assert!(
        matches!(&*failure, Failure::RecordUnreadable { problem: RecordProblem::Damaged(_), .. }),
        "{failure:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_id_of_another_kind_names_nothing() {
    let (store, lease) = (store(), connections(RequestId::generate()));
    store.claim(&lease, 0).await.unwrap();
    let tombstone = r#"{"version":1,"kind":"connection","withdrawn":true,"id":"c-1"}"#;
    store.step(&lease, Step::Withdraw, tombstone, 0).await.unwrap();
    let failure = Replica::with(store).create(lease.request_id, &world(World::default())).await.unwrap_err();
    assert!(matches!(&*failure, Failure::RequestIdReused { created: None, .. }), "{failure:?}");
}
