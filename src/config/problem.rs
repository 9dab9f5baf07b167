//! The problems of a configuration.

use std::fmt;

/// One problem of a configuration, and its fix. It never holds a value, which may be a secret in the wrong
/// place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What to change: the variable, and its flag if the value came from there.
    pub setting: String,
    pub message: String,
}

impl Problem {
    pub(super) fn of(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self { setting: setting.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)
    }
}

/// Every problem of a configuration; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{count} {noun} in the configuration:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
