//! The times that every store records.

use std::time::Duration;

use hubspot_connection_service::exactly_once::store::{Claim, Lease, Moment, Origin};

use super::{
    Subject, connection,
    expect::{HOUR, SECOND, assert_ago, assert_remembers, assert_unknown},
    lease, retry,
    step::{Keep, Steps as _},
    subject::{BEGIN_MS, RETENTION},
};

/// The times of the first and the last sending.
async fn sent(subject: &Subject, lease: &Lease) -> (Moment, Moment) {
    let claim = subject.claim(lease).await;
    let Claim::Unknown { first_sent, last_sent, .. } = claim else { panic!("{claim:?}") };
    (first_sent, last_sent)
}

pub(super) async fn a_claim_reports_for_how_long_the_store_remembers(subject: Subject) {
    let held = lease();
    assert_remembers(subject.claim(&held).await, Duration::ZERO);
    subject.pass(HOUR).await;
    assert_remembers(subject.claim(&lease()).await, HOUR);
    // This also holds for the id that existed when the store started.
    assert_remembers(subject.claim(&retry(&held)).await, HOUR);
    // No record is that old, and the store still counts.
    subject.pass(2 * RETENTION.request_id).await;
    assert_remembers(subject.claim(&held).await, HOUR + 2 * RETENTION.request_id);
}

pub(super) async fn times_are_returned_by_both_clocks(subject: Subject) {
    // The clocks of the senders are arbitrary.
    for (first_ms, last_ms, done_ms) in
        [(BEGIN_MS, BEGIN_MS + 1, BEGIN_MS + 2), (0, 0, 0), (-1, 999_999_999_999_999, -2)]
    {
        let held = lease();
        subject.claim(&held).await;
        subject.store.begin_sending(&held, first_ms).await.unwrap();
        subject.pass(10 * SECOND).await;
        let (first, last) = sent(&subject, &held).await;
        assert_eq!((first, first.wall_ms), (last, Some(first_ms)));
        assert_ago(first, 10 * SECOND);

        subject.store.resend(&held, last_ms).await.unwrap();
        subject.pass(20 * SECOND).await;
        let (first, last) = sent(&subject, &retry(&held)).await;
        assert_eq!((first.wall_ms, last.wall_ms), (Some(first_ms), Some(last_ms)));
        assert_ago(first, 30 * SECOND);
        assert_ago(last, 20 * SECOND);

        let created = connection("c-1");
        subject.store.done(&held, &created, Origin::Search, Keep::Remember, done_ms).await.unwrap();
        subject.pass(40 * SECOND).await;
        let claim = subject.claim(&held).await;
        let Claim::Done { done, .. } = claim else { panic!("{claim:?}") };
        assert_eq!(done.wall_ms, Some(done_ms));
        assert_ago(done, 40 * SECOND);
    }
}

pub(super) async fn a_resend_keeps_the_first_sending_time(subject: Subject) {
    let first = lease();
    subject.send(&first).await;
    for times in 1..4 {
        subject.pass(100 * SECOND).await;
        let next = retry(&first);
        assert_unknown(subject.claim(&next).await, times * 100 * SECOND, 100 * SECOND);
        subject.resend(&next).await;
    }
    subject.pass(30 * SECOND).await;
    assert_unknown(subject.claim(&retry(&first)).await, 330 * SECOND, 30 * SECOND);
}

pub(super) async fn an_attempt_after_not_created_is_a_first_sending(subject: Subject) {
    let held = lease();
    subject.send(&held).await;
    subject.store.not_created(&held).await.unwrap();
    subject.pass(10 * SECOND).await;
    subject.begin_sending(&held).await;
    subject.pass(20 * SECOND).await;
    assert_unknown(subject.claim(&retry(&held)).await, 20 * SECOND, 20 * SECOND);
}

pub(super) async fn distrusted_clocks_keep_only_the_store_time_of_the_last_sending(subject: Subject) {
    let held = lease();
    subject.send_twice(&held).await;
    subject.store.outcome_unknown(&held).await.unwrap();
    subject.pass(10 * SECOND).await;
    subject.store.distrust_clocks(&held).await.unwrap();
    subject.pass(20 * SECOND).await;
    // It was still held when it was done, and the next holder knows no more than the previous one.
    let next = retry(&held);
    let (first, last) = sent(&subject, &next).await;
    let first_wall_ms = first.wall_ms;
    // The greater age of the first sending counts: its time does no harm.
    assert!(first_wall_ms.is_some() && last.wall_ms.is_none(), "{first:?} {last:?}");
    assert_ago(first, 30 * SECOND);
    assert_ago(last, 20 * SECOND);

    // A later sending has both times again.
    let wall_ms = subject.wall_ms();
    subject.store.resend(&next, wall_ms).await.unwrap();
    let (first, last) = sent(&subject, &next).await;
    assert_eq!((first.wall_ms, last.wall_ms), (first_wall_ms, Some(wall_ms)));
    assert_ago(first, 30 * SECOND);
    assert_ago(last, Duration::ZERO);
    // An earlier sending is still lost.
    subject.resend(&next).await;
    subject.store.not_created(&next).await.unwrap();
    sent(&subject, &next).await;
}

pub(super) async fn the_store_knows_the_age_of_a_sending_whatever_the_wall_clock_shows(subject: Subject) {
    let held = lease();
    subject.send(&held).await;
    subject.pass(20 * SECOND).await;
    let next = retry(&held);
    for wall_ms in [0, BEGIN_MS - 3_600_000, BEGIN_MS + 3_600_000] {
        let claim = subject.store.claim(&next, wall_ms).await.unwrap();
        assert_unknown(claim, 20 * SECOND, 20 * SECOND);
    }
}
