//! Deletion: the flow, then what only it used; never data.

use hubspot_connection_service::proto::LeftoverResource;

use super::{Flow, NOT_FOUND, Setup, kinds};
use crate::support::salesforce;

/// The requests of a deletion without faults.
pub(super) const DELETIONS: [&str; 4] =
    ["DELETE flows", "DELETE sourceConnections", "DELETE targetConnections", "DELETE mappingSets"];

#[tokio::test]
async fn what_only_the_dataflow_used_goes_in_order_and_its_data_stays() {
    let mut setup = Setup::new().await;
    let created = setup.create("ours").await;
    let made = created.resources.unwrap();
    let elsewhere = setup.create_elsewhere("theirs").await;
    let everything = setup.ledger();
    for (id, dataset, schema) in [
        (&created.id, &made.dataset_id, &made.schema_id),
        (&elsewhere.id, &elsewhere.dataset, &elsewhere.schema),
    ] {
        let before = setup.writes().len();
        let leftovers = setup.delete(id, false).await.unwrap();
        assert_eq!(kinds(&leftovers), [("dataset", &**dataset), ("schema", &**schema)]);
        assert!(leftovers.iter().all(|leftover| leftover.reason.contains("never deleted")));
        assert_eq!(setup.writes()[before..], DELETIONS);
        assert_eq!(setup.get(id).await.unwrap_err().row(), NOT_FOUND);
    }
    let left = setup.ledger();
    assert_eq!(
        (left.flows, left.source_connections, left.target_connections, left.mapping_sets),
        (0, 0, 0, 0)
    );
    assert_eq!((left.connections, left.datasets, left.schemas), (1, everything.datasets, everything.schemas));
    assert_eq!(left.field_groups, everything.field_groups);
}

#[tokio::test]
async fn what_another_dataflow_uses_stays_until_that_one_is_deleted() {
    let mut setup = Setup::new().await;
    let first = setup.create_elsewhere("first").await;
    let second = first.beside(&setup.service.emulator, &setup.connection, "second").await;
    let leftovers = setup.delete(&first.id, false).await.unwrap();
    assert_eq!(
        kinds(&leftovers),
        [
            ("target_connection", &*first.target),
            ("mapping_set", &*first.mapping_set),
            ("dataset", &*first.dataset),
            ("schema", &*first.schema),
        ]
    );
    for LeftoverResource { kind, reason, .. } in &leftovers[..2] {
        assert!(reason.contains(&second.id), "{kind}: {reason}");
    }
    let left = setup.ledger();
    assert_eq!(
        (left.flows, left.source_connections, left.target_connections, left.mapping_sets),
        (1, 1, 1, 1)
    );
    assert_eq!(setup.get(&second.id).await.unwrap().table, "Hubspot.Contacts");

    let leftovers = setup.delete(&second.id, false).await.unwrap();
    assert_eq!(kinds(&leftovers), [("dataset", &*first.dataset), ("schema", &*first.schema)]);
    // The first deletion has nothing left to do.
    let leftovers = setup.delete(&first.id, false).await.unwrap();
    assert_eq!(kinds(&leftovers), [("dataset", &*first.dataset), ("schema", &*first.schema)]);
    assert_eq!(setup.delete(&first.id, false).await.unwrap_err().row(), NOT_FOUND);
}

#[tokio::test]
async fn a_dataflow_that_does_not_exist_is_an_error_unless_it_may_be_missing() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    setup.delete(&id, true).await.unwrap();
    for id in [&*id, "3f8a5c1e-0000-4000-8000-000000000000"] {
        let sent = setup.writes().len();
        let failure = setup.delete(id, false).await.unwrap_err();
        assert_eq!(failure.row(), NOT_FOUND);
        assert_eq!(failure.metadata("dataflow_id"), id);
        assert_eq!(setup.delete(id, true).await.unwrap(), []);
        assert_eq!(setup.writes().len(), sent);
    }
}

#[tokio::test]
async fn a_flow_of_another_source_is_never_deleted() {
    let mut setup = Setup::new().await;
    let connection = salesforce(&setup.service.emulator).await;
    let flow = Flow::of_salesforce(&setup.service.emulator, &connection, "Accounts").await;
    let (ledger, sent) = (setup.ledger(), setup.writes().len());
    assert_eq!(setup.delete(&flow.id, false).await.unwrap_err().row(), NOT_FOUND);
    let _ = setup.delete(&flow.id, true).await;
    assert_eq!((setup.ledger(), setup.writes().len()), (ledger, sent));
}

#[tokio::test]
async fn what_a_flow_of_another_source_uses_too_stays() {
    let mut setup = Setup::new().await;
    let connection = salesforce(&setup.service.emulator).await;
    let foreign = Flow::of_salesforce(&setup.service.emulator, &connection, "Accounts").await;
    let ours = foreign.beside(&setup.service.emulator, &setup.connection, "Contacts").await;
    let leftovers = setup.delete(&ours.id, false).await.unwrap();
    assert_eq!(
        kinds(&leftovers)[..2],
        [("target_connection", &*foreign.target), ("mapping_set", &*foreign.mapping_set)]
    );
    let left = setup.ledger();
    assert_eq!((left.flows, left.target_connections, left.mapping_sets), (1, 1, 1));
}

#[tokio::test]
async fn a_dataflow_that_is_paused_or_a_draft_is_deleted() {
    let mut setup = Setup::new().await;
    for state in ["disabled", "draft"] {
        let id = setup.create_elsewhere(state).await.id;
        setup.service.emulator.set_state(&id, state);
        setup.delete(&id, false).await.unwrap();
    }
    assert_eq!(setup.ledger().flows, 0);
}

#[tokio::test]
async fn a_state_that_does_not_allow_it_changes_nothing() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    let before = setup.ledger();
    setup.service.emulator.set_state(&id, "updating");
    let failure = setup.delete(&id, false).await.unwrap_err();
    assert_eq!(failure.reason, "DATAFLOW_STATE");
    assert!(
        failure.message.contains("DATAFLOW_STATE_UPDATING")
            && failure.message.contains("nothing was deleted")
    );
    assert_eq!(setup.ledger(), before);
    setup.service.emulator.set_state(&id, "enabled");
    setup.delete(&id, false).await.unwrap();
}
