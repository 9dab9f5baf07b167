//! Sandboxes: isolated environments inside an organization. No resource belongs to two.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Invalid, InvalidReason,
    text::{check_id, text},
};

/// The name of a sandbox: a lower-case letter, then up to 255 lower-case letters, digits and
/// hyphens (Adobe's sandbox guide; it is sent as `x-sandbox-name`). Clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxName(Arc<str>);

text!(SandboxName);

impl SandboxName {
    /// # Errors
    /// [`Invalid`] when the name is empty, too long or contains another character.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name =
            |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_allowed);
        let form = "must be a lower-case letter followed by at most 255 lower-case letters, digits and hyphens: \
                    the name of the sandbox, not its title";
        check_id(name, 256, is_name, form)?;
        Ok(Self(name.into()))
    }
}

/// The sandboxes that callers may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedSandboxes {
    /// Every sandbox of the organization.
    Any,
    /// Only these.
    Only(BTreeSet<SandboxName>),
}

/// The default sandbox, and those that a call may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandboxes {
    default: SandboxName,
    allowed: AllowedSandboxes,
}

/// A sandbox that a call may not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxNotAllowed {
    pub named: SandboxName,
    pub allowed: BTreeSet<SandboxName>,
}

impl Sandboxes {
    /// # Errors
    /// [`Invalid`] when the default sandbox is not allowed.
    pub fn new(default: SandboxName, allowed: AllowedSandboxes) -> Result<Self, Invalid> {
        if allowed.contain(&default) {
            return Ok(Self { default, allowed });
        }
        let sentence = format!("does not contain the default sandbox {default}");
        Err(Invalid::new(InvalidReason::Conflicting, sentence))
    }

    /// The sandbox of a call.
    ///
    /// # Errors
    /// [`SandboxNotAllowed`] when the call names one that is not allowed.
    pub fn resolve(&self, named: Option<SandboxName>) -> Result<SandboxName, SandboxNotAllowed> {
        let name = named.unwrap_or_else(|| self.default.clone());
        match &self.allowed {
            AllowedSandboxes::Only(allowed) if !allowed.contains(&name) => {
                Err(SandboxNotAllowed { named: name, allowed: allowed.clone() })
            }
            AllowedSandboxes::Any | AllowedSandboxes::Only(_) => Ok(name),
        }
    }
}

impl AllowedSandboxes {
    fn contain(&self, name: &SandboxName) -> bool {
        match self {
            Self::Any => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(name: &str) -> SandboxName {
        SandboxName::parse(name).unwrap()
    }

    #[test]
    fn a_name_starts_with_a_letter_and_is_lower_case() {
        for name in ["prod", "p", "dev-2", &format!("a{}", "b".repeat(255))] {
            assert_eq!(sandbox(name).as_str(), name);
        }
        let reason = |name: &str| SandboxName::parse(name).unwrap_err().reason;
        for name in ["Prod", "2dev", "-dev", "dev box", "dev_box", "*", " prod", "prod\n", "ä"] {
            assert_eq!(reason(name), InvalidReason::Malformed, "{name:?}");
        }
        assert_eq!(reason(""), InvalidReason::Required);
        assert_eq!(reason(&"a".repeat(257)), InvalidReason::TooLong);
    }

    #[test]
    fn a_call_without_a_sandbox_uses_the_default() {
        let sandboxes = Sandboxes::new(sandbox("prod"), AllowedSandboxes::Any).unwrap();
        assert_eq!(sandboxes.resolve(None), Ok(sandbox("prod")));
        assert_eq!(sandboxes.resolve(Some(sandbox("dev"))), Ok(sandbox("dev")));
    }

    #[test]
    fn only_allowed_sandboxes_can_be_named() {
        let allowed = AllowedSandboxes::Only([sandbox("prod"), sandbox("stage")].into());
        let sandboxes = Sandboxes::new(sandbox("prod"), allowed.clone()).unwrap();
        let names = BTreeSet::from([sandbox("prod"), sandbox("stage")]);
        assert_eq!(sandboxes.resolve(Some(sandbox("stage"))), Ok(sandbox("stage")));
        assert_eq!(
            sandboxes.resolve(Some(sandbox("dev"))),
            Err(SandboxNotAllowed { named: sandbox("dev"), allowed: names })
        );
        assert!(Sandboxes::new(sandbox("dev"), allowed).is_err());
    }
}
