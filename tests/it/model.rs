//! One request makes one connection: faults at every step.
//!
//! The use case runs over a model of the Flow Service and the store in memory, on a paused clock and
//! without sockets. Each call of a port is a step. A successful run records its steps; then each step is
//! run with each fault that can affect it, and so are the steps of the resulting runs. In addition, seeds
//! choose random settings and faults. Replicas share the store, as over Redis, and can die at every step;
//! callers retry with their request id until they have a connection, and retry once more long after.
//!
//! The modules `port`, `records` and `replica` know the service's traits.

mod callers;
mod campaign;
mod dataflows;
mod faults;
mod interleaving;
mod ledger;
mod listing;
mod port;
mod random;
mod records;
mod regressions;
mod replica;
mod setting;
mod waiting;
mod world;

use hubspot_connection_service::domain::Verification;

use self::{
    campaign::Findings,
    setting::{Callers, Setting},
};

#[test]
fn one_request_makes_one_connection_whatever_fails_in_between() {
    let mut findings = Findings::default();
    for callers in [
        Callers::One,
        Callers::OneThatMoves,
        Callers::OneWithoutId,
        Callers::TwoTogether,
        Callers::TwoApart,
        Callers::TwoOfOneName,
    ] {
        for lag in [0, 5] {
            findings.pairs(Setting::of(callers).lagging(lag), 16, |_| true);
        }
    }
    findings.none_of(1000);
}

#[test]
fn no_connection_is_left_unreported_whatever_fails_while_it_is_verified() {
    let mut findings = Findings::default();
    for callers in
        [Callers::One, Callers::OneThatMoves, Callers::OneWithoutId, Callers::TwoTogether, Callers::TwoApart]
    {
        for (verification, works, lag) in [
            (Verification::Require, false, 0),
            (Verification::Require, false, 5),
            (Verification::Require, true, 0),
            (Verification::Report, false, 0),
        ] {
            let setting = Setting::of(callers).lagging(lag).verified(verification, works);
            findings.pairs(setting, 60, |_| true);
        }
    }
    findings.none_of(1000);
}
