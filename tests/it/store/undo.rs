//! Records of creations that are undone or withdrawn.

use hubspot_connection_service::exactly_once::store::{Claim, Lease};

use super::{
    Subject,
    expect::{
        HOUR, SECOND, assert_fresh, assert_in_progress, assert_lost, assert_other_content, assert_unknown,
    },
    lease, other_content, outcome, retry,
    step::{Keep, Recorded, Steps as _},
    subject::RETENTION,
};

async fn context_to_undo(subject: &Subject, lease: &Lease) -> String {
    let claim = subject.claim(lease).await;
    let Claim::Undoing { context } = claim else { panic!("{claim:?}") };
    context
}

/// A creation whose request was refused.
async fn refused(subject: &Subject) -> Lease {
    let held = lease();
    subject.send(&held).await;
    subject.store.not_created(&held).await.unwrap();
    held
}

pub(super) async fn an_undo_is_continued_by_the_next_holder(subject: Subject) {
    let held = refused(&subject).await;
    subject.store.undo(&held, "source/1,target/2").await.unwrap();
    assert_in_progress(subject.claim(&retry(&held)).await, RETENTION.lease);
    subject.pass(RETENTION.lease + SECOND).await;
    let next = retry(&held);
    assert_eq!(context_to_undo(&subject, &next).await, "source/1,target/2");
    // What is late changes nothing.
    assert_lost(subject.store.undone(&held).await);
    assert_lost(subject.store.undo(&held, "late").await);
    assert_lost(subject.store.abandon(&held).await);
    // A part of it remains.
    subject.store.undo(&next, "source/1").await.unwrap();
    subject.store.abandon(&next).await.unwrap();
    let last = retry(&held);
    assert_eq!(context_to_undo(&subject, &last).await, "source/1");
    subject.store.undone(&last).await.unwrap();
    subject.store.abandon(&last).await.unwrap();
    assert_fresh(subject.claim(&retry(&held)).await);
}

pub(super) async fn nothing_is_sent_or_released_while_something_has_to_be_undone(subject: Subject) {
    let held = refused(&subject).await;
    subject.store.undo(&held, "source/1").await.unwrap();
    assert_lost(subject.store.begin_sending(&held, subject.wall_ms()).await);
    assert_lost(subject.store.resend(&held, subject.wall_ms()).await);
    assert_lost(subject.store.release(&held).await);
    assert_eq!(context_to_undo(&subject, &held).await, "source/1");
    subject.store.undone(&held).await.unwrap();
    subject.begin_sending(&held).await;
}

pub(super) async fn nothing_is_undone_or_withdrawn_under_an_expired_lease(subject: Subject) {
    let held = refused(&subject).await;
    subject.pass(RETENTION.lease + SECOND).await;
    assert_lost(subject.store.undo(&held, "source/1").await);
    assert_lost(subject.store.withdraw(&held, subject.wall_ms()).await);
    subject.store.renew(&held).await.unwrap();
    subject.store.undo(&held, "source/1").await.unwrap();
    subject.pass(RETENTION.lease + SECOND).await;
    assert_lost(subject.store.undo(&held, "nothing").await);
    assert_eq!(context_to_undo(&subject, &retry(&held)).await, "source/1");
}

pub(super) async fn nothing_that_was_sent_is_undone_or_withdrawn(subject: Subject) {
    let held = lease();
    subject.send(&held).await;
    assert_lost(subject.store.undo(&held, "source/1").await);
    assert_lost(subject.store.withdraw(&held, subject.wall_ms()).await);
    subject.pass(20 * SECOND).await;
    assert_unknown(subject.claim(&retry(&held)).await, 20 * SECOND, 20 * SECOND);
}

pub(super) async fn an_attempt_after_an_undo_is_a_first_sending(subject: Subject) {
    let held = lease();
    subject.send_twice(&held).await;
    subject.store.not_created(&held).await.unwrap();
    subject.pass(5 * SECOND).await;
    subject.store.undo(&held, "source/1").await.unwrap();
    subject.store.undone(&held).await.unwrap();
    subject.begin_sending(&held).await;
    // No earlier sending was lost.
    subject.store.not_created(&held).await.unwrap();
    subject.store.release(&held).await.unwrap();
}

pub(super) async fn an_undo_is_remembered_a_full_time_after_its_last_change(subject: Subject) {
    let held = refused(&subject).await;
    subject.store.undo(&held, "source/1").await.unwrap();
    subject.pass(RETENTION.request_id - HOUR).await;
    assert_eq!(context_to_undo(&subject, &retry(&held)).await, "source/1");
    subject.pass(RETENTION.request_id - HOUR).await;
    let other = other_content(&held);
    assert_other_content(subject.claim(&other).await, &held.fingerprints.current, None);
    subject.pass(2 * HOUR).await;
    assert_fresh(subject.claim(&other).await);
}

pub(super) async fn a_withdrawn_id_creates_nothing_more(subject: Subject) {
    let [claimed, unknown, undoing] = [lease(), lease(), lease()];
    assert_fresh(subject.claim(&claimed).await);
    subject.send(&unknown).await;
    subject.store.outcome_unknown(&unknown).await.unwrap();
    assert_fresh(subject.claim(&undoing).await);
    subject.store.undo(&undoing, "source/1").await.unwrap();
    let withdrawn = outcome("c-withdrawn");
    for held in [claimed, unknown, undoing] {
        subject.store.withdraw(&held, subject.wall_ms()).await.unwrap();
        assert_eq!(subject.outcome(&held).await, withdrawn);
        assert_eq!(subject.outcome(&retry(&held)).await, withdrawn);
        assert_other_content(
            subject.claim(&other_content(&held)).await,
            &held.fingerprints.current,
            Some("c-withdrawn"),
        );
        assert_lost(subject.store.begin_sending(&held, subject.wall_ms()).await);
        assert_lost(subject.store.undone(&held).await);
        assert_eq!(subject.done(&held, "c-1", Keep::Remember).await, Recorded::Already(withdrawn.clone()));
    }
}
