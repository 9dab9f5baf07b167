//! The scripts, one for each step: what a script does is one atomic step in Redis.

use redis::Script;

/// A step on a record.
macro_rules! on_record {
    ($($file:literal),+) => {
        Script::new(concat!(include_str!("record.lua"), $(include_str!($file)),+))
    };
}

/// A step under a lease.
macro_rules! under_lease {
    ($file:literal) => {
        on_record!("lease.lua", $file)
    };
}

pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) renew: Script,
    pub(super) begin_sending: Script,
    pub(super) resend: Script,
    pub(super) not_created: Script,
    pub(super) outcome_unknown: Script,
    pub(super) distrust_clocks: Script,
    pub(super) done: Script,
    pub(super) verified: Script,
    pub(super) release: Script,
    pub(super) abandon: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: under_lease!("claim.lua"),
            renew: under_lease!("renew.lua"),
            begin_sending: under_lease!("begin_sending.lua"),
            resend: under_lease!("resend.lua"),
            not_created: under_lease!("not_created.lua"),
            outcome_unknown: under_lease!("outcome_unknown.lua"),
            distrust_clocks: under_lease!("distrust_clocks.lua"),
            done: under_lease!("done.lua"),
            verified: on_record!("verified.lua"),
            release: under_lease!("release.lua"),
            abandon: under_lease!("abandon.lua"),
        }
    }
}
