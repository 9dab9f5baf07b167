//! Why a request is rejected: every violation at once, with the path of its field.

use std::borrow::Cow;

use crate::domain::{Invalid, SandboxName, SandboxNotAllowed, Sandboxes};

/// Why a request does not become a command.
#[derive(Debug)]
pub(super) enum Rejection {
    Invalid(Vec<Violation>),
    SandboxNotAllowed(SandboxNotAllowed),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The path of the field in the proto message: `credentials.client_secret`.
    pub(super) field: Cow<'static, str>,
    pub(super) invalid: Invalid,
}

/// The violations found so far.
#[derive(Default)]
pub(super) struct Violations(Vec<Violation>);

impl Violations {
    /// The parsed value of a field; `None` if it is invalid.
    pub(super) fn check<T>(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        parsed: Result<T, Invalid>,
    ) -> Option<T> {
        parsed.map_err(|invalid| self.0.push(Violation { field: field.into(), invalid })).ok()
    }

    /// Whether the sandbox is allowed is checked once every field is valid.
    pub(super) fn sandbox(&mut self, name: &str) -> Option<Option<SandboxName>> {
        self.check("sandbox_name", optional(name, SandboxName::parse))
    }

    /// The parsed request, unless there is a violation.
    pub(super) fn finish<T>(self, parsed: Option<T>) -> Result<T, Rejection> {
        parsed.filter(|_| self.0.is_empty()).ok_or(Rejection::Invalid(self.0))
    }
}

/// Parses a field whose value depends on the others, once they are valid.
pub(super) fn check<T>(field: &'static str, parsed: Result<T, Invalid>) -> Result<T, Rejection> {
    let mut violations = Violations::default();
    let parsed = violations.check(field, parsed);
    violations.finish(parsed)
}

/// Parses a field that may be empty, which means unset.
pub(super) fn optional<T>(
    value: &str,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    if value.is_empty() { Ok(None) } else { parse(value).map(Some) }
}

/// The sandbox of a call.
pub(super) fn resolve(sandboxes: &Sandboxes, named: Option<SandboxName>) -> Result<SandboxName, Rejection> {
    sandboxes.resolve(named).map_err(Rejection::SandboxNotAllowed)
}
