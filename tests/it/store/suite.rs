//! What every store does with records, leases and locks.

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::{
    domain::ConnectionName,
    idempotency::{Claim, FingerprintKeys, Keep, Key, Lease, Recorded},
};
use tokio::task::JoinSet;

use super::{
    KEYS, Subject, connection,
    expect::{SECOND, assert_in_progress, assert_lost, assert_name_in_progress, assert_unknown},
    fingerprints, lease, other_content, outcome, retry, sandbox,
    subject::RETENTION,
};

pub(super) async fn a_new_id_is_held_by_its_first_holder(subject: Subject) {
    let first = lease("n");
    assert_eq!(subject.claim(&first).await, Claim::Fresh);
    assert_in_progress(subject.claim(&retry(&first)).await, RETENTION.lease);
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.lease);
    assert_eq!(subject.claim(&lease("another name")).await, Claim::Fresh);
}

pub(super) async fn many_claims_of_one_id_give_one_holder(subject: Subject) {
    let first = lease("n");
    let mut claims = JoinSet::new();
    for _ in 0..50 {
        let (store, lease) = (Arc::clone(&subject.store), retry(&first));
        claims.spawn(async move { store.claim(&lease).await.unwrap() });
    }
    let claims = claims.join_all().await;
    let fresh = claims.iter().filter(|claim| **claim == Claim::Fresh).count();
    let in_progress = claims.iter().filter(|claim| matches!(claim, Claim::InProgress { .. })).count();
    assert_eq!((fresh, in_progress), (1, 49));
}

pub(super) async fn an_id_is_of_one_sandbox(subject: Subject) {
    let here = lease("n");
    let key = Key { sandbox: sandbox("dev"), request_id: here.key.request_id };
    let there = Lease { key, ..other_content(&here) };
    assert_eq!(subject.claim(&here).await, Claim::Fresh);
    assert_eq!(subject.claim(&there).await, Claim::Fresh);
    let created = connection("c-1");
    assert_eq!(subject.store.done(&here, &created, Keep::Remember).await.unwrap(), Recorded::Done);
    assert_in_progress(subject.claim(&retry(&there)).await, RETENTION.lease);
    let elsewhere = subject.store.outcomes_of_others(&there.key, &[created.id]).await.unwrap();
    assert_eq!(elsewhere, []);
}

pub(super) async fn other_content_is_refused_in_every_state(subject: Subject) {
    let held = lease("n");
    let other = other_content(&held);
    assert_eq!(subject.claim(&held).await, Claim::Fresh);
    assert_eq!(subject.claim(&other).await, Claim::OtherContent);
    subject.store.begin_sending(&held).await.unwrap();
    assert_eq!(subject.claim(&other).await, Claim::OtherContent);
    subject.pass(RETENTION.lease + SECOND).await;
    assert_eq!(subject.claim(&other).await, Claim::OtherContent);
    subject.store.done(&held, &connection("c-1"), Keep::Remember).await.unwrap();
    assert_eq!(subject.claim(&other).await, Claim::OtherContent);
}

pub(super) async fn content_is_recognized_under_the_previous_key(subject: Subject) {
    let before = lease("n");
    let under = |current: usize, previous: Option<usize>| {
        let keys = FingerprintKeys::new(&KEYS[current], previous.map(|previous| KEYS[previous].as_slice()));
        Lease { fingerprints: fingerprints(&keys, &before.name, ""), ..retry(&before) }
    };
    assert_eq!(subject.claim(&before).await, Claim::Fresh);
    let rotating = under(1, Some(0));
    assert_in_progress(subject.claim(&rotating).await, RETENTION.lease);
    assert_eq!(subject.claim(&under(1, None)).await, Claim::OtherContent);
    // A replica that has only the key which wrote the record still recognizes it.
    subject.pass(RETENTION.lease + SECOND).await;
    assert_eq!(subject.claim(&rotating).await, Claim::Fresh);
    subject.store.done(&rotating, &connection("c-1"), Keep::Remember).await.unwrap();
    assert_eq!(subject.claim(&before).await, Claim::Done(outcome("c-1")));
}

pub(super) async fn a_claim_that_nobody_renews_is_taken_over(subject: Subject) {
    let first = lease("n");
    let second = retry(&first);
    assert_eq!(subject.claim(&first).await, Claim::Fresh);
    subject.pass(RETENTION.lease + SECOND).await;
    assert_eq!(subject.claim(&second).await, Claim::Fresh);
    assert_lost(subject.store.renew(&first).await);
    assert_lost(subject.store.begin_sending(&first).await);
    assert_lost(subject.store.release(&first).await);
    subject.store.begin_sending(&second).await.unwrap();
}

