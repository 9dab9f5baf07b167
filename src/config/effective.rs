//! The configuration in effect, as `check-config` prints it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::setting::{SETTINGS, is_ours};

/// Every setting that was read: its text and where that came from. Secrets are redacted. Prints as one
/// `HCS_NAME = value` line per setting, in the order of the table, followed by the standard variables of
/// OpenTelemetry that are set.
#[derive(Clone, Debug, Default)]
pub struct Effective(BTreeMap<&'static str, Option<(String, Origin)>>);

/// What is shown instead of a secret.
pub(super) const REDACTED: &str = "[redacted]";

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

impl Effective {
    /// `None` if the setting is not set.
    pub(super) fn record(&mut self, name: &'static str, text: Option<(String, Origin)>) {
        self.0.insert(name, text);
    }

    pub(super) fn origin(&self, name: &str) -> Option<&Origin> {
        self.0.get(name)?.as_ref().map(|(_, origin)| origin)
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standard = self.0.keys().copied().filter(|name| !is_ours(name));
        for name in SETTINGS.iter().map(|setting| setting.name).chain(standard) {
            match self.0.get(name) {
                None => Ok(()),
                Some(None) => writeln!(f, "{name} = unset (default)"),
                Some(Some((text, origin))) => writeln!(f, "{name} = {text}{origin}"),
            }?;
        }
        Ok(())
    }
}

/// What is shown after the text.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str(" (default)"),
            Self::Variable => Ok(()),
            Self::Flag(flag) => write!(f, " (from --{flag})"),
            Self::File(variable, path) => write!(f, " (from {}, by {variable})", path.display()),
        }
    }
}
