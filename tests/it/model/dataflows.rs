//! One request makes one dataflow: faults at every step.
//!
//! The same model, with everything that a dataflow needs at Adobe's services (`things`, `port`, `calls`). Callers
//! create a dataflow, withdraw it or delete it (`callers`); `checks` has the promise.

mod callers;
mod calls;
mod checks;
mod port;
mod replica;
mod things;
mod variant;

pub(super) use self::{
    checks::broken,
    replica::{Answer, columns},
    things::Things,
    variant::Variant,
};
use self::variant::To;
use super::{
    campaign::Findings,
    setting::{Callers, Setting},
};

#[test]
fn one_request_makes_one_dataflow_whatever_fails_in_between() {
    let mut findings = Findings::default();
    for callers in [Callers::One, Callers::OneThatMoves, Callers::TwoTogether, Callers::TwoApart] {
        for to in [To::Dataset, To::NewDataset, To::NewSchema] {
            for lag in [0, 5] {
                let setting = Setting::of(callers).lagging_lists(lag).with_dataflow(Variant::writing(to));
                findings.singles(setting);
            }
        }
    }
    findings.none_of(100);
}