pub(super) async fn a_renewed_lease_lasts(subject: Subject) {
    let held = lease("n");
    assert_eq!(subject.claim(&held).await, Claim::Fresh);
    subject.pass(RETENTION.lease / 3 * 2).await;
    subject.store.renew(&held).await.unwrap();
    subject.pass(RETENTION.lease / 3 * 2).await;
    assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease / 3);
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.lease / 3);
    subject.store.begin_sending(&held).await.unwrap();
}

pub(super) async fn an_expired_lease_can_be_renewed_while_nobody_has_taken_the_name(subject: Subject) {
    let held = lease("n");
    assert_eq!(subject.claim(&held).await, Claim::Fresh);
    subject.pass(RETENTION.lease + SECOND).await;
    subject.store.renew(&held).await.unwrap();
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.lease);
    subject.pass(RETENTION.lease + SECOND).await;
    assert_eq!(subject.claim(&lease("n")).await, Claim::Fresh);
    assert_lost(subject.store.renew(&held).await);
    assert_name_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease);
}

pub(super) async fn nothing_is_sent_under_an_expired_lease(subject: Subject) {
    let held = lease("n");
    assert_eq!(subject.claim(&held).await, Claim::Fresh);
    subject.pass(RETENTION.lease + SECOND).await;
    assert_lost(subject.store.begin_sending(&held).await);
    subject.store.renew(&held).await.unwrap();
    subject.store.begin_sending(&held).await.unwrap();
}

pub(super) async fn an_interrupted_sending_is_unknown(subject: Subject) {
    let first = lease("n");
    subject.send(&first).await;
    assert_in_progress(subject.claim(&retry(&first)).await, RETENTION.lease);
    subject.pass(20 * SECOND).await;
    let second = retry(&first);
    assert_unknown(subject.claim(&second).await, 20 * SECOND, 20 * SECOND);
    assert_in_progress(subject.claim(&retry(&first)).await, RETENTION.lease);
    // The same with a state that is unknown already.
    subject.pass(20 * SECOND).await;
    assert_unknown(subject.claim(&retry(&first)).await, 40 * SECOND, 40 * SECOND);
}

pub(super) async fn a_later_sending_does_not_move_the_first(subject: Subject) {
    let first = lease("n");
    subject.send(&first).await;
    subject.pass(100 * SECOND).await;
    let second = retry(&first);
    assert_unknown(subject.claim(&second).await, 100 * SECOND, 100 * SECOND);
    subject.store.begin_sending(&second).await.unwrap();
    subject.pass(30 * SECOND).await;
    assert_unknown(subject.claim(&retry(&first)).await, 130 * SECOND, 30 * SECOND);
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.settle_window - 30 * SECOND);
}

pub(super) async fn sending_locks_the_name_for_the_settle_window(subject: Subject) {
    let first = lease("n");
    subject.send(&first).await;
    subject.store.renew(&first).await.unwrap();
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.settle_window);
    subject.pass(RETENTION.settle_window - 10 * SECOND).await;
    assert_name_in_progress(subject.claim(&lease("n")).await, 10 * SECOND);
    subject.pass(11 * SECOND).await;
    assert_eq!(subject.claim(&lease("n")).await, Claim::Fresh);
    assert_name_in_progress(subject.claim(&retry(&first)).await, RETENTION.lease);
}

pub(super) async fn what_was_not_created_leaves_no_trace_but_the_lease(subject: Subject) {
    let held = lease("n");
    subject.send(&held).await;
    subject.store.not_created(&held).await.unwrap();
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.lease);
    assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease);
    subject.pass(RETENTION.lease + SECOND).await;
    assert_eq!(subject.claim(&retry(&held)).await, Claim::Fresh);
}

pub(super) async fn an_unknown_outcome_stays_held(subject: Subject) {
    let held = lease("n");
    subject.send(&held).await;
    subject.store.outcome_unknown(&held).await.unwrap();
    assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease);
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.settle_window);
    subject.store.begin_sending(&held).await.unwrap();
}

pub(super) async fn an_abandoned_record_is_free_and_its_name_is_not(subject: Subject) {
    let held = lease("n");
    subject.send(&held).await;
    subject.store.outcome_unknown(&held).await.unwrap();
    subject.store.abandon(&held).await.unwrap();
    assert_lost(subject.store.renew(&held).await);
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.settle_window);
    assert_unknown(subject.claim(&retry(&held)).await, Duration::ZERO, Duration::ZERO);

    // Without the step between.
    let sending = lease("m");
    subject.send(&sending).await;
    subject.store.abandon(&sending).await.unwrap();
    assert_unknown(subject.claim(&retry(&sending)).await, Duration::ZERO, Duration::ZERO);
}

