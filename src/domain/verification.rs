//! Whether a connection works, and how that was found out.

use serde::{Deserialize, Serialize};

/// What happens after a connection was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// It is not tested.
    #[default]
    None,
    /// It is tested, and the result reported.
    Report,
    /// It is tested, and deleted again where it does not work.
    Require,
}

/// What a test of a connection found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// One for each [`CheckName`], in its order.
    pub checks: Vec<Check>,
}

/// One step of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: CheckName,
    /// What came out.
    pub state: CheckState,
    /// What was found and, where it failed, what to do.
    pub message: String,
}

/// What is checked, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// Whether Adobe gives this service an access token and accepts it.
    AdobeToken,
    /// Whether the sandbox exists and this service may look into it.
    Sandbox,
    /// Whether the connection is ready for use.
    Connection,
    /// What the Flow Service says when it tries the connection.
    ConnectionTest,
    /// Whether there are tables to read.
    Tables,
}

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// It was not looked at.
    Skipped,
}

impl TestReport {
    /// Whether the connection works: the Flow Service says so, and nothing speaks against it.
    pub fn passed(&self) -> bool {
        self.state(CheckName::ConnectionTest) == Some(CheckState::Passed)
            && self.checks.iter().all(|check| check.state != CheckState::Failed)
    }

    /// What a check came to, where it was made.
    pub fn state(&self, name: CheckName) -> Option<CheckState> {
        self.checks.iter().find(|check| check.name == name).map(|check| check.state)
    }
}

impl CheckName {
    /// Every check, in its order.
    pub const ALL: [Self; 5] =
        [Self::AdobeToken, Self::Sandbox, Self::Connection, Self::ConnectionTest, Self::Tables];

    /// The name that callers see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AdobeToken => "adobe_token",
            Self::Sandbox => "sandbox",
            Self::Connection => "connection",
            Self::ConnectionTest => "connection_test",
            Self::Tables => "tables",
        }
    }
}
