//! The known connection specifications.

use serde_json::{Map, Value, json};

use super::tables::{self, Table};

/// A kind of source.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    pub id: &'static str,
    pub name: &'static str,
    pub provider_id: &'static str,
    pub version: &'static str,
    pub source: &'static str,
    pub category: &'static str,
    /// The name of its only authentication.
    pub auth_spec: &'static str,
    pub params: &'static [Param],
    pub tables: &'static [Table],
}

/// An authentication parameter. All are strings.
#[derive(Debug, PartialEq, Eq)]
pub struct Param {
    pub name: &'static str,
    pub description: &'static str,
    pub required: bool,
    /// `"format": "password"` in the specification.
    pub secret: bool,
}

const PROVIDER_ID: &str = "0ed90a81-07f4-4586-8190-b40eccef1c5a";

/// All four parameters are required, and only the client id is not secret.
pub static HUBSPOT: Spec = Spec {
    id: "cc6a4487-9e91-433e-a3a3-9cf6626c1806",
    name: "hubspot",
    provider_id: PROVIDER_ID,
    version: "1.0",
    source: "HubSpot",
    category: "Marketing automation",
    auth_spec: "Basic Authentication",
    params: &[
        Param {
            name: "clientId",
            description: "The client ID associated with your HubSpot application.",
            required: true,
            secret: false,
        },
        Param {
            name: "clientSecret",
            description: "The client secret associated with your HubSpot application.",
            required: true,
            secret: true,
        },
        Param {
            name: "accessToken",
            description: "The access token obtained when initially authenticating your OAuth integration.",
            required: true,
            secret: true,
        },
        Param {
            name: "refreshToken",
            description: "The refresh token obtained when initially authenticating your OAuth integration.",
            required: true,
            secret: true,
        },
    ],
    tables: tables::HUBSPOT,
};

/// For connections that are not to HubSpot.
pub(super) static SALESFORCE: Spec = Spec {
    id: "cfc0fee1-7dc0-40ef-b73e-d8b134c436f5",
    name: "salesforce",
    provider_id: PROVIDER_ID,
    version: "1.0",
    source: "Salesforce",
    category: "CRM",
    auth_spec: "Basic Authentication",
    params: &[
        Param {
            name: "username",
            description: "The user name of the account.",
            required: true,
            secret: false,
        },
        Param { name: "password", description: "The password of the account.", required: true, secret: true },
        Param {
            name: "securityToken",
            description: "The security token of the account.",
            required: true,
            secret: true,
        },
        Param {
            name: "environmentUrl",
            description: "The URL of the source instance.",
            required: false,
            secret: false,
        },
    ],
    tables: tables::SALESFORCE,
};

impl Spec {
    pub const ALL: [&'static Self; 2] = [&HUBSPOT, &SALESFORCE];

    pub fn find(id: &str, version: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|spec| spec.id == id && spec.version == version)
    }

    /// An unknown parameter counts as secret.
    pub fn is_secret(&self, param: &str) -> bool {
        self.params.iter().find(|known| known.name == param).is_none_or(|known| known.secret)
    }

    /// The specification as the Flow Service shows it. The documentation omits the rest of HubSpot's after the
    /// authentication; that rest is like those of the other specifications.
    pub fn item(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "providerId": self.provider_id,
            "version": self.version,
            "authSpec": [{"name": self.auth_spec, "spec": self.auth_schema()}],
            "attributes": {
                "category": self.category,
                "isSource": true,
                "connectorName": self.source,
                "uiAttributes": {"apiFeatures": {"explorePaginationSupported": false}},
            },
            "permissionsInfo": {
                "manage": [{"@type": "lowLevel", "name": "EnterpriseSource", "permissions": ["write"]}],
                "view": [{"@type": "lowLevel", "name": "EnterpriseSource", "permissions": ["read"]}],
            },
        })
    }

    fn auth_schema(&self) -> Value {
        let property = |param: &Param| {
            let mut schema = json!({"type": "string", "description": param.description});
            if param.secret {
                schema["format"] = json!("password");
            }
            (param.name.to_owned(), schema)
        };
        let required: Vec<&str> =
            self.params.iter().filter(|param| param.required).map(|param| param.name).collect();
        json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "description": format!("defines auth params required for connecting to {}", self.source),
            "properties": self.params.iter().map(property).collect::<Map<_, _>>(),
            "required": required,
        })
    }
}
