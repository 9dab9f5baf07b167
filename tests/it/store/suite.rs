//! How every store handles records and leases.

use std::{sync::Arc, time::Duration};

use hubspot_connection_service::exactly_once::{
    Comparison, FingerprintKeys,
    store::{self, Claim, Lease},
};
use tokio::task::JoinSet;

use super::{
    KEYS, Subject,
    expect::{
        HOUR, SECOND, assert_fresh, assert_in_progress, assert_lost, assert_other_content, assert_unknown,
    },
    fingerprints, first_key, lease, other_content, outcome, retry,
    step::{Keep, Recorded, Reply, Step, Steps as _},
    subject::RETENTION,
};

pub(super) async fn a_new_id_is_held_by_its_first_holder(subject: Subject) {
    let first = lease();
    assert_fresh(subject.claim(&first).await);
    assert_in_progress(subject.claim(&retry(&first)).await, RETENTION.lease);
    assert_fresh(subject.claim(&lease()).await);
}

pub(super) async fn many_claims_of_one_id_give_one_holder(subject: Subject) {
    let first = lease();
    let mut claims = JoinSet::new();
    for _ in 0..50 {
        let (store, lease, wall_ms) = (Arc::clone(&subject.store), retry(&first), subject.wall_ms());
        claims.spawn(async move { store.claim(&lease, wall_ms).await.unwrap() });
    }
    let claims = claims.join_all().await;
    let fresh = claims.iter().filter(|claim| matches!(claim, Claim::Fresh { .. })).count();
    let in_progress = claims.iter().filter(|claim| matches!(claim, Claim::InProgress { .. })).count();
    assert_eq!((fresh, in_progress), (1, 49));
}

pub(super) async fn other_content_names_the_stored_fingerprint_and_the_connection(subject: Subject) {
    let held = lease();
    let other = other_content(&held);
    let stored = &held.fingerprints.current;
    assert_eq!(other.fingerprints.compare(stored), Comparison::Differs(vec!["description".to_owned()]));

    assert_fresh(subject.claim(&held).await);
    assert_other_content(subject.claim(&other).await, stored, None);
    subject.begin_sending(&held).await;
    assert_other_content(subject.claim(&other).await, stored, None);
    subject.store.outcome_unknown(&held).await.unwrap();
    assert_other_content(subject.claim(&other).await, stored, None);
    subject.store.abandon(&held).await.unwrap();
    assert_other_content(subject.claim(&other).await, stored, None);
    // None of these claims acquired the record.
    assert_unknown(subject.claim(&held).await, Duration::ZERO, Duration::ZERO);

    subject.done(&held, "c-1", Keep::Remember).await;
    assert_other_content(subject.claim(&other).await, stored, Some("c-1"));
    assert_eq!(subject.outcome(&held).await, outcome("c-1"));
}

pub(super) async fn the_same_id_in_another_sandbox_is_other_content(subject: Subject) {
    let here = lease();
    let there = Lease { fingerprints: fingerprints(&first_key(), "dev", ""), ..retry(&here) };
    let stored = &here.fingerprints.current;
    assert_eq!(there.fingerprints.compare(stored), Comparison::Differs(vec!["sandbox_name".to_owned()]));
    subject.send(&here).await;
    assert_other_content(subject.claim(&there).await, stored, None);
    subject.done(&here, "c-1", Keep::Remember).await;
    assert_other_content(subject.claim(&there).await, stored, Some("c-1"));
}

/// The same creation, by a service with these keys.
fn under(lease: &Lease, current: usize, previous: Option<usize>) -> Lease {
    let keys = FingerprintKeys::new(&KEYS[current], previous.map(|previous| KEYS[previous].as_slice()));
    Lease { fingerprints: fingerprints(&keys, "prod", ""), ..retry(lease) }
}

