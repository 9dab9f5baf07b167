//! Tests of connections.

use serde::{Deserialize, Serialize};

use crate::domain::text::names;

/// Whether a new connection is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    #[default]
    None,
    /// It is tested, and the result is reported.
    Report,
    /// It is tested, and deleted if the test fails.
    Require,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// One for each of [`CheckName::OF_CONNECTION`], in their order.
    pub checks: Vec<Check>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: CheckName,
    pub state: CheckState,
    /// What was found and, if the check failed, what to do.
    pub message: String,
}

names! {
    /// The checks of a connection, of dry runs and of the plan of a dataflow, with their names in responses.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum CheckName {
        /// Whether Adobe issues an access token to this service and accepts it.
        AdobeToken = "adobe_token",
        /// Whether the sandbox exists and this service may read it.
        Sandbox = "sandbox",
        /// Whether the connection is ready for use.
        Connection = "connection",
        /// The Flow Service's own test of the connection.
        ConnectionTest = "connection_test",
        /// Whether there are tables to read.
        Tables = "tables",
        /// Whether Adobe takes connections as this service sends them.
        ConnectionSpec = "connection_spec",
        /// Whether HubSpot accepts the client ID and the client secret.
        HubspotApp = "hubspot_app",
        /// Whether HubSpot accepts the refresh token.
        HubspotRefreshToken = "hubspot_refresh_token",
        /// Whether HubSpot accepts the access token, or Adobe has to renew it.
        HubspotAccessToken = "hubspot_access_token",
        /// Whether the tokens may read the tables.
        HubspotScopes = "hubspot_scopes",
        /// Whether the connection has the table.
        Table = "table",
        /// Whether Adobe takes flows as this service sends them.
        FlowSpec = "flow_spec",
        /// Whether the dataset exists.
        Dataset = "dataset",
        /// Whether the schema exists, or can be made.
        Schema = "schema",
        /// Whether the columns fit the schema.
        Mapping = "mapping",
        /// Whether the schedule fits the table and the present time.
        Schedule = "schedule",
    }
}

impl CheckName {
    /// The checks of the test of a connection, in their order.
    pub const OF_CONNECTION: &[Self] =
        &[Self::AdobeToken, Self::Sandbox, Self::Connection, Self::ConnectionTest, Self::Tables];
    /// The checks at Adobe in the dry run of a creation, in their order.
    pub const OF_CREATION: &[Self] = &[Self::AdobeToken, Self::Sandbox, Self::ConnectionSpec];
    /// The same of an update.
    pub const OF_UPDATE: &[Self] = &[Self::AdobeToken, Self::Sandbox, Self::Connection, Self::ConnectionSpec];
    /// The checks of the plan of a dataflow, in their order.
    pub const OF_DATAFLOW: &[Self] = &[
        Self::AdobeToken,
        Self::Connection,
        Self::Table,
        Self::FlowSpec,
        Self::Dataset,
        Self::Schema,
        Self::Mapping,
        Self::Schedule,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    Passed,
    Failed,
    Skipped,
}

impl TestReport {
    /// Whether the Flow Service's test passed and no other check failed.
    pub fn passed(&self) -> bool {
        self.state(CheckName::ConnectionTest) == Some(CheckState::Passed)
            && self.checks.iter().all(|check| check.state != CheckState::Failed)
    }

    pub fn state(&self, name: CheckName) -> Option<CheckState> {
        self.checks.iter().find(|check| check.name == name).map(|check| check.state)
    }
}
