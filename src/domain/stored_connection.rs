//! Connections that exist: where one is, what it looks like, and how it is to change.

use std::fmt;

use super::{
    ConnectionId, ConnectionName, Description, Etag, HubSpotCredentials, Invalid, InvalidReason, SandboxName,
    reference::split,
};

/// Where a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionRef {
    /// The sandbox that holds it.
    pub sandbox: SandboxName,
    /// Its ID.
    pub id: ConnectionId,
}

impl fmt::Display for ConnectionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the sandbox {}", self.id, self.sandbox)
    }
}

/// A HubSpot connection as the Flow Service tells of it, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its ID.
    pub id: ConnectionId,
    /// Its version.
    pub etag: Etag,
    /// Its name. Others than this service may have given it one that this service would not.
    pub name: String,
    /// Its description as it is stored, with the reference of the request that created it, where it has one
    /// and the reply shows it.
    pub description: Option<String>,
    /// What it can be used for; `None` for a state that this service does not know.
    pub state: Option<ConnectionState>,
    /// What is stored of its credentials.
    pub credentials: StoredCredentials,
    /// When it was created by the Flow Service's clock, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// When it was last changed, likewise.
    pub updated_at_ms: Option<i64>,
    /// The client that created it; Adobe's interface is `exc_app`.
    pub created_client: Option<String>,
}

/// Which credentials a connection has. The secrets themselves are never read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCredentials {
    /// The client ID, where the Flow Service tells it. It may be masked.
    pub client_id: Option<String>,
    /// Whether there is a client secret.
    pub client_secret_set: bool,
    /// Whether there is an access token.
    pub access_token_set: bool,
    /// Whether there is a refresh token.
    pub refresh_token_set: bool,
}

/// What a connection can be used for at this time. Adobe documents some of its states; others are
/// only seen in its error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is being established.
    Initializing,
    /// It is ready for use.
    Enabled,
    /// It is switched off.
    Disabled,
    /// It is saved, and not published.
    Draft,
    /// It is being changed.
    Updating,
    /// It is being switched off.
    Disabling,
    /// It is being deleted.
    Deleting,
}

impl ConnectionState {
    /// The state of this name, in any case; `None` for one that this service does not know.
    pub fn parse(state: &str) -> Option<Self> {
        Some(match state.to_ascii_lowercase().as_str() {
            "initializing" => Self::Initializing,
            "enabled" => Self::Enabled,
            "disabled" => Self::Disabled,
            "draft" => Self::Draft,
            "updating" | "enabled-finalizing" => Self::Updating,
            "disabling" => Self::Disabling,
            "deleting" | "delete-finalizing" => Self::Deleting,
            _ => return None,
        })
    }

    /// The name that people see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Draft => "draft",
            Self::Updating => "updating",
            Self::Disabling => "disabling",
            Self::Deleting => "deleting",
        }
    }
}

/// How a connection is to change: at least one thing about it.
#[derive(Clone, Debug)]
pub struct ConnectionChanges {
    name: Option<ConnectionName>,
    description: Option<Option<Description>>,
    credentials: Option<HubSpotCredentials>,
}

impl ConnectionChanges {
    /// Combines what is to change; a description of `None` within `Some` is removed.
    ///
    /// # Errors
    /// [`Invalid`] when nothing is to change.
    pub fn new(
        name: Option<ConnectionName>,
        description: Option<Option<Description>>,
        credentials: Option<HubSpotCredentials>,
    ) -> Result<Self, Invalid> {
        if name.is_none() && description.is_none() && credentials.is_none() {
            return Err(Invalid::new(
                InvalidReason::Required,
                "is required, or description, or credentials: at least one change",
            ));
        }
        Ok(Self { name, description, credentials })
    }

    /// The new name.
    pub fn name(&self) -> Option<&ConnectionName> {
        self.name.as_ref()
    }

    /// The new description; `Some(None)` removes it.
    pub fn description(&self) -> Option<Option<&Description>> {
        self.description.as_ref().map(Option::as_ref)
    }

    /// The new credentials.
    pub fn credentials(&self) -> Option<&HubSpotCredentials> {
        self.credentials.as_ref()
    }

    /// Whether the name and the description of a connection are what these changes make of it.
    /// Credentials cannot be compared.
    pub fn show_in(&self, connection: &Connection) -> bool {
        let (description, _) = split(connection.description.as_deref().unwrap_or_default());
        let description = description.unwrap_or_default();
        self.name().is_none_or(|name| name.as_str() == connection.name)
            && self.description().is_none_or(|new| new.map_or("", |new| new.as_str()) == description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_in_any_case_and_others_are_not_guessed() {
        for state in ["enabled", "ENABLED"] {
            assert_eq!(ConnectionState::parse(state), Some(ConnectionState::Enabled));
        }
        assert_eq!(ConnectionState::parse("delete-finalizing"), Some(ConnectionState::Deleting));
        for state in ["", "ready", "enabled "] {
            assert_eq!(ConnectionState::parse(state), None, "{state:?}");
        }
    }

    #[test]
    fn a_change_changes_something() {
        let nothing = ConnectionChanges::new(None, None, None).unwrap_err();
        assert_eq!(nothing.reason, InvalidReason::Required);
        assert!(ConnectionChanges::new(None, Some(None), None).is_ok());
    }
}
