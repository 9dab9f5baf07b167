//! Why a request is rejected: every violation at once, with the path of its field.

use std::borrow::Cow;

use crate::domain::{Invalid, InvalidReason, SandboxName, SandboxNotAllowed, Sandboxes};

const DEFAULT_PAGE_SIZE: u8 = 50;
const LARGEST_PAGE_SIZE: u8 = 100;

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

    /// Checks that a request for a number names no page.
    pub(super) fn no_page_of_a_count(&mut self, count_only: bool, page_token: &str) {
        if count_only && !page_token.is_empty() {
            let conflict = Invalid::new(InvalidReason::Conflicting, "must be empty if count_only is set");
            self.check::<()>("page_token", Err(conflict));
        }
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

/// The violation of a field that is not set.
pub(super) fn required(sentence: &str) -> Invalid {
    Invalid::new(InvalidReason::Required, sentence)
}

pub(super) fn parse_page_size(page_size: i32) -> Result<u8, Invalid> {
    match u8::try_from(page_size) {
        Ok(0) => Ok(DEFAULT_PAGE_SIZE),
        Err(_) if page_size < 0 => {
            Err(Invalid::new(InvalidReason::OutOfRange, "must not be negative: 1 to 100, or 0 for 50"))
        }
        // A larger size is reduced (AIP-158).
        size => Ok(size.unwrap_or(LARGEST_PAGE_SIZE).min(LARGEST_PAGE_SIZE)),
    }
}
