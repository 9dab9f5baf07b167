//! Regression tests, one for each class of former bugs: the faults, and what must not follow.

use super::{
    super::{
        campaign::Findings,
        faults::{Fault, Script, StepKind},
        interleaving::run,
        setting::{Callers, Setting},
        world::Faults,
    },
    Hidden, To, Variant, setting,
};

/// Runs a setting with these faults, each at the step of this kind that comes so many steps of its kind later than the
/// one of the fault before.
fn with(findings: &mut Findings, setting: Setting, faults: &[(StepKind, usize, Fault)]) {
    let mut script = Script::new();
    for (kind, skipped, fault) in faults {
        let steps = run(setting, Faults::Script(script.clone())).steps;
        let from = script.keys().last().map_or(0, |last| last + 1);
        let mut found = (from..steps.len()).filter(|index| steps[*index] == *kind);
        script.insert(found.nth(*skipped).unwrap(), *fault);
    }
    findings.script(setting, &script);
}

const FLOW: StepKind = StepKind::Make("flow");
const SOURCE: StepKind = StepKind::Make("source_connection");

#[test]
fn what_an_earlier_call_has_prepared_is_removed_though_no_list_showed_it() {
    let mut findings = Findings::default();
    for to in super::ALL {
        let setting = setting(Callers::One, 5, Variant::writing(to));
        with(&mut findings, setting, &[(SOURCE, 0, Fault::DeathAfter)]);
        with(
            &mut findings,
            setting,
            &[(StepKind::Pass, 0, Fault::NotSent), (StepKind::Pass, 0, Fault::NotSent)],
        );
    }
    findings.none_of(6);
}

#[test]
fn a_refusal_undoes_what_several_lost_replies_have_left() {
    let mut findings = Findings::default();
    let kinds = ["source_connection", "target_connection", "dataset", "mapping_set"];
    for part in kinds.map(StepKind::Make) {
        let setting = setting(Callers::One, 0, Variant::writing(To::NewDataset).refused("flow"));
        let late = (part, 0, Fault::LateCommit(84));
        with(&mut findings, setting, &[late, late]);
    }
    findings.none_of(4);
}

#[test]
fn a_dataflow_that_is_not_visible_yet_is_withdrawn() {
    let mut findings = Findings::default();
    for after in [700, 1000, 2000] {
        let variant = Variant { unread: 5, ..Variant::writing(To::Dataset).withdrawn(after) };
        findings.script(setting(Callers::One, 5, variant), &Script::new());
    }
    findings.none_of(3);
}

#[test]
fn nothing_is_used_again_that_is_being_undone() {
    let mut findings = Findings::default();
    for to in super::ALL {
        let variant = Variant { stale: 30, ..Variant::writing(to) };
        let setting = setting(Callers::One, 0, variant);
        for lost in [Fault::LostBeforeCommit, Fault::LateCommit(30), Fault::LostAfterCommit] {
            let removal = (StepKind::Remove("source_connection"), 0, lost);
            with(&mut findings, setting, &[(FLOW, 0, Fault::Refused), removal]);
        }
    }
    findings.none_of(9);
}

#[test]
fn nothing_is_used_again_that_was_undone() {
    let mut findings = Findings::default();
    for (to, callers) in super::ALL.into_iter().zip([Callers::One, Callers::OneThatMoves, Callers::One]) {
        let variant = Variant { stale: 30, ..Variant::writing(to) };
        with(&mut findings, setting(callers, 0, variant), &[(FLOW, 0, Fault::Refused)]);
        with(
            &mut findings,
            setting(callers, 0, variant),
            &[(FLOW, 0, Fault::Refused), (FLOW, 0, Fault::Refused)],
        );
    }
    findings.none_of(6);
}

#[test]
fn one_empty_list_does_not_prove_that_nothing_was_made() {
    let mut findings = Findings::default();
    let setting = setting(Callers::One, 0, Variant::writing(To::NewDataset)).lagging_lists(1500);
    for part in ["source_connection", "target_connection", "dataset"] {
        with(&mut findings, setting, &[(StepKind::Make(part), 0, Fault::LostAfterCommit)]);
    }
    findings.none_of(3);
}

#[test]
fn a_dataflow_is_recognized_by_its_reference_and_by_its_source() {
    let mut findings = Findings::default();
    for hidden in [Hidden::Description, Hidden::Source] {
        let setting = setting(Callers::OneThatMoves, 0, Variant::writing(To::Dataset).hiding(hidden));
        for fault in [Fault::LostAfterCommit, Fault::DeathAfter, Fault::LateCommit(84)] {
            with(&mut findings, setting, &[(FLOW, 0, fault)]);
        }
    }
    findings.none_of(6);
}

#[test]
fn a_start_that_the_caller_has_chosen_is_never_moved() {
    let mut findings = Findings::default();
    for (fault, after) in
        [(Fault::LostBeforeCommit, 100), (Fault::LostBeforeCommit, 1000), (Fault::LateCommit(84), 30)]
    {
        let setting = setting(Callers::One, 0, Variant::writing(To::NewDataset).starting_after(after));
        with(&mut findings, setting, &[(FLOW, 0, fault)]);
    }
    findings.none_of(3);
}

#[test]
fn nothing_arrives_after_the_withdrawal_of_a_lost_creation() {
    let mut findings = Findings::default();
    let variant = Variant { leaves: true, ..Variant::writing(To::NewDataset).withdrawn(2000) };
    for late in [1, 30, 84] {
        let death = (StepKind::Read("flows"), 0, Fault::DeathBefore);
        with(&mut findings, setting(Callers::One, 0, variant), &[(FLOW, 0, Fault::LateCommit(late)), death]);
    }
    findings.none_of(3);
}

#[test]
fn a_dataflow_that_exists_although_it_was_refused_is_not_undone() {
    let mut findings = Findings::default();
    for to in super::ALL {
        let mut setting = setting(Callers::One, 0, Variant::writing(to));
        setting.optional_faults.false_refusals = true;
        with(&mut findings, setting, &[(FLOW, 0, Fault::RefusedAfterCommit)]);
    }
    findings.none_of(3);
}

#[test]
fn a_dataset_that_holds_data_is_not_deleted() {
    let mut findings = Findings::default();
    for to in [To::NewDataset, To::NewSchema] {
        let setting = setting(Callers::One, 0, Variant::writing(to).refused("flow"));
        with(&mut findings, setting, &[(StepKind::Read("batches"), 0, Fault::Ingests)]);
    }
    findings.none_of(2);
}
