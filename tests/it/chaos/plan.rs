//! The disturbances of a run, in addition to failing requests upstream and killed replicas.

use std::{env, time::Duration};

use super::replicas::Kills;

/// One kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No further disturbance.
    None,
    /// Redis stops for a while, repeatedly.
    Stalls,
    /// Redis executes a command, and its reply is lost or late.
    Replies,
    /// The clock of Redis changes.
    Clock,
    /// Redis evicts keys, and is replaced by an empty one.
    Forgetting,
    /// Lists lag, and alter the connections that they show.
    Lists,
    /// There is no Redis, and one replica.
    Memory,
    /// The same while creations arrive late and are listed later still.
    LateWithMemory,
}

impl Trouble {
    const ALL: [Self; 8] = [
        Self::None,
        Self::Stalls,
        Self::Replies,
        Self::Clock,
        Self::Forgetting,
        Self::Lists,
        Self::Memory,
        Self::LateWithMemory,
    ];

    pub(super) fn has_redis(self) -> bool {
        !matches!(self, Self::Memory | Self::LateWithMemory)
    }

    /// Whether a request may arrive long after its sender has died, and may be listed even later. A store
    /// that has forgotten a creation retries it if the list does not show it yet, unless a setting makes
    /// it wait.
    pub(super) fn is_late(self) -> bool {
        !matches!(self, Self::Forgetting | Self::Memory)
    }

    pub(super) fn index_lag(self) -> Duration {
        match self {
            Self::Lists => Duration::from_secs(1),
            Self::Forgetting | Self::Memory => Duration::ZERO,
            Self::None | Self::Stalls | Self::Replies | Self::Clock | Self::LateWithMemory => {
                Duration::from_millis(300)
            }
        }
    }

    /// Settings in addition to those of every run.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // It must wait for the settle window.
            Self::LateWithMemory => &[("HCS_SEARCH_FIRST", "strict")],
            Self::None
            | Self::Stalls
            | Self::Replies
            | Self::Clock
            | Self::Forgetting
            | Self::Lists
            | Self::Memory => &[],
        }
    }

    pub(super) fn kills(self) -> Kills {
        if self == Self::LateWithMemory {
            // It creates nothing before it has run for the settle window.
            Kills::Amidst { connections: 6..14, or_after: 20_000..40_000 }
        } else {
            Kills::Amidst { connections: 3..12, or_after: 6000..14_000 }
        }
    }
}

/// The size and kind of a run. The environment can change them:
///
/// - `HCS_CHAOS_REQUESTS`: the number of requests for each trouble, and of dataflows;
/// - `HCS_CHAOS_SEED`: the seed of the faults;
/// - `HCS_CHAOS_TROUBLES`: the troubles, comma separated, as in `Stalls,Clock`;
/// - `HCS_CHAOS_SETTINGS`: settings of the service, comma separated, as in `HCS_SETTLE_WINDOW=8s`.
pub(super) struct Plan {
    pub(super) requests: usize,
    /// The number of dataflows, each of which costs many requests upstream.
    pub(super) dataflows: usize,
    pub(super) seed: u64,
    pub(super) troubles: Vec<Trouble>,
    settings: Vec<(String, String)>,
}

impl Plan {
    pub(super) fn from_environment() -> Self {
        let text = |name| env::var(name).ok().filter(|text| !text.is_empty());
        let number = |name| text(name).map(|text| text.parse::<u64>().unwrap());
        let list = |name| {
            let text = text(name).unwrap_or_default();
            text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let named = list("HCS_CHAOS_TROUBLES");
        let is_named = |trouble: &Trouble| named.is_empty() || named.contains(&format!("{trouble:?}"));
        let troubles: Vec<_> = Trouble::ALL.into_iter().filter(is_named).collect();
        assert!(named.is_empty() || troubles.len() == named.len(), "{named:?}, and there are {troubles:?}");
        let settings = list("HCS_CHAOS_SETTINGS");
        let settings = settings.iter().map(|setting| setting.split_once('=').unwrap());
        let requests = number("HCS_CHAOS_REQUESTS").map(|number| usize::try_from(number).unwrap());
        Self {
            requests: requests.unwrap_or(15),
            dataflows: requests.unwrap_or(6),
            seed: number("HCS_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..)),
            troubles,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    /// How long the callers retry: far longer than necessary.
    pub(super) fn time_limit(&self) -> Duration {
        Duration::from_secs(300) + Duration::from_secs(2) * u32::try_from(self.requests).unwrap()
    }

    /// The settings of the service in this trouble, without its addresses.
    pub(super) fn settings(&self, trouble: Trouble) -> Vec<(&str, String)> {
        // A request arrives within three seconds or never, and is listed after an additional lag.
        let all = [("HCS_CREATE_TIMEOUT", "1s"), ("HCS_SETTLE_WINDOW", "1s"), ("HCS_LOG_FORMAT", "json")];
        let own = all.iter().chain(trouble.settings()).map(|(name, value)| (*name, (*value).to_owned()));
        own.chain(self.settings.iter().map(|(name, value)| (&**name, value.clone()))).collect()
    }
}