pub(super) async fn an_abandoned_claim_is_fresh_to_the_next(subject: Subject) {
    let held = lease("n");
    assert_eq!(subject.claim(&held).await, Claim::Fresh);
    subject.store.abandon(&held).await.unwrap();
    assert_eq!(subject.claim(&retry(&held)).await, Claim::Fresh);
}

pub(super) async fn a_released_record_and_its_name_are_free(subject: Subject) {
    let held = lease("n");
    subject.send(&held).await;
    subject.store.release(&held).await.unwrap();
    assert_eq!(subject.claim(&lease("n")).await, Claim::Fresh);
    let again = Lease { name: ConnectionName::parse("m").unwrap(), ..other_content(&held) };
    assert_eq!(subject.claim(&again).await, Claim::Fresh);
}

pub(super) async fn the_name_of_another_is_left_alone(subject: Subject) {
    // Each of these lost the name to another id before its last step.
    let (done, released, refused, unknown) = (lease("d"), lease("r"), lease("x"), lease("u"));
    for held in [&done, &released, &refused, &unknown] {
        subject.send(held).await;
    }
    subject.pass(RETENTION.settle_window + SECOND).await;
    for name in ["d", "r", "x", "u"] {
        assert_eq!(subject.claim(&lease(name)).await, Claim::Fresh);
    }
    subject.store.done(&done, &connection("c-1"), Keep::Remember).await.unwrap();
    subject.store.release(&released).await.unwrap();
    subject.store.not_created(&refused).await.unwrap();
    subject.store.outcome_unknown(&unknown).await.unwrap();
    assert_lost(subject.store.begin_sending(&refused).await);
    assert_lost(subject.store.begin_sending(&unknown).await);
    for name in ["d", "r", "x", "u"] {
        assert_name_in_progress(subject.claim(&lease(name)).await, RETENTION.lease);
    }
}

pub(super) async fn steps_can_be_repeated(subject: Subject) {
    let held = lease("n");
    for _ in 0..2 {
        assert_eq!(subject.claim(&held).await, Claim::Fresh);
    }
    for _ in 0..2 {
        subject.store.renew(&held).await.unwrap();
    }
    for _ in 0..2 {
        subject.store.begin_sending(&held).await.unwrap();
    }
    for _ in 0..2 {
        subject.store.not_created(&held).await.unwrap();
    }
    subject.store.begin_sending(&held).await.unwrap();
    for _ in 0..2 {
        subject.store.outcome_unknown(&held).await.unwrap();
    }
    for _ in 0..2 {
        assert_unknown(subject.claim(&held).await, Duration::ZERO, Duration::ZERO);
    }
    for recorded in [Recorded::Done, Recorded::Already(outcome("c-1"))] {
        let again = subject.store.done(&held, &connection("c-1"), Keep::Remember).await.unwrap();
        assert_eq!(again, recorded);
    }
    let forgotten = lease("m");
    for _ in 0..2 {
        let recorded = subject.store.done(&forgotten, &connection("c-2"), Keep::Forget).await.unwrap();
        assert_eq!(recorded, Recorded::Done);
    }
}

pub(super) async fn strangers_change_nothing(subject: Subject) {
    let (held, missing) = (lease("n"), lease("m"));
    subject.send(&held).await;
    for stranger in [retry(&held), missing] {
        let store = &subject.store;
        assert_lost(store.renew(&stranger).await);
        assert_lost(store.begin_sending(&stranger).await);
        assert_lost(store.not_created(&stranger).await);
        assert_lost(store.outcome_unknown(&stranger).await);
        assert_lost(store.release(&stranger).await);
        assert_lost(store.abandon(&stranger).await);
    }
    assert_eq!(subject.claim(&lease("m")).await, Claim::Fresh);
    assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease);
    assert_name_in_progress(subject.claim(&lease("n")).await, RETENTION.settle_window);
    subject.store.outcome_unknown(&held).await.unwrap();
}

pub(super) async fn steps_that_make_no_sense_are_refused(subject: Subject) {
    let held = lease("n");
    assert_eq!(subject.claim(&held).await, Claim::Fresh);
    // Nothing was sent, so there is no outcome.
    assert_lost(subject.store.outcome_unknown(&held).await);
    subject.store.begin_sending(&held).await.unwrap();
    subject.store.outcome_unknown(&held).await.unwrap();
    // Something was sent, and nobody can say that it came to nothing.
    assert_lost(subject.store.not_created(&held).await);
    subject.store.abandon(&held).await.unwrap();
    assert_unknown(subject.claim(&retry(&held)).await, Duration::ZERO, Duration::ZERO);
}
