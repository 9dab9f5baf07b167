//! What the record of a withdrawn creation says.

use serde::{Deserialize, Serialize};

use super::{
    made::Kind,
    operation::Outcome as _,
    withdrawal::{Known, KnownOf, Withdrawal},
};

const VERSION: u32 = 1;

/// The outcome of a withdrawal.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tombstone {
    version: u32,
    kind: Kind,
    withdrawn: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// Whether it is proven that there is no resource any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) resource_gone: bool,
}

impl Tombstone {
    pub(super) fn of(kind: Kind, context: Option<String>, outcome: Option<String>) -> Self {
        Self { version: VERSION, kind, withdrawn: true, context, outcome, resource_gone: false }
    }

    pub(super) fn with_resource_gone(&self) -> Self {
        Self { resource_gone: true, ..self.clone() }
    }

    pub(super) fn text(&self) -> String {
        // It has no keys but strings, so that it always can be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|tombstone: &Self| tombstone.version == VERSION)
    }

    /// What was known of the creation; `None` where this version cannot read it.
    pub(super) fn known<W: Withdrawal>(&self) -> Option<KnownOf<W>> {
        Some(match (&self.outcome, &self.context) {
            (Some(outcome), _) => Known::Outcome(W::Outcome::parse(outcome)?),
            (None, Some(context)) => Known::Context(W::read(context)?),
            (None, None) => Known::Nothing,
        })
    }
}
