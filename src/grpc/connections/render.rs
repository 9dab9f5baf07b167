//! Results become responses.

use crate::{
    domain::{
        Check, CheckState, Column, Connection, ConnectionState, SandboxName, StoredCredentials, Table,
        TestReport, reference::split,
    },
    grpc::timestamp,
    proto,
    service::Created,
};

impl From<Created> for proto::CreateHubSpotConnectionResponse {
    fn from(Created { request_id, connection, replayed, test }: Created) -> Self {
        Self {
            id: connection.id.to_string(),
            etag: connection.etag.to_string(),
            request_id: request_id.to_string(),
            replayed,
            test: test.map(Into::into),
            checks: Vec::new(),
        }
    }
}

pub(super) fn connection(connection: Connection, sandbox: &SandboxName) -> proto::HubSpotConnection {
    let (description, request_id) = split(connection.description.as_deref().unwrap_or_default());
    let StoredCredentials { client_id, client_secret_set, access_token_set, refresh_token_set } =
        connection.credentials;
    let state = connection.state.map_or(proto::ConnectionState::Unspecified, Into::into);
    proto::HubSpotConnection {
        id: connection.id.to_string(),
        etag: connection.etag.to_string(),
        name: connection.name,
        description: description.unwrap_or_default(),
        state: state.into(),
        sandbox_name: sandbox.to_string(),
        client_id: client_id.unwrap_or_default(),
        client_secret_set,
        access_token_set,
        refresh_token_set,
        create_time: timestamp::from_ms(connection.created_at_ms),
        update_time: connection.updated_at_ms.and_then(timestamp::from_ms),
        request_id: request_id.map(|id| id.to_string()).unwrap_or_default(),
    }
}

impl From<ConnectionState> for proto::ConnectionState {
    fn from(state: ConnectionState) -> Self {
        match state {
            ConnectionState::Initializing => Self::Initializing,
            ConnectionState::Enabled => Self::Enabled,
            ConnectionState::Disabled => Self::Disabled,
            ConnectionState::Draft => Self::Draft,
            ConnectionState::Updating => Self::Updating,
            ConnectionState::Disabling => Self::Disabling,
            ConnectionState::Deleting => Self::Deleting,
        }
    }
}

impl From<TestReport> for proto::TestResult {
    fn from(report: TestReport) -> Self {
        Self { passed: report.passed(), checks: report.checks.into_iter().map(Into::into).collect() }
    }
}

impl From<Check> for proto::Check {
    fn from(Check { name, state, message }: Check) -> Self {
        let state = match state {
            CheckState::Passed => proto::check::State::Passed,
            CheckState::Failed => proto::check::State::Failed,
            CheckState::Skipped => proto::check::State::Skipped,
        };
        Self { name: name.name().to_owned(), state: state.into(), message }
    }
}

impl From<Table> for proto::HubSpotTable {
    fn from(Table { name, path, can_preview, can_fetch_schema }: Table) -> Self {
        Self { name, path, can_preview, can_fetch_schema }
    }
}

impl From<Column> for proto::HubSpotColumn {
    fn from(Column { name, kind, xdm_type, xdm_format }: Column) -> Self {
        Self { name, r#type: kind, xdm_type, xdm_format }
    }
}
