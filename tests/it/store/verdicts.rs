//! How every store handles the verdict on a connection.

use std::sync::Arc;

use hubspot_connection_service::{
    domain::{Check, CheckName, CheckState, ConnectionId, TestReport},
    exactly_once::store::Lease,
    service::{Outcome, Verdict},
};
use tokio::task::JoinSet;

use super::{
    Subject, connection,
    expect::{HOUR, SECOND, assert_fresh},
    lease, outcome, report, retry,
    step::{Keep, Recorded, Steps as _},
    subject::RETENTION,
};

fn passed(message: &str) -> Verdict {
    Verdict::Passed(report(message))
}

fn failed(message: &str) -> Verdict {
    Verdict::Failed(report(message))
}

fn deleted(message: &str) -> Verdict {
    Verdict::Deleted(report(message))
}

/// One of each kind, with different reports.
fn definite(message: &str) -> [Verdict; 3] {
    [passed(&format!("{message} p")), failed(&format!("{message} f")), deleted(&format!("{message} d"))]
}

fn id() -> ConnectionId {
    connection("c-1").id
}

/// A creation whose connection, `c-1`, waits for its verdict.
async fn unverified(subject: &Subject) -> Lease {
    let held = lease();
    subject.send(&held).await;
    assert_eq!(subject.done(&held, "c-1", Keep::RememberUnverified).await, Recorded::Done);
    held
}

async fn verified(subject: &Subject, lease: &Lease, verdict: &Verdict) -> Verdict {
    subject.store.verified(&lease.request_id, &id(), verdict).await.unwrap()
}

/// The response to a retry.
async fn recorded(subject: &Subject, lease: &Lease) -> Option<Verdict> {
    let Outcome { connection: created, verdict, .. } = subject.outcome(&retry(lease)).await;
    assert_eq!(created, connection("c-1"));
    verdict
}

pub(super) async fn a_created_connection_waits_for_its_verdict(subject: Subject) {
    let held = unverified(&subject).await;
    for attempt in [&held, &retry(&held)] {
        let verdict = Some(Verdict::Pending);
        assert_eq!(subject.outcome(attempt).await, Outcome { verdict, ..outcome("c-1") });
    }
    assert_eq!(verified(&subject, &held, &passed("It works.")).await, passed("It works."));
    for attempt in [&held, &retry(&held)] {
        let verdict = Some(passed("It works."));
        assert_eq!(subject.outcome(attempt).await, Outcome { verdict, ..outcome("c-1") });
    }
}

pub(super) async fn no_verdict_is_recorded_where_none_was_asked_for(subject: Subject) {
    let held = lease();
    subject.send(&held).await;
    subject.done(&held, "c-1", Keep::Remember).await;
    for verdict in [[Verdict::Pending].as_slice(), &definite("any")].concat() {
        assert_eq!(verified(&subject, &held, &verdict).await, verdict);
        assert_eq!(recorded(&subject, &held).await, None);
    }
    // A retry does not ask for one either.
    subject.done(&held, "c-1", Keep::RememberUnverified).await;
    assert_eq!(recorded(&subject, &held).await, None);
}

pub(super) async fn the_first_definite_verdict_stays(subject: Subject) {
    for first in definite("first") {
        for other in definite("other") {
            if matches!((&first, &other), (Verdict::Failed(_), Verdict::Deleted(_))) {
                continue;
            }
            let held = unverified(&subject).await;
            assert_eq!(verified(&subject, &held, &first).await, first);
            assert_eq!(verified(&subject, &held, &other).await, first, "{other:?}");
            assert_eq!(recorded(&subject, &held).await, Some(first.clone()), "{other:?}");
        }
    }
}

pub(super) async fn a_failed_connection_may_be_deleted(subject: Subject) {
    let held = unverified(&subject).await;
    assert_eq!(verified(&subject, &held, &failed("It does not.")).await, failed("It does not."));
    assert_eq!(recorded(&subject, &held).await, Some(failed("It does not.")));
    let gone = deleted("It does not.");
    assert_eq!(verified(&subject, &held, &gone).await, gone);
    for late in definite("late") {
        assert_eq!(verified(&subject, &held, &late).await, gone);
    }
    assert_eq!(recorded(&subject, &held).await, Some(gone));
}

pub(super) async fn a_pending_verdict_changes_nothing(subject: Subject) {
    let held = unverified(&subject).await;
    for known in [Verdict::Pending, failed("It does not."), deleted("It does not.")] {
        assert_eq!(verified(&subject, &held, &known).await, known);
        assert_eq!(verified(&subject, &held, &Verdict::Pending).await, known);
        assert_eq!(recorded(&subject, &held).await, Some(known));
    }
}

