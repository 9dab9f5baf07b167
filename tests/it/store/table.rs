//! The table of steps: each one in every state, by every caller, with every state of the lease.

use hubspot_connection_service::exactly_once::store::{Claim, Lease, Origin};

use super::{
    Subject,
    expect::SECOND,
    lease, other_content, retry,
    step::{Keep, Recorded, Reply, Step, Steps as _},
    subject::RETENTION,
};

/// The state of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No record exists.
    Missing,
    Claimed,
    Sending,
    /// Sent again after an earlier sending was lost.
    Resending,
    Unknown,
    Undoing,
    Done,
}

/// The state of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Live,
    Expired,
    Abandoned,
}

/// The caller of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Holder,
    Stranger,
}

/// The holder of the record afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nobody,
    Caller,
    FirstHolder,
}

use State::{Claimed, Done, Missing, Resending, Sending, Undoing, Unknown};

const STATES: [State; 7] = [Missing, Claimed, Sending, Resending, Unknown, Undoing, Done];
const STEPS: [Step; 14] = [
    Step::Claim,
    Step::Renew,
    Step::BeginSending,
    Step::Resend,
    Step::NotCreated,
    Step::NotSent,
    Step::OutcomeUnknown,
    Step::DistrustClocks,
    Step::Done("c-2", Origin::Reply, Keep::Remember),
    Step::Undo,
    Step::Undone,
    Step::Withdraw,
    Step::Release,
    Step::Abandon,
];

/// A step, and the record before it.
#[derive(Clone, Copy, Debug)]
struct Case {
    state: State,
    held: Held,
    by: By,
    step: Step,
}

/// The state and the holder after the step. `None` if it changes nothing.
fn expected(Case { state, held, by, step }: Case) -> Option<(State, After)> {
    let is_holder = by == By::Holder && held != Held::Abandoned;
    let is_live_holder = is_holder && held == Held::Live;
    let is_free = is_holder || held != Held::Live;
    let (happens, next, after) = match (step, state) {
        (Step::Claim, Missing) => (true, Claimed, After::Caller),
        (Step::Claim, Claimed) => (is_free, Claimed, After::Caller),
        (Step::Claim, Sending | Resending | Unknown) => (is_free, Unknown, After::Caller),
        (Step::Claim, Undoing) => (is_free, Undoing, After::Caller),
        (Step::Renew, Claimed | Sending | Resending | Unknown | Undoing) => (is_holder, state, After::Caller),
        (Step::BeginSending, Claimed) => (is_live_holder, Sending, After::Caller),
        (Step::Resend, Unknown) => (is_live_holder, Resending, After::Caller),
        (Step::NotCreated, Sending) => (is_holder, Claimed, After::Caller),
        (Step::NotCreated, Resending) => (is_holder, Unknown, After::Caller),
        (Step::NotSent, Claimed | Sending) => (is_holder, Claimed, After::Nobody),
        (Step::NotSent, Resending | Unknown) => (is_holder, Unknown, After::Nobody),
        (Step::NotSent, Undoing) => (is_holder, Undoing, After::Nobody),
        (Step::OutcomeUnknown, Sending | Resending) => (is_holder, Unknown, After::Caller),
        (Step::DistrustClocks, Unknown) => (is_holder, Unknown, After::Caller),
        (Step::Done(..), Missing | Claimed | Sending | Resending | Unknown | Undoing) => {
            (true, Done, After::Nobody)
        }
        (Step::Undo, Claimed | Unknown | Undoing) => (is_live_holder, Undoing, After::Caller),
        (Step::Undone, Undoing) => (is_holder, Claimed, After::Caller),
        (Step::Withdraw, Claimed | Unknown | Undoing) => (is_live_holder, Done, After::Nobody),
        (Step::Release, Claimed) => (is_holder, Missing, After::Nobody),
        (Step::Abandon, Claimed | Sending | Resending | Unknown | Undoing) => {
            (is_holder, state, After::Nobody)
        }
        _ => (false, state, After::Nobody),
    };
    happens.then_some((next, after))
}

/// A new record in this state.
async fn record_in(subject: &Subject, state: State) -> Lease {
    let held = lease();
    match state {
        Missing => {}
        Claimed => {
            subject.claim(&held).await;
        }
        Sending => subject.send(&held).await,
        Resending => subject.send_twice(&held).await,
        Unknown => {
            subject.send(&held).await;
            subject.store.outcome_unknown(&held).await.unwrap();
        }
        Undoing => {
            subject.claim(&held).await;
            subject.store.undo(&held, "what is undone").await.unwrap();
        }
        Done => {
            subject.done(&held, "c-1", Keep::Remember).await;
        }
    }
    held
}

