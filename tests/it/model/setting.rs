//! What surrounds the callers.

use std::time::Duration;

use hubspot_connection_service::domain::Verification;

use super::{
    faults::{Script, Weather},
    listing::{Alteration, Crowd, Lists, Pages},
    records::Memory,
};

/// Who calls, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    /// One, always at the same replica.
    One,
    /// One, at another replica each time.
    OneThatMoves,
    /// One that has no request id of its own.
    OneWithoutId,
    /// Two with the same request id at once, at the same replica.
    TwoTogether,
    /// Two with the same request id at once, at two replicas.
    TwoApart,
    /// Two with different request ids and the same name at once, at two replicas.
    TwoOfOneName,
    /// Two with the same request id at once, at the same replica. The first has half a second.
    OneIsInAHurry,
    /// One that has a fresh access token at each repetition.
    OneWithFreshTokens,
    /// Two with the same request id, one of them later, while the fingerprint keys are rotated.
    WhileKeysRotate,
    /// The same, until the old key is gone.
    UntilTheOldKeyIsGone,
    /// One that names another sandbox when it repeats the call.
    OneInAnotherSandbox,
}

/// What a run happens in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) callers: Callers,
    /// Whether a caller waits for as long as it is told to when its creation is under way elsewhere,
    /// and not a second each time.
    pub(super) backs_off: bool,
    /// How long a caller waits for an answer.
    pub(super) deadline: Duration,
    pub(super) verification: Verification,
    /// Whether connections work.
    pub(super) works: bool,
    pub(super) lists: Lists,
    /// How long a new connection cannot be read by its ID.
    pub(super) get_lag: Duration,
    /// How long a new connection cannot be deleted.
    pub(super) delete_lag: Duration,
    /// Whether the records are in the memory of the process.
    pub(super) records_die: bool,
    pub(super) weather: Weather,
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
            weather: Weather::default(),
        }
    }

    /// What is new is not listed for so many seconds, nor read by its ID.
    pub(super) fn lagging(mut self, seconds: u64) -> Self {
        self.lists.lag = Duration::from_secs(seconds);
        self.get_lag = self.lists.lag;
        self
    }

    pub(super) fn verified(self, verification: Verification, works: bool) -> Self {
        Self { verification, works, ..self }
    }

    pub(super) fn showing(self, lists: Lists) -> Self {
        Self { lists, ..self }
    }

    pub(super) fn in_weather(self, weather: Weather) -> Self {
        Self { weather, ..self }
    }

    /// How the store remembers.
    pub(super) fn memory(&self) -> Memory {
        if self.weather.forgets {
            Memory::Evicting
        } else if self.records_die {
            Memory::OfTheProcess
        } else {
            Memory::Old
        }
    }

    /// Whether it can stay open what became of a creation, and nothing may be done then.
    pub(super) fn may_stay_open(&self, fired: &Script) -> bool {
        self.lists.can_hide_it()
            || self.verification == Verification::Require && self.lists.can_keep_it_from_being_read()
            || fired.values().any(|fault| fault.is_misleading())
    }

    /// What is special about it, for a person.
    pub(super) fn summary(&self) -> String {
        let Self { callers, verification, works, lists, get_lag, delete_lag, .. } = self;
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
        add(lists.crowd != Crowd::Nobody, format!("{:?}", lists.crowd));
        add(lists.date_ahead > 0, format!("Date {} s ahead", lists.date_ahead));
        add(!get_lag.is_zero() && *get_lag != lists.lag, format!("GET lags {get_lag:?}"));
        add(!delete_lag.is_zero(), format!("DELETE lags {delete_lag:?}"));
        add(self.records_die, "records die".to_owned());
        summary
    }
}
