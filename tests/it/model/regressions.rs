//! Regression tests, one for each class of former bugs: the faults, and what must not follow.

use std::{collections::BTreeMap, time::Duration};

use hubspot_connection_service::domain::Verification;

use super::{
    campaign::Findings,
    faults::{Fault, OptionalFaults},
    listing::{Alteration, Lists, OtherConnections, Pages},
    random::Random,
    setting::{Callers, Setting},
};

/// The faults after which the service must search for the connection.
fn loses_the_reply(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::LostAfterCommit
            | Fault::LostBeforeCommit
            | Fault::LostLate(_)
            | Fault::LateCommit(_)
            | Fault::DeathAfter
            | Fault::SlowReply(_)
    )
}

#[test]
fn a_step_whose_reply_is_lost_or_late_undoes_no_more_than_it_did() {
    let mut findings = Findings::default();
    for callers in [Callers::One, Callers::OneThatMoves, Callers::TwoApart] {
        let setting = Setting { backs_off: false, ..Setting::of(callers) };
        findings.pairs(setting, 4, |fault| matches!(fault, Fault::DeathAfter | Fault::LateCommit(30)));
    }
    findings.none_of(300);
}

#[test]
fn a_connection_that_a_list_alters_is_not_absent() {
    let mut findings = Findings::default();
    for alteration in Alteration::ALL {
        for is_read_altered in [false, true] {
            let lists = Lists::altered(alteration, is_read_altered);
            for callers in [Callers::One, Callers::OneThatMoves] {
                findings.singles(Setting::of(callers).showing(lists));
            }
        }
    }
    for date_ahead in [6, 7, 60] {
        findings.singles(Setting::of(Callers::One).showing(Lists { date_ahead, ..Lists::default() }));
    }
    findings.none_of(2000);
}

#[test]
fn a_connection_that_a_list_alters_is_verified_like_any() {
    let mut findings = Findings::default();
    for alteration in Alteration::ALL {
        let lists = Lists::altered(alteration, true);
        if !lists.can_prevent_reading() {
            findings.singles(Setting::of(Callers::One).verified(Verification::Require, false).showing(lists));
        }
    }
    findings.none_of(1000);
}

#[test]
fn a_clock_that_steps_proves_nothing() {
    let mut findings = Findings::default();
    let optional_faults = OptionalFaults { clocks: true, ..OptionalFaults::default() };
    for seconds in [-8, 100] {
        let script = BTreeMap::from([(3, Fault::DeathAfter), (4, Fault::ClockSteps(seconds))]);
        findings.script(Setting::of(Callers::One).with_optional_faults(optional_faults), &script);
    }
    for callers in [Callers::One, Callers::OneThatMoves, Callers::TwoApart] {
        for lag in [0, 5] {
            let setting = Setting::of(callers).lagging(lag).with_optional_faults(optional_faults);
            findings
                .pairs(setting, 5, |fault| loses_the_reply(fault) || matches!(fault, Fault::ClockSteps(_)));
        }
    }
    findings.none_of(1000);
}

#[test]
fn a_connection_that_is_not_visible_yet_is_not_absent() {
    let mut findings = Findings::default();
    for callers in [Callers::One, Callers::OneThatMoves, Callers::TwoApart] {
        for lag in [35, 60] {
            findings.pairs(Setting::of(callers).lagging(lag), 40, loses_the_reply);
        }
    }
    findings.none_of(500);
}

#[test]
fn a_list_without_an_end_proves_nothing_and_one_that_has_an_end_is_enough() {
    let mut findings = Findings::default();
    for callers in [Callers::One, Callers::OneThatMoves] {
        for pages in [Pages::OfTwo, Pages::OldestFirst] {
            for others in [OtherConnections::None, OtherConnections::Many] {
                findings.singles(Setting::of(callers).showing(Lists::paged(pages, others)));
            }
        }
        for pages in [Pages::One, Pages::OfTwo] {
            let lists = Lists::paged(pages, OtherConnections::ManyAndAnUnreadableOne);
            findings.singles(Setting::of(callers).showing(lists));
        }
    }
    for pages in [Pages::InALoop, Pages::Repeating] {
        for others in [OtherConnections::None, OtherConnections::Many] {
            findings.singles(Setting::of(Callers::One).showing(Lists::paged(pages, others)));
        }
    }
    findings.none_of(500);
}

#[test]
fn not_found_is_no_proof_where_the_service_knows_better() {
    let mut findings = Findings::default();
    let optional_faults = OptionalFaults { not_found: true, ..OptionalFaults::default() };
    for works in [false, true] {
        for (get_lag, delete_lag) in [(0, 0), (45, 0), (80, 0), (0, 20), (0, 80), (45, 45)] {
            for callers in [Callers::One, Callers::OneThatMoves] {
                let setting = Setting {
                    deadline: Duration::from_secs(60),
                    get_lag: Duration::from_secs(get_lag),
                    delete_lag: Duration::from_secs(delete_lag),
                    ..Setting::of(callers)
                        .verified(Verification::Require, works)
                        .with_optional_faults(optional_faults)
                };
                findings.pairs(setting, 40, |_| true);
            }
        }
    }
    findings.none_of(1000);
}

