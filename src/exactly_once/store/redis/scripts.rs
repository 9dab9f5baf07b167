//! The scripts: what a script does is one atomic step in Redis.

use redis::Script;

/// A step on a record.
macro_rules! on_record {
    ($($file:literal),+) => {
        Script::new(concat!(include_str!("record.lua"), $(include_str!($file)),+))
    };
}

pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) step: Script,
    pub(super) record_outcome: Script,
    pub(super) replace_outcome: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: on_record!("lease.lua", "claim.lua"),
            step: on_record!("lease.lua", "step.lua"),
            record_outcome: on_record!("lease.lua", "record_outcome.lua"),
            replace_outcome: on_record!("replace_outcome.lua"),
        }
    }
}
