//! What every store does with the outcome of a creation.

use std::time::Duration;

use hubspot_connection_service::{
    domain::{ConnectionId, RequestId},
    idempotency::{Claim, Keep, Key, Recorded},
};

use super::{
    Subject, connection,
    expect::{SECOND, assert_in_progress, assert_lost, assert_name_in_progress, assert_unknown},
    lease, other_content, outcome, retry,
    subject::RETENTION,
};

pub(super) async fn a_done_record_answers_everybody(subject: Subject) {
    let held = lease("n");
    subject.send(&held).await;
    let recorded = subject.store.done(&held, &connection("c-1"), Keep::Remember).await.unwrap();
    assert_eq!(recorded, Recorded::Done);
    assert_eq!(subject.claim(&held).await, Claim::Done(outcome("c-1")));
    assert_eq!(subject.claim(&retry(&held)).await, Claim::Done(outcome("c-1")));
    assert_eq!(subject.claim(&lease("n")).await, Claim::Fresh);
    assert_lost(subject.store.begin_sending(&held).await);
    assert_lost(subject.store.release(&held).await);
}

pub(super) async fn the_first_outcome_stays(subject: Subject) {
    let held = lease("n");
    subject.send(&held).await;
    subject.store.done(&held, &connection("c-1"), Keep::Remember).await.unwrap();
    for keep in [Keep::Remember, Keep::RememberUnverified, Keep::Forget] {
        let again = subject.store.done(&held, &connection("c-1"), keep).await.unwrap();
        assert_eq!(again, Recorded::Already(outcome("c-1")));
        let another = subject.store.done(&retry(&held), &connection("c-2"), keep).await.unwrap();
        assert_eq!(another, Recorded::Already(outcome("c-1")));
    }
    assert_eq!(subject.claim(&retry(&held)).await, Claim::Done(outcome("c-1")));
    // What was not recorded is free for the one that it belongs to.
    let other = lease("n");
    assert_eq!(subject.store.done(&other, &connection("c-2"), Keep::Remember).await.unwrap(), Recorded::Done);
}

pub(super) async fn a_late_outcome_is_recorded_whoever_holds_the_record(subject: Subject) {
    let late = lease("n");
    subject.send(&late).await;
    subject.pass(RETENTION.lease + SECOND).await;
    let successor = retry(&late);
    assert_unknown(subject.claim(&successor).await, RETENTION.lease, RETENTION.lease);
    assert_eq!(subject.store.done(&late, &connection("c-1"), Keep::Remember).await.unwrap(), Recorded::Done);
    assert_lost(subject.store.begin_sending(&successor).await);
    assert_eq!(subject.claim(&successor).await, Claim::Done(outcome("c-1")));

    let missing = lease("m");
    assert_eq!(
        subject.store.done(&missing, &connection("c-2"), Keep::Remember).await.unwrap(),
        Recorded::Done
    );
    assert_eq!(subject.claim(&retry(&missing)).await, Claim::Done(outcome("c-2")));

    // The id was forgotten, and taken for another content.
    let forgotten = lease("o");
    let other = other_content(&forgotten);
    assert_eq!(subject.claim(&other).await, Claim::Fresh);
    assert_eq!(
        subject.store.done(&forgotten, &connection("c-3"), Keep::Remember).await.unwrap(),
        Recorded::Done
    );
    assert_eq!(subject.claim(&other).await, Claim::OtherContent);
    assert_eq!(subject.claim(&forgotten).await, Claim::Done(outcome("c-3")));
}

pub(super) async fn an_outcome_belongs_to_one_id(subject: Subject) {
    let (one, other) = (lease("n"), lease("m"));
    let (first, second) = (connection("c-1"), connection("c-2"));
    subject.send(&one).await;
    subject.store.done(&one, &first, Keep::Remember).await.unwrap();
    subject.send(&other).await;
    for keep in [Keep::Remember, Keep::RememberUnverified, Keep::Forget] {
        let recorded = subject.store.done(&other, &first, keep).await.unwrap();
        assert_eq!(recorded, Recorded::BelongsToAnother);
    }
    assert_in_progress(subject.claim(&retry(&other)).await, RETENTION.lease);
    assert_name_in_progress(subject.claim(&lease("m")).await, RETENTION.settle_window);
    subject.store.done(&other, &second, Keep::Remember).await.unwrap();

    let ids = [connection("c-3").id, second.id.clone(), first.id.clone()];
    let stranger = Key { request_id: RequestId::generate(), ..one.key.clone() };
    let of_others = async |key, ids: &[ConnectionId]| {
        let others = subject.store.outcomes_of_others(key, ids).await.unwrap();
        others.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of_others(&one.key, &ids).await, ["c-2"]);
    assert_eq!(of_others(&other.key, &ids).await, ["c-1"]);
    assert_eq!(of_others(&stranger, &ids).await, ["c-2", "c-1"]);
    assert!(of_others(&stranger, &[]).await.is_empty());
}

pub(super) async fn the_outcome_of_a_forgotten_id_is_known_as_long_as_an_id(subject: Subject) {
    let held = lease("n");
    subject.send(&held).await;
    let created = connection("c-1");
    assert_eq!(subject.store.done(&held, &created, Keep::Forget).await.unwrap(), Recorded::Done);
    let other = lease("n");
    assert_eq!(subject.claim(&other).await, Claim::Fresh);
    let ids = [created.id.clone()];
    assert_eq!(subject.store.outcomes_of_others(&other.key, &ids).await.unwrap(), ids);
    assert_eq!(
        subject.store.done(&other, &created, Keep::Remember).await.unwrap(),
        Recorded::BelongsToAnother
    );
    subject.pass(RETENTION.request_id + SECOND).await;
    assert_eq!(subject.claim(&retry(&held)).await, Claim::Fresh);
    assert_eq!(subject.store.done(&other, &created, Keep::Remember).await.unwrap(), Recorded::Done);
}

pub(super) async fn an_id_is_forgotten_in_the_end(subject: Subject) {
    let done = lease("n");
    subject.send(&done).await;
    let hour = Duration::from_secs(60 * 60);
    subject.pass(hour).await;
    // The time counts from the last change.
    subject.store.done(&done, &connection("c-1"), Keep::Remember).await.unwrap();
    subject.pass(RETENTION.request_id - hour).await;
    assert_eq!(subject.claim(&retry(&done)).await, Claim::Done(outcome("c-1")));
    subject.pass(hour + SECOND).await;
    let other = lease("m");
    let others = subject.store.outcomes_of_others(&other.key, &[connection("c-1").id]).await.unwrap();
    assert_eq!(others, []);
    assert_eq!(subject.store.done(&other, &connection("c-1"), Keep::Remember).await.unwrap(), Recorded::Done);
    assert_eq!(subject.claim(&other_content(&done)).await, Claim::Fresh);
    let others = subject.store.outcomes_of_others(&done.key, &[connection("c-1").id]).await.unwrap();
    assert_eq!(others, [connection("c-1").id]);
}
