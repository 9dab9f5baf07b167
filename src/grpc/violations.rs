//! Why a request is rejected: every violation at once, with the path of its field.

use std::borrow::Cow;

use crate::domain::{Invalid, SandboxName, SandboxNotAllowed, Sandboxes};

/// Why a request does not become a command.
#[derive(Debug)]
pub(super) enum Rejection {
    Invalid(Vec<Violation>),
    SandboxNotAllowed(SandboxNotAllowed),
}

impl Rejection {
    /// For one field.
    pub(super) fn of(field: &'static str, invalid: Invalid) -> Self {
        Self::Invalid(vec![Violation { field: field.into(), invalid }])
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The path of the field in the proto message: `credentials.client_secret`.
    pub(super) field: Cow<'static, str>,
    pub(super) invalid: Invalid,
}

/// The violations found so far.
pub(super) struct Violations<'a> {
    sandboxes: &'a Sandboxes,
    pub(super) found: Vec<Violation>,
    not_allowed: Option<SandboxNotAllowed>,
}

impl<'a> Violations<'a> {
    pub(super) fn new(sandboxes: &'a Sandboxes) -> Self {
        Self { sandboxes, found: Vec::new(), not_allowed: None }
    }

    /// The parsed value of a field; `None` if it is invalid.
    pub(super) fn check<T>(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        parsed: Result<T, Invalid>,
    ) -> Option<T> {
        parsed.map_err(|invalid| self.found.push(Violation { field: field.into(), invalid })).ok()
    }

    /// The sandbox of the call. One that is not allowed matters only if every field is valid.
    pub(super) fn sandbox(&mut self, name: &str) -> Option<SandboxName> {
        let named = self.check("sandbox_name", optional(name, SandboxName::parse))?;
        self.sandboxes.resolve(named).map_err(|error| self.not_allowed = Some(error)).ok()
    }

    /// The parsed request, unless there is a violation.
    pub(super) fn finish<T>(self, parsed: Option<T>) -> Result<T, Rejection> {
        match self.not_allowed.filter(|_| self.found.is_empty()) {
            Some(not_allowed) => Err(Rejection::SandboxNotAllowed(not_allowed)),
            None => parsed.filter(|_| self.found.is_empty()).ok_or(Rejection::Invalid(self.found)),
        }
    }
}

/// Parses a field that may be empty, which means unset.
pub(super) fn optional<T>(
    value: &str,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    if value.is_empty() { Ok(None) } else { parse(value).map(Some) }
}