pub(super) async fn content_is_recognized_under_the_previous_key(subject: Subject) {
    let before = lease();
    assert_fresh(subject.claim(&before).await);
    // A rotation announces the new key first, and then writes with it.
    for rotating in [under(&before, 0, Some(1)), under(&before, 1, Some(0))] {
        assert_in_progress(subject.claim(&rotating).await, RETENTION.lease);
    }
    subject.pass(RETENTION.lease + SECOND).await;
    let rotating = under(&before, 1, Some(0));
    assert_fresh(subject.claim(&rotating).await);
    subject.begin_sending(&rotating).await;
    subject.done(&rotating, "c-1", Keep::Remember).await;
    // A replica that has only the key of the record still recognizes it.
    assert_eq!(subject.outcome(&before).await, outcome("c-1"));
    // A record of the new key is recognized by a replica that writes with the old one.
    let after = under(&lease(), 1, Some(0));
    subject.send(&after).await;
    subject.done(&after, "c-2", Keep::Remember).await;
    assert_eq!(subject.outcome(&under(&after, 0, Some(1))).await, outcome("c-2"));
}

pub(super) async fn content_under_a_removed_key_cannot_be_compared(subject: Subject) {
    let before = lease();
    let after = under(&before, 1, None);
    let stored = &before.fingerprints.current;
    assert_eq!(after.fingerprints.compare(stored), Comparison::UnknownKey);
    subject.send(&before).await;
    subject.pass(RETENTION.lease + SECOND).await;
    assert_other_content(subject.claim(&after).await, stored, None);
    subject.done(&before, "c-1", Keep::Remember).await;
    assert_other_content(subject.claim(&after).await, stored, Some("c-1"));
}

pub(super) async fn a_claim_that_nobody_renews_is_taken_over(subject: Subject) {
    let first = lease();
    let second = retry(&first);
    assert_fresh(subject.claim(&first).await);
    subject.pass(RETENTION.lease + SECOND).await;
    assert_fresh(subject.claim(&second).await);
    assert_lost(subject.store.renew(&first).await);
    assert_lost(subject.store.begin_sending(&first, subject.wall_ms()).await);
    assert_lost(subject.store.release(&first).await);
    assert_lost(subject.store.abandon(&first).await);
    subject.begin_sending(&second).await;
}

pub(super) async fn a_renewed_lease_lasts(subject: Subject) {
    let held = lease();
    assert_fresh(subject.claim(&held).await);
    subject.pass(RETENTION.lease / 3 * 2).await;
    subject.store.renew(&held).await.unwrap();
    subject.pass(RETENTION.lease / 3 * 2).await;
    assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease / 3);
    subject.begin_sending(&held).await;
}

pub(super) async fn every_step_of_a_holder_renews_its_lease(subject: Subject) {
    let held = lease();
    let steps = [&[Step::Claim, Step::Renew], &Step::OF_A_LOST_CREATION[..], &[Step::Claim]].concat();
    for step in steps {
        let reply = step.take(&*subject.store, &held, subject.wall_ms()).await;
        assert!(matches!(reply, Reply::Ok | Reply::Claim(_)), "{step:?}: {reply:?}");
        assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease);
        subject.pass(RETENTION.lease - 5 * SECOND).await;
    }
}

pub(super) async fn an_expired_lease_can_be_renewed_until_another_claims(subject: Subject) {
    let held = lease();
    assert_fresh(subject.claim(&held).await);
    subject.pass(RETENTION.lease + SECOND).await;
    subject.store.renew(&held).await.unwrap();
    assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease);
    subject.pass(RETENTION.lease + SECOND).await;
    assert_fresh(subject.claim(&retry(&held)).await);
    assert_lost(subject.store.renew(&held).await);
}

pub(super) async fn nothing_is_sent_under_an_expired_lease(subject: Subject) {
    let held = lease();
    assert_fresh(subject.claim(&held).await);
    subject.pass(RETENTION.lease + SECOND).await;
    assert_lost(subject.store.begin_sending(&held, subject.wall_ms()).await);
    subject.store.renew(&held).await.unwrap();
    subject.begin_sending(&held).await;
}

