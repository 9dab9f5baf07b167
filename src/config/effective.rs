//! The configuration in effect, as `check-config` prints it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::{setting::SETTINGS, traces};

/// Every setting that was read, with the text it was read from and where that came from. Secrets
/// are redacted. Prints as one `HCS_NAME = value` line per setting, in the order of the table, and after
/// them the standard variables of OpenTelemetry that are set.
#[derive(Clone, Debug, Default)]
pub struct Effective(BTreeMap<&'static str, Shown>);

/// Where the text of a setting came from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Default,
    Variable,
    /// The flag of this name.
    Flag(String),
    /// The file at this path, which this variable holds.
    File(String, PathBuf),
}

#[derive(Clone, Debug)]
enum Shown {
    Unset,
    Set { text: String, origin: Origin },
}

impl Effective {
    pub(super) fn record(&mut self, name: &'static str, text: String, origin: Origin) {
        self.0.insert(name, Shown::Set { text, origin });
    }

    pub(super) fn record_unset(&mut self, name: &'static str) {
        self.0.insert(name, Shown::Unset);
    }

    /// Replaces the text of a setting that was set.
    pub(super) fn change(&mut self, name: &'static str, new_text: String) {
        if let Some(Shown::Set { text, .. }) = self.0.get_mut(name) {
            *text = new_text;
        }
    }

    pub(super) fn origin(&self, name: &str) -> Option<&Origin> {
        match self.0.get(name)? {
            Shown::Unset => None,
            Shown::Set { origin, .. } => Some(origin),
        }
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SETTINGS
            .iter()
            .map(|setting| setting.name)
            .chain(traces::shown())
            .filter_map(|name| self.0.get_key_value(name))
            .try_for_each(|(name, shown)| writeln!(f, "{name} = {shown}"))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("unset (default)"),
            Self::Set { text, origin } => match origin {
                Origin::Default => write!(f, "{text} (default)"),
                Origin::Variable => f.write_str(text),
                Origin::Flag(flag) => write!(f, "{text} (from --{flag})"),
                Origin::File(variable, path) => write!(f, "{text} (from {}, by {variable})", path.display()),
            },
        }
    }
}
