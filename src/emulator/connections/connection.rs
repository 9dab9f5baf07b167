//! The content of a connection, and how it is shown.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::emulator::{
    collection::{Collection, EQUAL, Field, Record, Resource},
    connection_specs::Spec,
    flow_service::{FlowServiceResource, common_properties},
    state::State,
};

/// What a masked parameter is shown as.
const MASK: &str = "**********";

#[derive(Clone, Debug)]
pub(in crate::emulator) struct Connection {
    pub(in crate::emulator) name: String,
    pub(super) description: Option<String>,
    pub(in crate::emulator) spec: &'static Spec,
    /// The authentication parameters.
    pub(super) params: BTreeMap<String, SecretString>,
    pub(super) state: String,
    /// The API key that it was created with.
    pub(super) client: String,
}

impl Resource for Connection {
    fn document(record: &Record<Self>) -> Value {
        let Self { name, description, spec, params: _, state, client } = &record.content;
        let mut document = common_properties(record, client);
        document["name"] = json!(name);
        document["connectionSpec"] = json!({"id": spec.id, "version": spec.version});
        document["state"] = json!(state);
        if let Some(description) = description {
            document["description"] = json!(description);
        }
        document
    }
}

impl FlowServiceResource for Connection {
    const NAME: &'static str = "connections";
    const FIELDS: &'static [Field] = &[
        ("id", EQUAL),
        ("name", EQUAL),
        ("description", EQUAL),
        ("connectionSpec.id", EQUAL),
        ("state", EQUAL),
    ];
    const ORDERS: &'static [&'static str] = &["name", "createdAt", "updatedAt"];

    fn collection(state: &State) -> &Collection<Self> {
        &state.connections
    }

    fn collection_mut(state: &mut State) -> &mut Collection<Self> {
        &mut state.connections
    }

    /// Unless the settings mask them, the secret parameters are shown, as the documentation does.
    fn item(record: &Record<Self>, state: &State) -> Value {
        let Self { spec, params, .. } = &record.content;
        let param = |(name, value): (&String, &SecretString)| {
            let hidden = state.settings.mask_auth_params && spec.is_secret(name);
            (name.clone(), Value::from(if hidden { MASK } else { value.expose_secret() }))
        };
        let params: Map<_, _> = params.iter().map(param).collect();
        let mut item = record.document.clone();
        item["auth"] = json!({"specName": spec.auth_spec, "params": params});
        item
    }
}

/// A connection without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    pub id: String,
    pub etag: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub connection_spec_id: String,
    pub org: String,
    pub sandbox: String,
    pub state: String,
    pub created_at_ms: u64,
}

/// Every tenant's connections, the oldest first.
pub(in crate::emulator) fn ledger(connections: &Collection<Connection>) -> Vec<LedgerEntry> {
    let entry = |Record { id, etag, tenant, created_at_ms, content, .. }: &Record<Connection>| LedgerEntry {
        id: id.clone(),
        etag: etag.clone(),
        name: content.name.clone(),
        description: content.description.clone(),
        connection_spec_id: content.spec.id.to_owned(),
        org: tenant.org.clone(),
        sandbox: tenant.sandbox.clone(),
        state: content.state.clone(),
        created_at_ms: *created_at_ms,
    };
    connections.all().iter().map(entry).collect()
}

/// Changes the state of a connection of any tenant, as a write does. `false` if there is no such connection.
pub(in crate::emulator) fn set_state(
    connections: &mut Collection<Connection>,
    id: &str,
    state: &str,
) -> bool {
    let Some(record) = connections.all().iter().find(|record| record.id == id) else { return false };
    let content = Connection { state: state.to_owned(), ..record.content.clone() };
    let tenant = record.tenant.clone();
    connections.replace(&tenant, id, content).is_some()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::emulator::{
        Options,
        connection_specs::{HUBSPOT, Param},
        gateway::Tenant,
    };

    pub(in crate::emulator::connections) fn tenant() -> Tenant {
        Tenant { org: "ORG@AdobeOrg".to_owned(), sandbox: "prod".to_owned() }
    }

    /// A HubSpot connection to create.
    pub(in crate::emulator::connections) fn named(name: &str) -> Connection {
        let param =
            |param: &Param| (param.name.to_owned(), SecretString::from(format!("canary-{}", param.name)));
        Connection {
            name: name.to_owned(),
            description: None,
            spec: &HUBSPOT,
            params: HUBSPOT.params.iter().map(param).collect(),
            state: "enabled".to_owned(),
            client: "demo-client".to_owned(),
        }
    }

    fn with_connection(check: impl Fn(&Record<Connection>)) {
        check(Collection::default().create(&tenant(), named("HubSpot")));
    }

    #[test]
    fn an_item_has_its_version_twice_and_no_empty_description() {
        with_connection(|connection| {
            let item = Connection::item(connection, &State::new(Options::default()));
            assert_eq!(item["version"], item["etag"]);
            assert_eq!(item["createdAt"], item["updatedAt"]);
            assert_eq!(item["auth"]["params"]["refreshToken"], "canary-refreshToken");
            assert!(item.get("description").is_none());
        });
    }

    #[test]
    fn a_mask_covers_the_secret_parameters_alone() {
        with_connection(|connection| {
            let mut state = State::new(Options::default());
            state.settings.mask_auth_params = true;
            let params = &Connection::item(connection, &state)["auth"]["params"];
            assert_eq!(params["clientId"], "canary-clientId");
            for name in ["clientSecret", "accessToken", "refreshToken"] {
                assert_eq!(params[name], MASK);
            }
        });
    }

    #[test]
    fn nothing_prints_a_secret() {
        with_connection(|connection| assert!(!format!("{connection:?}").contains("canary")));
        let mut connections = Collection::default();
        connections.create(&tenant(), named("HubSpot"));
        assert!(!format!("{:?}", ledger(&connections)).contains("canary"));
    }

    #[test]
    fn a_state_is_set_as_a_write_does() {
        let mut connections = Collection::default();
        let before = connections.create(&tenant(), named("HubSpot")).clone();
        assert!(set_state(&mut connections, &before.id, "disabled"));
        let after = connections.get(&tenant(), &before.id).unwrap();
        assert_eq!(after.document["state"], "disabled");
        assert!(after.etag != before.etag && after.updated_at_ms > before.updated_at_ms);
        assert!(!set_state(&mut connections, "other", "enabled"));
    }
}