/// The state of a record and its holder, found by steps that change it.
///
/// A caller cannot see whether a record without a holder is `sending`: it is `unknown` to all.
async fn look(subject: &Subject, holder: &Lease, caller: &Lease) -> (State, After) {
    let store = &*subject.store;
    match subject.claim(&other_content(holder)).await {
        Claim::Fresh { .. } => return (Missing, After::Nobody),
        Claim::OtherContent { outcome: Some(_), .. } => return (Done, After::Nobody),
        Claim::OtherContent { outcome: None, .. } => {}
        claim @ (Claim::Unknown { .. }
        | Claim::Undoing { .. }
        | Claim::Done { .. }
        | Claim::InProgress { .. }) => {
            panic!("{claim:?}")
        }
    }
    let (after, held) = if store.renew(caller).await.is_ok() {
        (After::Caller, caller)
    } else if store.renew(holder).await.is_ok() {
        (After::FirstHolder, holder)
    } else {
        return match subject.claim(&retry(holder)).await {
            Claim::Fresh { .. } => (Claimed, After::Nobody),
            Claim::Unknown { .. } => (Unknown, After::Nobody),
            Claim::Undoing { .. } => (Undoing, After::Nobody),
            claim @ (Claim::Done { .. } | Claim::OtherContent { .. } | Claim::InProgress { .. }) => {
                panic!("{claim:?}")
            }
        };
    };
    let state = if store.release(held).await.is_ok() {
        Claimed
    } else if store.undone(held).await.is_ok() {
        Undoing
    } else if store.resend(held, 0).await.is_ok() {
        Unknown
    } else if store.not_created(held).await.is_err() {
        panic!("in no state")
    } else if store.release(held).await.is_ok() {
        Sending
    } else {
        Resending
    };
    (state, after)
}

fn name(state: State) -> Option<&'static str> {
    match state {
        Missing => None,
        Claimed => Some("claimed"),
        Sending | Resending => Some("sending"),
        Unknown => Some("unknown"),
        Undoing => Some("undoing"),
        Done => Some("done"),
    }
}

pub(super) async fn every_step_expects_a_state_and_a_holder(subject: Subject) {
    let mut expired = Vec::new();
    for state in STATES {
        for by in [By::Holder, By::Stranger] {
            for step in STEPS {
                let live = record_in(&subject, state).await;
                check(&subject, Case { state, held: Held::Live, by, step }, &live).await;
                let abandoned = record_in(&subject, state).await;
                if !matches!(state, Missing | Done) {
                    subject.store.abandon(&abandoned).await.unwrap();
                }
                check(&subject, Case { state, held: Held::Abandoned, by, step }, &abandoned).await;
                expired
                    .push((Case { state, held: Held::Expired, by, step }, record_in(&subject, state).await));
            }
        }
    }
    subject.pass(RETENTION.lease + SECOND).await;
    for (case, holder) in expired {
        check(&subject, case, &holder).await;
    }
}

async fn check(subject: &Subject, case: Case, holder: &Lease) {
    let Case { state, held, by, step } = case;
    let caller = if by == By::Holder { holder.clone() } else { retry(holder) };
    let expected = expected(case);

    let before = subject.fields(holder).await;
    let reply = step.take(&*subject.store, &caller, subject.wall_ms()).await;
    let fields = subject.fields(holder).await;

    match (&reply, expected) {
        (Reply::Ok, Some(_)) | (Reply::Lost, None) => {}
        (Reply::Claim(Claim::Fresh { .. }), Some((Claimed, _))) => {}
        (Reply::Claim(Claim::Unknown { .. }), Some((Unknown, _))) => {}
        (Reply::Claim(Claim::Undoing { .. }), Some((Undoing, _))) => {}
        (Reply::Claim(Claim::InProgress { .. }), None) if state != Done => {}
        (Reply::Claim(Claim::Done { .. }), None) if state == Done => {}
        (Reply::Recorded(Recorded::Done), Some(_)) => {}
        (Reply::Recorded(Recorded::Already(_)), None) => {}
        _ => panic!("{case:?}: {reply:?}"),
    }
    let unchanged = match (state, held, by) {
        (Missing | Done, ..) | (_, Held::Abandoned, _) => After::Nobody,
        (.., By::Holder) => After::Caller,
        (.., By::Stranger) => After::FirstHolder,
    };
    let (next, after) = expected.unwrap_or((state, unchanged));
    if let (Some(before), Some(fields)) = (before, fields) {
        // Redis can be inspected.
        assert!(expected.is_some() || before == fields, "{case:?}: {before:?} became {fields:?}");
        assert_eq!(fields.get("state").map(String::as_str), name(next), "{case:?}");
        assert_eq!(fields.contains_key("holder"), after != After::Nobody, "{case:?}");
    }
    let is_unknown = matches!(next, Sending | Resending) && after == After::Nobody;
    let seen = if is_unknown { Unknown } else { next };
    assert_eq!(look(subject, holder, &caller).await, (seen, after), "{case:?}");
}