pub(super) async fn nothing_is_resent_under_an_expired_lease(subject: Subject) {
    let held = lease();
    subject.send(&held).await;
    subject.store.outcome_unknown(&held).await.unwrap();
    subject.pass(RETENTION.lease + SECOND).await;
    assert_lost(subject.store.resend(&held, subject.wall_ms()).await);
    subject.store.renew(&held).await.unwrap();
    subject.resend(&held).await;
}

pub(super) async fn an_interrupted_sending_is_unknown(subject: Subject) {
    let first = lease();
    subject.send(&first).await;
    assert_in_progress(subject.claim(&retry(&first)).await, RETENTION.lease);
    subject.pass(20 * SECOND).await;
    assert_unknown(subject.claim(&retry(&first)).await, 20 * SECOND, 20 * SECOND);
    assert_in_progress(subject.claim(&retry(&first)).await, RETENTION.lease);
    // The same in the state `unknown`.
    subject.pass(20 * SECOND).await;
    assert_unknown(subject.claim(&retry(&first)).await, 40 * SECOND, 40 * SECOND);
}

pub(super) async fn not_created_after_a_resend_is_unknown(subject: Subject) {
    // The last sending was refused, and an earlier one is still lost.
    let held = lease();
    subject.send_twice(&held).await;
    subject.store.not_created(&held).await.unwrap();
    assert_lost(subject.store.release(&held).await);
    assert_lost(subject.store.begin_sending(&held, subject.wall_ms()).await);
    // This stays so, however often it is sent.
    subject.resend(&held).await;
    subject.store.not_created(&held).await.unwrap();
    subject.store.abandon(&held).await.unwrap();
    assert_unknown(subject.claim(&retry(&held)).await, Duration::ZERO, Duration::ZERO);
}

pub(super) async fn a_record_that_created_nothing_is_fresh_to_the_next_holder(subject: Subject) {
    let held = lease();
    subject.send(&held).await;
    subject.store.not_created(&held).await.unwrap();
    assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease);
    subject.pass(RETENTION.lease + SECOND).await;
    let next = retry(&held);
    assert_fresh(subject.claim(&next).await);
    // An earlier sending is no lost sending of the next holder.
    subject.begin_sending(&next).await;
    subject.store.not_created(&next).await.unwrap();
    subject.store.release(&next).await.unwrap();
}

pub(super) async fn a_late_release_changes_nothing_that_was_sent(subject: Subject) {
    let first = lease();
    subject.send(&first).await;
    assert_lost(subject.store.release(&first).await);
    subject.pass(20 * SECOND).await;
    // The reply to this claim is too late for its caller, which releases the record.
    let late = retry(&first);
    assert_unknown(subject.claim(&late).await, 20 * SECOND, 20 * SECOND);
    assert_lost(subject.store.release(&late).await);
    assert_in_progress(subject.claim(&retry(&first)).await, RETENTION.lease);
    subject.store.abandon(&late).await.unwrap();
    let next = retry(&first);
    assert_unknown(subject.claim(&next).await, 20 * SECOND, 20 * SECOND);
    // The same where it was sent again.
    subject.resend(&next).await;
    assert_lost(subject.store.release(&next).await);
    subject.store.abandon(&next).await.unwrap();
    assert_unknown(subject.claim(&retry(&first)).await, 20 * SECOND, Duration::ZERO);
}

pub(super) async fn an_abandoned_record_keeps_its_state(subject: Subject) {
    let (sending, resent, unknown) = (lease(), lease(), lease());
    subject.send(&sending).await;
    subject.send_twice(&resent).await;
    subject.send(&unknown).await;
    subject.store.outcome_unknown(&unknown).await.unwrap();
    for held in [sending, resent, unknown] {
        subject.store.abandon(&held).await.unwrap();
        assert_lost(subject.store.renew(&held).await);
        // No caller waits for the end of the lease.
        assert_unknown(subject.claim(&retry(&held)).await, Duration::ZERO, Duration::ZERO);
    }
}

