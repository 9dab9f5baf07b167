//! Connections that exist, and changes to them.

use std::fmt;

use super::{ConnectionId, HubSpotCredentials};
use crate::domain::{
    Description, Etag, Invalid, InvalidReason, ResourceName, SandboxName, reference::split, text::names,
};

/// A connection id is unique within its sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionRef {
    pub sandbox: SandboxName,
    pub id: ConnectionId,
}

impl fmt::Display for ConnectionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the sandbox {}", self.id, self.sandbox)
    }
}

/// A HubSpot connection as the Flow Service returns it, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub id: ConnectionId,
    pub etag: Etag,
    /// Other clients may have chosen a name that [`ResourceName`] rejects.
    pub name: String,
    /// As it is stored, with the reference of the request that created it.
    pub description: Option<String>,
    /// `None` for a state that this service does not know.
    pub state: Option<ConnectionState>,
    pub credentials: StoredCredentials,
    /// By the Flow Service's clock, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// In the same unit.
    pub updated_at_ms: Option<i64>,
    /// The client that created it; Adobe's user interface is `exc_app`.
    pub created_client: Option<String>,
}

/// Which credentials a connection has. The secrets themselves are never read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCredentials {
    /// The Flow Service may mask it or leave it out.
    pub client_id: Option<String>,
    pub client_secret_set: bool,
    pub access_token_set: bool,
    pub refresh_token_set: bool,
}

names! {
    /// Adobe documents some of the states; others are known from its error messages only.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ConnectionState {
        Initializing = "initializing",
        Enabled = "enabled",
        Disabled = "disabled",
        /// Saved, and not published.
        Draft = "draft",
        Updating = "updating",
        Disabling = "disabling",
        Deleting = "deleting",
    }
}

impl ConnectionState {
    /// Ignores case. `None` for a state that this service does not know.
    pub fn parse(state: &str) -> Option<Self> {
        match state.to_ascii_lowercase().as_str() {
            "enabled-finalizing" => Some(Self::Updating),
            "delete-finalizing" => Some(Self::Deleting),
            state => Self::ALL.iter().copied().find(|known| known.name() == state),
        }
    }
}

/// Changes to a connection: at least one.
#[derive(Clone, Debug)]
pub struct ConnectionChanges {
    name: Option<ResourceName>,
    description: Option<Option<Description>>,
    credentials: Option<HubSpotCredentials>,
}

impl ConnectionChanges {
    /// `Some(None)` removes the description.
    ///
    /// # Errors
    /// [`Invalid`] when there is no change.
    pub fn new(
        name: Option<ResourceName>,
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

    pub fn name(&self) -> Option<&ResourceName> {
        self.name.as_ref()
    }

    /// `Some(None)` removes it.
    pub fn description(&self) -> Option<Option<&Description>> {
        self.description.as_ref().map(Option::as_ref)
    }

    pub fn credentials(&self) -> Option<&HubSpotCredentials> {
        self.credentials.as_ref()
    }

    /// Whether a connection has the new name and description. Credentials cannot be compared.
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
    fn states_ignore_case_and_unknown_ones_are_not_guessed() {
        for state in ["enabled", "ENABLED"] {
            assert_eq!(ConnectionState::parse(state), Some(ConnectionState::Enabled));
        }
        assert_eq!(ConnectionState::parse("delete-finalizing"), Some(ConnectionState::Deleting));
        for state in ["", "ready", "enabled "] {
            assert_eq!(ConnectionState::parse(state), None, "{state:?}");
        }
    }

    #[test]
    fn a_change_without_content_is_rejected() {
        let nothing = ConnectionChanges::new(None, None, None).unwrap_err();
        assert_eq!(nothing.reason, InvalidReason::Required);
        assert!(ConnectionChanges::new(None, Some(None), None).is_ok());
    }
}
