//! How every store handles the outcome of a creation.

use hubspot_connection_service::{
    exactly_once::store::Origin,
    service::{Outcome, Verdict},
};

use super::{
    Subject, connection,
    expect::{HOUR, SECOND, assert_fresh, assert_lost, assert_other_content, assert_unknown},
    lease, other_content, outcome, retry,
    step::{Keep, Recorded, Steps as _},
    subject::RETENTION,
};

const KEEPS: [Keep; 3] = [Keep::Remember, Keep::RememberUnverified, Keep::Forget];

pub(super) async fn a_done_record_is_returned_to_every_caller(subject: Subject) {
    for origin in [Origin::Reply, Origin::Search, Origin::Unrecorded] {
        for (keep, verdict) in [(Keep::Remember, None), (Keep::RememberUnverified, Some(Verdict::Pending))] {
            let held = lease();
            subject.send(&held).await;
            let (created, wall_ms) = (connection("c-1"), subject.wall_ms());
            let recorded = subject.store.done(&held, &created, origin, keep, wall_ms).await.unwrap();
            assert_eq!(recorded, Recorded::Done);
            let expected = Outcome::new(created, origin, verdict);
            assert_eq!(subject.outcome(&held).await, expected);
            assert_eq!(subject.outcome(&retry(&held)).await, expected);
            assert_lost(subject.store.abandon(&held).await);
        }
    }
}

pub(super) async fn the_first_outcome_stays(subject: Subject) {
    let held = lease();
    subject.send(&held).await;
    subject.done(&held, "c-1", Keep::Remember).await;
    for keep in KEEPS {
        for attempt in [&held, &retry(&held), &other_content(&held)] {
            for id in ["c-1", "c-2"] {
                assert_eq!(subject.done(attempt, id, keep).await, Recorded::Already(outcome("c-1")));
            }
        }
    }
    assert_eq!(subject.outcome(&retry(&held)).await, outcome("c-1"));
}

pub(super) async fn an_outcome_is_recorded_in_every_state_by_any_holder(subject: Subject) {
    for by_the_holder in [true, false] {
        let leases = [lease(), lease(), lease(), lease(), lease(), lease()];
        let [claimed, sending, unknown, resent, abandoned, undoing] = &leases;
        assert_fresh(subject.claim(claimed).await);
        subject.send(sending).await;
        subject.send(unknown).await;
        subject.store.outcome_unknown(unknown).await.unwrap();
        subject.send_twice(resent).await;
        subject.send(abandoned).await;
        subject.store.abandon(abandoned).await.unwrap();
        assert_fresh(subject.claim(undoing).await);
        subject.store.undo(undoing, "what is undone").await.unwrap();
        for held in &leases {
            let by = if by_the_holder { held.clone() } else { retry(held) };
            assert_eq!(subject.done(&by, "c-1", Keep::Remember).await, Recorded::Done);
            assert_eq!(subject.outcome(&retry(held)).await, outcome("c-1"));
            assert_lost(subject.store.renew(held).await);
        }
    }

    // The holder has lost the record, and its successor has sent again.
    let late = lease();
    subject.send(&late).await;
    subject.pass(RETENTION.lease + SECOND).await;
    let successor = retry(&late);
    let age = RETENTION.lease + SECOND;
    assert_unknown(subject.claim(&successor).await, age, age);
    subject.resend(&successor).await;
    assert_eq!(subject.done(&late, "c-1", Keep::Remember).await, Recorded::Done);
    assert_lost(subject.store.not_created(&successor).await);
    assert_eq!(subject.done(&successor, "c-2", Keep::Remember).await, Recorded::Already(outcome("c-1")));
}

pub(super) async fn an_outcome_is_recorded_without_a_record(subject: Subject) {
    let missing = lease();
    assert_eq!(subject.done(&missing, "c-1", Keep::Remember).await, Recorded::Done);
    assert_eq!(subject.outcome(&retry(&missing)).await, outcome("c-1"));
    assert_other_content(
        subject.claim(&other_content(&missing)).await,
        &missing.fingerprints.current,
        Some("c-1"),
    );
}

pub(super) async fn an_outcome_records_the_content_that_was_sent(subject: Subject) {
    // The id was forgotten, and used for other content.
    let forgotten = lease();
    let other = other_content(&forgotten);
    assert_fresh(subject.claim(&other).await);
    assert_eq!(subject.done(&forgotten, "c-1", Keep::Remember).await, Recorded::Done);
    assert_other_content(subject.claim(&other).await, &forgotten.fingerprints.current, Some("c-1"));
    assert_eq!(subject.outcome(&forgotten).await, outcome("c-1"));
}

pub(super) async fn a_forgotten_outcome_leaves_no_record(subject: Subject) {
    let (held, missing) = (lease(), lease());
    subject.send(&held).await;
    for lease in [held, missing] {
        for _ in 0..2 {
            assert_eq!(subject.done(&lease, "c-1", Keep::Forget).await, Recorded::Done);
        }
        assert_lost(subject.store.renew(&lease).await);
        assert_fresh(subject.claim(&other_content(&lease)).await);
    }
}

pub(super) async fn one_connection_may_be_the_outcome_of_two_ids(subject: Subject) {
    let (one, other) = (lease(), lease());
    for held in [&one, &other] {
        subject.send(held).await;
        assert_eq!(subject.done(held, "c-1", Keep::Remember).await, Recorded::Done);
        assert_eq!(subject.outcome(held).await, outcome("c-1"));
    }
}

pub(super) async fn an_outcome_is_forgotten_in_the_end(subject: Subject) {
    let done = lease();
    subject.send(&done).await;
    subject.pass(HOUR).await;
    // The time starts with the last change.
    subject.done(&done, "c-1", Keep::Remember).await;
    subject.pass(RETENTION.request_id - HOUR).await;
    assert_eq!(subject.outcome(&retry(&done)).await, outcome("c-1"));
    // A replay changes nothing.
    assert_eq!(subject.done(&done, "c-2", Keep::Remember).await, Recorded::Already(outcome("c-1")));
    subject.pass(HOUR + SECOND).await;
    assert_fresh(subject.claim(&other_content(&done)).await);
}
