//! The scripts, one for each step: what a script does is one atomic step in Redis.

use redis::Script;

macro_rules! step {
    ($file:literal) => {
        Script::new(concat!(include_str!("common.lua"), include_str!($file)))
    };
}

pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) renew: Script,
    pub(super) begin_sending: Script,
    pub(super) not_created: Script,
    pub(super) outcome_unknown: Script,
    pub(super) done: Script,
    pub(super) release: Script,
    pub(super) abandon: Script,
    pub(super) outcomes_of_others: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: step!("claim.lua"),
            renew: step!("renew.lua"),
            begin_sending: step!("begin_sending.lua"),
            not_created: step!("not_created.lua"),
            outcome_unknown: step!("outcome_unknown.lua"),
            done: step!("done.lua"),
            release: step!("release.lua"),
            abandon: step!("abandon.lua"),
            outcomes_of_others: Script::new(include_str!("outcomes_of_others.lua")),
        }
    }
}
