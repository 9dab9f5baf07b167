//! Checks in their order: each is added after the one before it.

use crate::domain::{Check, CheckName, CheckState, TestReport};

pub(super) const TOKEN_ACCEPTED: &str = "Adobe gives this service an access token and accepts it";
pub(super) const SANDBOX_READ: &str = "this service may read the sandbox";

/// The checks that were made so far.
pub(super) struct Checks {
    names: &'static [CheckName],
    made: Vec<Check>,
}

impl Checks {
    /// None so far of these.
    pub(super) fn of(names: &'static [CheckName]) -> Self {
        Self { names, made: Vec::new() }
    }

    /// The one to make next.
    pub(super) fn next(&self) -> Option<CheckName> {
        self.names.get(self.made.len()).copied()
    }

    pub(super) fn passed(&mut self, message: impl Into<String>) {
        self.add(CheckState::Passed, message.into());
    }

    pub(super) fn failed(&mut self, message: impl Into<String>) {
        self.add(CheckState::Failed, message.into());
    }

    pub(super) fn skipped(&mut self, message: impl Into<String>) {
        self.add(CheckState::Skipped, message.into());
    }

    fn add(&mut self, state: CheckState, message: String) {
        let next = self.next();
        self.made.extend(next.map(|name| Check { name, state, message }));
    }

    pub(super) fn skipping_the_rest(mut self) -> TestReport {
        let failed = self.made.iter().find(|check| check.state == CheckState::Failed);
        let why = match failed {
            Some(failed) => format!("not checked, because {} failed", failed.name.name()),
            None => "not checked: the Flow Service cannot be queried at the moment".to_owned(),
        };
        while self.next().is_some() {
            self.skipped(why.clone());
        }
        TestReport { checks: self.made }
    }
}
