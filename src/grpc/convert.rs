//! Requests become commands: every violation is found at once, with the path of its field.

mod connections;
mod create;

pub(super) use self::{
    connections::{List, connection, list, table, update},
    create::{Create, create},
};
use zeroize::Zeroizing;

use crate::{
    domain::{
        ConnectionId, ConnectionRef, Credential, HubSpotCredentials, Invalid, InvalidReason, SandboxName,
        SandboxNotAllowed, Sandboxes,
    },
    proto,
};

/// Why a request does not become a command.
#[derive(Debug)]
pub(super) enum Error {
    /// These fields are missing or malformed.
    Invalid(Vec<Violation>),
    /// The caller may not use the sandbox.
    SandboxNotAllowed(SandboxNotAllowed),
}

/// A field and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The path of the field in the proto message: `credentials.client_secret`.
    pub(super) field: &'static str,
    /// What is wrong: its sentence goes on after the field.
    pub(super) invalid: Invalid,
}

/// An empty field is one that is not set.
fn optional<T>(value: &str, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Result<Option<T>, Invalid> {
    if value.is_empty() { Ok(None) } else { parse(value).map(Some) }
}

/// The violations found so far.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn check<T>(&mut self, field: &'static str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.0.push(Violation { field, invalid })).ok()
    }

    /// Where a connection is; which sandboxes are allowed is looked at when nothing else is wrong.
    fn connection(&mut self, id: &str, sandbox_name: &str) -> Option<(ConnectionId, Option<SandboxName>)> {
        let id = self.check("id", ConnectionId::parse(id));
        let sandbox = self.check("sandbox_name", optional(sandbox_name, SandboxName::parse));
        id.zip(sandbox)
    }

    fn credentials(&mut self, credentials: Option<proto::HubSpotCredentials>) -> Option<HubSpotCredentials> {
        let required = || Invalid::new(InvalidReason::Required, "is required");
        let credentials = self.check("credentials", credentials.ok_or_else(required))?;
        let proto::HubSpotCredentials { client_id, client_secret, access_token, refresh_token } = credentials;
        // What was decoded is wiped, whether it is valid or not. The message that it came in is not ours.
        let [client_id, client_secret, access_token, refresh_token] =
            [client_id, client_secret, access_token, refresh_token].map(Zeroizing::new);
        const FIELDS: [&str; 4] = [
            "credentials.client_id",
            "credentials.client_secret",
            "credentials.access_token",
            "credentials.refresh_token",
        ];
        let client_id = self.check(FIELDS[0], Credential::parse(&client_id));
        let client_secret = self.check(FIELDS[1], Credential::parse(&client_secret));
        let access_token = self.check(FIELDS[2], Credential::parse(&access_token));
        let refresh_token = self.check(FIELDS[3], Credential::parse(&refresh_token));
        let credentials = HubSpotCredentials {
            client_id: client_id?,
            client_secret: client_secret?,
            access_token: access_token?,
            refresh_token: refresh_token?,
        };
        let valid = self.0.len();
        self.0.extend(
            credentials.repetitions().map(|(place, invalid)| Violation { field: FIELDS[place], invalid }),
        );
        (self.0.len() == valid).then_some(credentials)
    }
}

/// The fields of a request that is invalid, and what is wrong with each.
#[cfg(test)]
fn violated<T: std::fmt::Debug>(converted: Result<T, Error>) -> Vec<(&'static str, InvalidReason)> {
    match converted {
        Err(Error::Invalid(violations)) => {
            violations.into_iter().map(|v| (v.field, v.invalid.reason)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn resolve(
    (id, sandbox): (ConnectionId, Option<SandboxName>),
    sandboxes: &Sandboxes,
) -> Result<ConnectionRef, Error> {
    let sandbox = sandboxes.resolve(sandbox).map_err(Error::SandboxNotAllowed)?;
    Ok(ConnectionRef { sandbox, id })
}
