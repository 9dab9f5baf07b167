//! One request makes one dataflow: faults at every step.
//!
//! The same model, with everything that a dataflow needs at Adobe's services (`things`, `port`, `calls`). Callers
//! create a dataflow, withdraw it or delete it (`callers`); `checks` has the promise.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a check is about a few of many answers and of many parts"
)]

mod callers;
mod calls;
mod checks;
mod port;
mod regressions;
mod replica;
mod things;
mod variant;

use self::variant::{Hidden, To};
pub(super) use self::{
    checks::broken,
    replica::{Answer, columns},
    things::Things,
    variant::Variant,
};
use super::{
    campaign::Findings,
    faults::{Fault, OptionalFaults},
    random::Random,
    setting::{Callers, Setting},
};

const ALL: [To; 3] = [To::Dataset, To::NewDataset, To::NewSchema];

/// With everything that can happen to what a request makes.
fn setting(callers: Callers, lag: u64, variant: Variant) -> Setting {
    let optional_faults = OptionalFaults { ingestion: true, ..OptionalFaults::default() };
    Setting::of(callers)
        .lagging_lists(lag * 1000)
        .with_dataflow(variant)
        .with_optional_faults(optional_faults)
}

#[test]
fn one_request_makes_one_dataflow_whatever_fails_in_between() {
    let mut findings = Findings::default();
    for callers in [Callers::One, Callers::OneThatMoves, Callers::TwoTogether, Callers::TwoApart] {
        for to in ALL {
            for lag in [0, 5] {
                findings.pairs(setting(callers, lag, Variant::writing(to)), 250, |_| true);
            }
        }
    }
    findings.none_of(1000);
}

#[test]
fn a_refused_request_leaves_nothing_whatever_fails_in_between() {
    let mut findings = Findings::default();
    for callers in [Callers::OneThatMoves, Callers::TwoApart] {
        for to in ALL {
            for (refused, lag) in [("flow", 0), ("flow", 5), ("validation", 0), ("target_connection", 0)] {
                let variant = Variant::writing(to).refused(refused);
                findings.pairs(setting(callers, lag, variant), 250, |_| true);
            }
        }
    }
    findings.none_of(1000);
}

#[test]
fn a_withdrawn_request_makes_nothing_any_more_whatever_fails_in_between() {
    let mut findings = Findings::default();
    for (callers, to) in [(Callers::OneThatMoves, To::NewDataset), (Callers::TwoApart, To::Dataset)] {
        for (after, lag) in [(0, 0), (400, 5), (700, 0), (1500, 5)] {
            for leaves in [false, true] {
                let variant = Variant { leaves, unread: lag, ..Variant::writing(to).withdrawn(after) };
                findings.singles(setting(callers, lag, variant));
            }
        }
    }
    findings.none_of(1000);
}

#[test]
fn a_deleted_dataflow_is_not_created_again_whatever_fails_in_between() {
    let mut findings = Findings::default();
    for to in ALL {
        findings.pairs(setting(Callers::OneThatMoves, 0, Variant::writing(to).deleted()), 250, |_| true);
    }
    findings.none_of(300);
}

/// A setting of any kind within the limits of the promise.
fn any_setting(random: &mut Random) -> Setting {
    let callers = random.one_of(&[
        Callers::One,
        Callers::OneThatMoves,
        Callers::OneThatMoves,
        Callers::TwoTogether,
        Callers::TwoApart,
        Callers::TwoApart,
    ]);
    let mut variant = Variant::writing(random.one_of(&ALL));
    variant.unread = random.one_of(&[0, 0, 5]);
    variant.order = 1 + random.below(1000) as u64;
    match random.below(8) {
        0 | 1 if variant.to != To::NewSchema => {
            variant = variant.withdrawn(random.below(3000) as u64);
            variant.leaves = random.one_in(2);
        }
        2 => variant = variant.deleted(),
        3 => {
            variant =
                variant.refused(random.one_of(&["flow", "validation", "mapping_set", "source_connection"]))
        }
        4 => variant = variant.hiding(random.one_of(&[Hidden::Description, Hidden::Source])),
        5 => variant = variant.starting_after(random.one_of(&[60, 200])),
        _ => {}
    }
    let mut setting = setting(callers, random.one_of(&[0, 0, 1, 5, 35]), variant);
    setting.backs_off = !random.one_in(3);
    setting.optional_faults.clocks = random.one_in(6);
    setting
}

#[test]
fn no_three_faults_anywhere_break_the_promise_of_a_dataflow() {
    let mut findings = Findings::default();
    findings.random(0..1500, 3, any_setting);
    findings.none_of(1);
}

#[test]
fn a_store_that_forgot_a_dataflow_is_not_trusted() {
    let mut findings = Findings::default();
    let optional_faults = OptionalFaults { forgets: true, ..OptionalFaults::default() };
    for callers in [Callers::One, Callers::TwoApart] {
        for to in [To::Dataset, To::NewSchema] {
            let setting = setting(callers, 0, Variant::writing(to)).with_optional_faults(optional_faults);
            findings.pairs(setting, 60, |fault| fault.forgets() || fault == Fault::LostAfterCommit);
        }
    }
    findings.none_of(300);
}