pub(super) async fn an_abandoned_claim_is_fresh_to_the_next(subject: Subject) {
    let held = lease();
    assert_fresh(subject.claim(&held).await);
    subject.store.abandon(&held).await.unwrap();
    assert_fresh(subject.claim(&retry(&held)).await);
}

pub(super) async fn a_claim_that_arrives_late_takes_nothing_back(subject: Subject) {
    let late = lease();
    let held = late.clone();
    held.holder.begin_claim();
    assert_fresh(subject.claim(&held).await);
    subject.begin_sending(&held).await;
    assert_in_progress(subject.claim(&late).await, RETENTION.lease);
    subject.store.not_created(&held).await.unwrap();
    subject.store.abandon(&held).await.unwrap();
    // It is a hold that nobody uses. No late step counts under it, but the abandoning.
    assert_fresh(subject.claim(&late).await);
    assert_lost(subject.store.renew(&held).await);
    assert_lost(subject.store.undo(&held, "a context").await);
    subject.store.abandon(&held).await.unwrap();
    assert_fresh(subject.claim(&retry(&held)).await);
}

pub(super) async fn a_claim_whose_reply_was_lost_is_repeated(subject: Subject) {
    let held = lease();
    assert_fresh(subject.claim(&held).await);
    held.holder.begin_claim();
    assert_fresh(subject.claim(&held).await);
    subject.begin_sending(&held).await;
}

pub(super) async fn a_released_id_is_free_for_other_content(subject: Subject) {
    let held = lease();
    assert_fresh(subject.claim(&held).await);
    subject.store.release(&held).await.unwrap();
    assert_fresh(subject.claim(&other_content(&held)).await);
}

pub(super) async fn a_record_is_forgotten_a_full_time_after_its_last_change(subject: Subject) {
    let (held, refused) = (lease(), lease());
    for lease in [&held, &refused] {
        subject.send(lease).await;
        subject.store.outcome_unknown(lease).await.unwrap();
    }
    subject.pass(RETENTION.request_id - HOUR).await;
    subject.store.renew(&held).await.unwrap();
    // A step that changes nothing prolongs nothing.
    assert_lost(subject.store.release(&refused).await);
    assert_other_content(subject.claim(&other_content(&refused)).await, &refused.fingerprints.current, None);
    subject.pass(HOUR + SECOND).await;
    assert_fresh(subject.claim(&other_content(&refused)).await);
    let age = RETENTION.request_id + SECOND;
    assert_unknown(subject.claim(&retry(&held)).await, age, age);
    assert_eq!(subject.done(&held, "c-1", Keep::Remember).await, Recorded::Done);
}

pub(super) async fn the_context_of_the_last_sending_comes_back(subject: Subject) {
    let (store, held, wall_ms) = (&subject.store, lease(), subject.wall_ms());
    let context = async |lease: &Lease| {
        let claim = subject.claim(lease).await;
        let Claim::Unknown { context, .. } = claim else { panic!("{claim:?}") };
        context
    };
    for sent in ["{\"a\": \"\u{1f40c}\n\0\"}", ""] {
        let held = lease();
        assert_fresh(subject.claim(&held).await);
        store.step(&held, store::Step::BeginSending, sent, wall_ms).await.unwrap();
        assert_eq!(context(&held).await, sent);
        store.step(&held, store::Step::Resend, "the next", wall_ms).await.unwrap();
        store.abandon(&held).await.unwrap();
        assert_eq!(context(&retry(&held)).await, "the next");
    }
    // What created nothing has none.
    assert_fresh(subject.claim(&held).await);
    store.step(&held, store::Step::BeginSending, "refused", wall_ms).await.unwrap();
    store.not_created(&held).await.unwrap();
    subject.begin_sending(&held).await;
    assert_eq!(context(&held).await, "");
}
