//! The environment of the callers.

use std::time::Duration;

use hubspot_connection_service::domain::Verification;

use super::{
    dataflows::Variant,
    faults::{OptionalFaults, Script},
    listing::{Alteration, Lists, OtherConnections, Pages},
    records::Memory,
};

/// The callers and their replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    /// One, always at the same replica.
    One,
    /// One, at another replica each time.
    OneThatMoves,
    /// One without a request id.
    OneWithoutId,
    /// Two with the same request id at once, at the same replica.
    TwoTogether,
    /// Two with the same request id at once, at two replicas.
    TwoApart,
    /// Two with different request ids and the same name at once, at two replicas.
    TwoOfOneName,
    /// Two with the same request id at once, at the same replica. The first has half a second.
    OneHasAShortDeadline,
    /// One with a fresh access token at each retry.
    OneWithFreshTokens,
    /// Two with the same request id, one of them later, while the fingerprint keys are rotated.
    WhileKeysRotate,
    /// The same, until the old key is gone.
    UntilTheOldKeyIsGone,
    /// One that names another sandbox when it retries.
    OneInAnotherSandbox,
}

/// The environment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) callers: Callers,
    /// Whether a caller waits for as long as it is asked to when its creation is running elsewhere, and
    /// not a second each time.
    pub(super) backs_off: bool,
    /// The time that a caller waits for a response.
    pub(super) deadline: Duration,
    pub(super) verification: Verification,
    /// Whether connections work.
    pub(super) works: bool,
    pub(super) lists: Lists,
    /// The time until a new connection can be read by its ID.
    pub(super) get_lag: Duration,
    /// The time until a new connection can be deleted.
    pub(super) delete_lag: Duration,
    /// Whether the records are in the memory of the process.
    pub(super) records_die: bool,
    pub(super) optional_faults: OptionalFaults,
    /// The dataflow that is created, in place of a connection.
    pub(super) dataflow: Option<Variant>,
}

impl Setting {
    pub(super) fn of(callers: Callers) -> Self {
        Self {
            callers,
            backs_off: true,
            deadline: Duration::from_secs(20),
            verification: Verification::None,
            works: true,
            lists: Lists::default(),
            get_lag: Duration::ZERO,
            delete_lag: Duration::ZERO,
            records_die: false,
            optional_faults: OptionalFaults::default(),
            dataflow: None,
        }
    }

    /// A new connection is not listed for this many seconds, nor found by its ID.
    pub(super) fn lagging(mut self, seconds: u64) -> Self {
        self.lists.lag = Duration::from_secs(seconds);
        self.get_lag = self.lists.lag;
        self
    }

    /// Lists are late by so many milliseconds.
    pub(super) fn lagging_lists(mut self, milliseconds: u64) -> Self {
        self.lists.lag = Duration::from_millis(milliseconds);
        self
    }

    pub(super) fn verified(self, verification: Verification, works: bool) -> Self {
        Self { verification, works, ..self }
    }

    pub(super) fn showing(self, lists: Lists) -> Self {
        Self { lists, ..self }
    }

    pub(super) fn with_dataflow(self, variant: Variant) -> Self {
        Self { dataflow: Some(variant), ..self }
    }

    pub(super) fn with_optional_faults(self, optional_faults: OptionalFaults) -> Self {
        Self { optional_faults, ..self }
    }

    /// The age of the store's memory.
    pub(super) fn memory(&self) -> Memory {
        if self.optional_faults.forgets {
            Memory::Evicting
        } else if self.records_die {
            Memory::OfTheProcess
        } else {
            Memory::Old
        }
    }

    /// Whether the outcome of a creation can stay unknown, so that nothing may be done.
    pub(super) fn may_stay_open(&self, fired: &Script) -> bool {
        self.lists.can_hide_it()
            || self.verification == Verification::Require && self.lists.can_prevent_reading()
            || fired.values().any(|fault| fault.is_misleading())
    }

    /// A description of the special parts, for people.
    pub(super) fn summary(&self) -> String {
        let Self { callers, verification, works, lists, get_lag, delete_lag, dataflow, .. } = self;
        let mut summary = format!("{callers:?}");
        let mut add = |is_special: bool, what: String| {
            if is_special {
                summary = format!("{summary}, {what}");
            }
        };
        add(*verification != Verification::None, format!("{verification:?} works={works}"));
        add(!lists.lag.is_zero(), format!("lag {:?}", lists.lag));
        add(lists.alteration != Alteration::None, format!("{:?}", lists.alteration));
        add(lists.is_read_altered, "read so, too".to_owned());
        add(lists.pages != Pages::One, format!("{:?}", lists.pages));
        add(lists.others != OtherConnections::None, format!("{:?}", lists.others));
        add(lists.date_ahead > 0, format!("Date {} s ahead", lists.date_ahead));
        add(!get_lag.is_zero() && *get_lag != lists.lag, format!("GET lags {get_lag:?}"));
        add(!delete_lag.is_zero(), format!("DELETE lags {delete_lag:?}"));
        add(self.records_die, "records die".to_owned());
        add(dataflow.is_some(), format!("{dataflow:?}"));
        summary
    }
}
