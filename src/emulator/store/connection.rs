//! One stored connection.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::emulator::{gateway::Tenant, spec::Spec};

/// What a masked parameter reads as.
const MASK: &str = "**********";

/// What a client says about a connection.
#[derive(Clone, Debug)]
pub struct NewConnection {
    /// Its name.
    pub name: String,
    /// Its description, where it has one.
    pub description: Option<String>,
    /// What it is to.
    pub spec: &'static Spec,
    /// The authentication parameters.
    pub params: BTreeMap<String, SecretString>,
    /// The API key that it is created with.
    pub client: String,
}

/// A stored connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The ID that the store gave to it.
    pub id: String,
    /// Its version, double quotes included.
    pub etag: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// What the client said about it.
    pub content: NewConnection,
    /// Its state, such as `enabled`.
    pub state: String,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub updated_at_ms: u64,
    /// Its place in the order of creation, which wall clock times may share.
    pub(super) sequence: u64,
    pub(super) sandbox_id: Uuid,
    /// When it was created, by the clock that governs the index.
    pub(super) created: Instant,
}

/// A connection as the ledger shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    /// The ID.
    pub id: String,
    /// The version.
    pub etag: String,
    /// The name.
    pub name: String,
    /// The description, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The ID of the connection specification.
    pub connection_spec_id: String,
    /// The organization.
    pub org: String,
    /// The name of the sandbox.
    pub sandbox: String,
    /// The state.
    pub state: String,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
}

impl Connection {
    /// The connection as the Flow Service shows it. Without `mask` the secret parameters come
    /// back, as its documentation says they do.
    pub fn item(&self, mask: bool) -> Value {
        let Self { id, etag, tenant, content, state, created_at_ms, updated_at_ms, sandbox_id, .. } = self;
        let NewConnection { name, description, spec, params, client } = content;
        let param = |(name, value): (&String, &SecretString)| {
            let hidden = mask && spec.is_secret(name);
            (name.clone(), Value::from(if hidden { MASK } else { value.expose_secret() }))
        };
        let params: serde_json::Map<_, _> = params.iter().map(param).collect();
        let mut item = json!({
            "id": id,
            "createdAt": created_at_ms,
            "updatedAt": updated_at_ms,
            "createdBy": client,
            "updatedBy": client,
            "createdClient": client,
            "updatedClient": client,
            "sandboxId": sandbox_id.to_string(),
            "sandboxName": tenant.sandbox,
            "imsOrgId": tenant.org,
            "name": name,
            "connectionSpec": {"id": spec.id, "version": spec.version},
            "state": state,
            "auth": {"specName": spec.auth_spec, "params": params},
            "version": etag,
            "etag": etag,
        });
        if let Some(description) = description {
            item["description"] = Value::from(description.as_str());
        }
        item
    }

    pub(super) fn ledger_entry(&self) -> LedgerEntry {
        LedgerEntry {
            id: self.id.clone(),
            etag: self.etag.clone(),
            name: self.content.name.clone(),
            description: self.content.description.clone(),
            connection_spec_id: self.content.spec.id.to_owned(),
            org: self.tenant.org.clone(),
            sandbox: self.tenant.sandbox.clone(),
            state: self.state.clone(),
            created_at_ms: self.created_at_ms,
        }
    }
}

#[cfg(test)]
pub(in crate::emulator) mod tests {
    use super::*;
    use crate::emulator::{spec::HUBSPOT, store::Store};

    /// A HubSpot connection to create.
    pub(in crate::emulator) fn named(name: &str) -> NewConnection {
        let param = |param: &crate::emulator::spec::Param| {
            (param.name.to_owned(), SecretString::from(format!("canary-{}", param.name)))
        };
        NewConnection {
            name: name.to_owned(),
            description: None,
            spec: &HUBSPOT,
            params: HUBSPOT.params.iter().map(param).collect(),
            client: "demo-client".to_owned(),
        }
    }

    fn with_connection(check: impl Fn(&Connection)) {
        let tenant = Tenant { org: "ORG@AdobeOrg".to_owned(), sandbox: "prod".to_owned() };
        check(Store::default().create(&tenant, named("HubSpot"), "enabled"));
    }

    #[test]
    fn an_item_has_its_version_twice_and_no_empty_description() {
        with_connection(|connection| {
            let item = connection.item(false);
            assert_eq!(item["version"], item["etag"]);
            assert_eq!(item["createdAt"], item["updatedAt"]);
            assert_eq!(item["auth"]["params"]["refreshToken"], "canary-refreshToken");
            assert!(item.get("description").is_none());
        });
    }

    #[test]
    fn a_mask_covers_the_secret_parameters_alone() {
        with_connection(|connection| {
            let params = &connection.item(true)["auth"]["params"];
            assert_eq!(params["clientId"], "canary-clientId");
            for name in ["clientSecret", "accessToken", "refreshToken"] {
                assert_eq!(params[name], MASK);
            }
        });
    }

    #[test]
    fn nothing_prints_a_secret() {
        with_connection(|connection| {
            assert!(!format!("{connection:?} {:?}", connection.ledger_entry()).contains("canary"));
        });
    }
}