pub(super) async fn of_many_concurrent_verdicts_one_is_kept(subject: Subject) {
    let held = unverified(&subject).await;
    let mut verdicts = JoinSet::new();
    for replica in 0..50 {
        let verdict = match replica % 2 {
            0 => passed(&format!("replica {replica}")),
            _ => failed(&format!("replica {replica}")),
        };
        let (store, request_id) = (Arc::clone(&subject.store), held.request_id);
        verdicts.spawn(async move { store.verified(&request_id, &id(), &verdict).await.unwrap() });
    }
    let verdict = recorded_by_all(verdicts.join_all().await);
    assert_eq!(recorded(&subject, &held).await, Some(verdict));
}

fn recorded_by_all(replies: Vec<Verdict>) -> Verdict {
    assert!(replies.windows(2).all(|pair| pair[0] == pair[1]), "{replies:?}");
    replies.into_iter().next().unwrap()
}

pub(super) async fn a_repeated_outcome_keeps_the_verdict(subject: Subject) {
    let held = unverified(&subject).await;
    for verdict in [failed("It does not."), deleted("It does not.")] {
        verified(&subject, &held, &verdict).await;
        for keep in [Keep::RememberUnverified, Keep::Remember, Keep::Forget] {
            for attempt in [&held, &retry(&held)] {
                for made in ["c-1", "c-2"] {
                    let again = subject.done(attempt, made, keep).await;
                    let known = Outcome { verdict: Some(verdict.clone()), ..outcome("c-1") };
                    assert_eq!(again, Recorded::Already(known));
                }
            }
            assert_eq!(recorded(&subject, &held).await, Some(verdict.clone()));
        }
    }
}

pub(super) async fn a_verdict_about_something_else_is_not_recorded(subject: Subject) {
    let held = unverified(&subject).await;
    let store = &subject.store;
    let [missing, open, forgotten] = [lease(), lease(), lease()];
    subject.send(&open).await;
    subject.send(&forgotten).await;
    subject.done(&forgotten, "c-3", Keep::Forget).await;
    for verdict in [[Verdict::Pending].as_slice(), &definite("any")].concat() {
        for (lease, id) in [(&held, "c-2"), (&missing, "c-1"), (&open, "c-2"), (&forgotten, "c-3")] {
            let id = connection(id).id;
            assert_eq!(store.verified(&lease.request_id, &id, &verdict).await.unwrap(), verdict);
        }
    }
    assert_eq!(recorded(&subject, &held).await, Some(Verdict::Pending));
    for lease in [missing, forgotten] {
        assert_fresh(subject.claim(&lease).await);
    }
    store.outcome_unknown(&open).await.unwrap();
}

pub(super) async fn a_verdict_is_a_change_and_prolongs_what_is_remembered(subject: Subject) {
    let held = unverified(&subject).await;
    for verdict in [failed("It does not."), deleted("It does not.")] {
        subject.pass(RETENTION.request_id - HOUR).await;
        verified(&subject, &held, &verdict).await;
    }
    subject.pass(RETENTION.request_id - HOUR).await;
    assert_eq!(recorded(&subject, &held).await, Some(deleted("It does not.")));
    subject.pass(HOUR + SECOND).await;
    assert_eq!(verified(&subject, &held, &passed("late")).await, passed("late"));
    assert_fresh(subject.claim(&retry(&held)).await);
}

pub(super) async fn an_unchanged_verdict_prolongs_nothing(subject: Subject) {
    let held = unverified(&subject).await;
    verified(&subject, &held, &passed("It works.")).await;
    subject.pass(RETENTION.request_id - HOUR).await;
    for late in [[Verdict::Pending].as_slice(), &definite("late")].concat() {
        assert_eq!(verified(&subject, &held, &late).await, passed("It works."));
    }
    subject.pass(HOUR + SECOND).await;
    assert_fresh(subject.claim(&retry(&held)).await);
}

pub(super) async fn a_report_is_returned_unchanged(subject: Subject) {
    let states = [CheckState::Passed, CheckState::Failed, CheckState::Skipped].into_iter().cycle();
    let messages = ["", "It\u{2019}s \"so\", {\\n}\n\0", "\u{1f40c}", "null", "[]"];
    let checks = CheckName::OF_CONNECTION.iter().copied().zip(states).zip(messages);
    let check = |((name, state), message): (_, &str)| Check { name, state, message: message.to_owned() };
    for checks in [Vec::new(), checks.map(check).collect()] {
        for kind in [Verdict::Passed, Verdict::Failed, Verdict::Deleted] {
            let held = unverified(&subject).await;
            let verdict = kind(TestReport { checks: checks.clone() });
            assert_eq!(verified(&subject, &held, &verdict).await, verdict);
            assert_eq!(verified(&subject, &held, &Verdict::Pending).await, verdict);
            assert_eq!(recorded(&subject, &held).await, Some(verdict));
        }
    }
}