#[test]
fn a_store_that_forgot_is_not_trusted() {
    let mut findings = Findings::default();
    let optional_faults = OptionalFaults { forgets: true, ..OptionalFaults::default() };
    for callers in [Callers::One, Callers::OneThatMoves, Callers::TwoTogether, Callers::TwoApart] {
        findings.pairs(Setting::of(callers).with_optional_faults(optional_faults), 12, |fault| {
            fault.forgets() || fault.kills() || fault == Fault::LostAfterCommit
        });
    }
    for callers in [Callers::One, Callers::TwoTogether] {
        let setting = Setting { records_die: true, ..Setting::of(callers) };
        findings.script(setting, &BTreeMap::from([(4, Fault::DeathAfter)]));
        findings.pairs(setting, 12, |_| true);
    }
    findings.none_of(1000);
}

#[test]
fn a_retry_while_the_fingerprint_keys_rotate_is_recognized() {
    let mut findings = Findings::default();
    let setting = Setting::of(Callers::WhileKeysRotate);
    // A later caller joins the running creation.
    findings.script(setting, &BTreeMap::from([(3, Fault::SlowReply(20_400))]));
    findings.pairs(setting, 20, |_| true);
    findings.none_of(100);
}

#[test]
fn a_retry_under_a_removed_key_is_not_reported_as_other_content() {
    let mut findings = Findings::default();
    findings.singles(Setting::of(Callers::UntilTheOldKeyIsGone));
    findings.none_of(50);
}

#[test]
fn a_retry_with_a_fresh_access_token_is_recognized() {
    let mut findings = Findings::default();
    findings.pairs(Setting::of(Callers::OneWithFreshTokens), 20, |_| true);
    findings.none_of(100);
}

#[test]
fn a_request_id_names_one_creation_in_all_sandboxes() {
    let mut findings = Findings::default();
    let setting = Setting::of(Callers::OneInAnotherSandbox);
    // The first call is lost, and the second one names another sandbox.
    findings.script(setting, &BTreeMap::from([(3, Fault::DeathAfter)]));
    findings.pairs(setting, 20, |_| true);
    findings.none_of(100);
}

#[test]
fn a_caller_that_shares_a_creation_has_its_own_deadline() {
    let mut findings = Findings::default();
    findings.pairs(Setting::of(Callers::OneHasAShortDeadline), 20, |_| true);
    findings.none_of(100);
}

#[test]
fn no_error_claims_that_nothing_was_created_when_something_was() {
    let mut findings = Findings::default();
    let script = BTreeMap::from([(4, Fault::DeathBefore), (5, Fault::StoreDown)]);
    findings.script(Setting::of(Callers::One), &script);
    findings.pairs(Setting::of(Callers::OneThatMoves), 20, |fault| fault.kills());
    findings.none_of(50);
}

#[test]
fn no_caller_gets_the_connection_of_another() {
    let mut findings = Findings::default();
    let optional_faults = OptionalFaults { foreign_connections: true, ..OptionalFaults::default() };
    for callers in [Callers::One, Callers::OneThatMoves] {
        for lag in [0, 5] {
            let setting = Setting::of(callers).lagging(lag).with_optional_faults(optional_faults);
            findings.pairs(setting, 3, |fault| {
                matches!(fault, Fault::LostBeforeCommit | Fault::LostAfterCommit | Fault::LateCommit(_))
            });
        }
    }
    findings.none_of(300);
}

/// A setting of any kind within the limits of the promise.
fn any_setting(random: &mut Random) -> Setting {
    let callers = random.one_of(&[
        Callers::One,
        Callers::OneThatMoves,
        Callers::OneThatMoves,
        Callers::OneWithoutId,
        Callers::TwoTogether,
        Callers::TwoApart,
        Callers::TwoApart,
        Callers::OneHasAShortDeadline,
        Callers::OneWithFreshTokens,
        Callers::WhileKeysRotate,
    ]);
    let (verification, works) = random.one_of(&[
        (Verification::None, true),
        (Verification::None, true),
        (Verification::Report, false),
        (Verification::Require, false),
        (Verification::Require, true),
    ]);
    let mut setting = Setting::of(callers).verified(verification, works);
    if random.one_in(3) {
        setting = setting.lagging(random.one_of(&[1, 5, 35]));
    }
    if random.one_in(3) {
        setting.lists.alteration = random.one_of(&Alteration::ALL);
        setting.lists.is_read_altered = random.one_in(4);
    }
    if random.one_in(6) {
        setting.lists.others =
            random.one_of(&[OtherConnections::Many, OtherConnections::ManyAndAnUnreadableOne]);
        setting.lists.pages = random.one_of(&[Pages::One, Pages::OfTwo, Pages::InALoop, Pages::Repeating]);
    }
    if random.one_in(4) {
        setting.delete_lag = Duration::from_secs(random.one_of(&[2, 30]) as u64);
    }
    setting.backs_off = !random.one_in(3);
    setting.optional_faults = OptionalFaults {
        clocks: random.one_in(4),
        // A creation that a store forgot can only be found if lists show it.
        forgets: random.one_in(4)
            && setting.lists.alteration == Alteration::None
            && verification == Verification::None,
        foreign_connections: random.one_in(6),
        not_found: random.one_in(4),
        ..OptionalFaults::default()
    };
    setting
}

#[test]
fn no_three_faults_anywhere_break_a_promise() {
    let mut findings = Findings::default();
    findings.random(0..2000, 3, |random| {
        let setting = any_setting(random);
        Setting {
            lists: Lists { lag: setting.lists.lag, ..Lists::default() },
            optional_faults: OptionalFaults::default(),
            ..setting
        }
    });
    findings.none_of(1);
}

#[test]
fn no_three_faults_break_a_promise_with_altered_lists_and_stepping_clocks() {
    let mut findings = Findings::default();
    findings.random(0..3000, 3, any_setting);
    findings.none_of(1);
}
