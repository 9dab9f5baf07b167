//! What creations of any kind can read of each other's outcomes: one request id names one creation, whatever the
//! method.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What can be created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A connection.
    #[default]
    Connection,
    /// A dataflow.
    Dataflow,
}

impl Kind {
    /// Its name in the log, and in fingerprints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Dataflow => "dataflow",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The resource that a creation made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What it is.
    pub kind: Kind,
    /// Its ID.
    pub id: String,
}

/// The fields that every outcome has, whatever it is the outcome of. Without a `kind` it is a connection's.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) kind: Kind,
    #[serde(default)]
    id: Option<String>,
    /// Whether it is the outcome of a withdrawal.
    #[serde(default)]
    pub(super) withdrawn: bool,
}

impl Head {
    /// `None` where the text is no outcome.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The resource, if there is one.
    pub(super) fn made(self) -> Option<Made> {
        let Self { kind, id, withdrawn } = self;
        id.filter(|_| !withdrawn).map(|id| Made { kind, id })
    }
}
