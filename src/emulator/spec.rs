//! The connection specifications that the emulator knows.

/// A connection specification: which kind of source a connection is to.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its ID.
    pub id: &'static str,
    /// Its only version.
    pub version: &'static str,
    /// The name of its only way to authenticate.
    pub auth_spec: &'static str,
    /// The parameters of that way.
    pub params: &'static [Param],
}

/// One authentication parameter; all are strings.
#[derive(Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Whether a connection must have it.
    pub required: bool,
    /// Whether its value is secret (`"format": "password"` in the specification).
    pub secret: bool,
}

/// HubSpot, as `GET /connectionSpecs` describes it: all four parameters are required, and only the
/// client ID is not secret.
pub static HUBSPOT: Spec = Spec {
    id: "cc6a4487-9e91-433e-a3a3-9cf6626c1806",
    version: "1.0",
    auth_spec: "Basic Authentication",
    params: &[
        Param { name: "clientId", required: true, secret: false },
        Param { name: "clientSecret", required: true, secret: true },
        Param { name: "accessToken", required: true, secret: true },
        Param { name: "refreshToken", required: true, secret: true },
    ],
};

/// Salesforce, so that an organization can hold connections that are not to HubSpot.
pub static SALESFORCE: Spec = Spec {
    id: "cfc0fee1-7dc0-40ef-b73e-d8b134c436f5",
    version: "1.0",
    auth_spec: "Basic Authentication",
    params: &[
        Param { name: "username", required: true, secret: false },
        Param { name: "password", required: true, secret: true },
        Param { name: "securityToken", required: true, secret: true },
        Param { name: "environmentUrl", required: false, secret: false },
    ],
};

impl Spec {
    /// Finds a specification.
    pub fn find(id: &str, version: &str) -> Option<&'static Self> {
        [&HUBSPOT, &SALESFORCE].into_iter().find(|spec| spec.id == id && spec.version == version)
    }

    /// Whether the value of a parameter is secret; one that the specification does not name is.
    pub fn is_secret(&self, param: &str) -> bool {
        self.params.iter().find(|known| known.name == param).is_none_or(|known| known.secret)
    }
}
