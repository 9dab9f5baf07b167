//! Requests become commands: every violation is found at once, with the path of its field.

use crate::{
    domain::{
        ConnectionName, Credential, Description, HubSpotCredentials, Invalid, NewConnection, RequestId,
        SandboxName, SandboxNotAllowed, Sandboxes,
    },
    proto::{self, Verification},
    service::CreateHubSpotConnection,
};

/// Why a request does not become a command.
#[derive(Debug)]
pub(super) enum Error {
    /// These fields are missing or malformed.
    Invalid(Vec<Violation>),
    /// The caller may not use the sandbox.
    SandboxNotAllowed(SandboxNotAllowed),
    /// These fields are part of the API and do nothing yet.
    NotBuilt(Vec<&'static str>),
}

/// A field and what is wrong with it. The description never repeats the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The path of the field in the proto message: `credentials.client_secret`.
    pub(super) field: &'static str,
    /// What is wrong and how to write it: the rest of a sentence that starts with the field.
    pub(super) description: String,
}

/// Turns a request to create a connection into the command.
pub(super) fn create(
    request: proto::CreateHubSpotConnectionRequest,
    sandboxes: &Sandboxes,
) -> Result<CreateHubSpotConnection, Error> {
    let proto::CreateHubSpotConnectionRequest {
        name,
        description,
        credentials,
        sandbox_name,
        request_id,
        validate_only,
        verification,
    } = request;

    let mut violations = Violations::default();
    let name = violations.check("name", ConnectionName::parse(&name));
    let description = violations.check("description", Description::parse(&description));
    let credentials = violations.credentials(credentials);
    let sandbox = violations.check("sandbox_name", optional(&sandbox_name, SandboxName::parse));
    let request_id = violations.check("request_id", optional(&request_id, RequestId::parse));
    let verification = violations.check("verification", known_verification(verification));
    let (
        Some(name),
        Some(description),
        Some(credentials),
        Some(sandbox),
        Some(request_id),
        Some(verification),
    ) = (name, description, credentials, sandbox, request_id, verification)
    else {
        return Err(Error::Invalid(violations.0));
    };

    let verifies = matches!(verification, Verification::Report | Verification::Require);
    let not_built: Vec<_> = [("validate_only", validate_only), ("verification", verifies)]
        .into_iter()
        .filter_map(|(field, is_used)| is_used.then_some(field))
        .collect();
    if !not_built.is_empty() {
        return Err(Error::NotBuilt(not_built));
    }

    let sandbox = sandboxes.resolve(sandbox).map_err(Error::SandboxNotAllowed)?;
    let connection = NewConnection { sandbox, name, description, credentials };
    Ok(CreateHubSpotConnection { request_id, connection })
}

/// An empty field is one that is not set.
fn optional<T>(value: &str, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Result<Option<T>, Invalid> {
    if value.is_empty() { Ok(None) } else { parse(value).map(Some) }
}

fn known_verification(verification: i32) -> Result<Verification, Invalid> {
    Verification::try_from(verification)
        .map_err(|_| Invalid::from("must be VERIFICATION_NONE, VERIFICATION_REPORT or VERIFICATION_REQUIRE"))
}

/// The violations found so far.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn check<T>(&mut self, field: &'static str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|Invalid(description)| self.0.push(Violation { field, description })).ok()
    }

    fn credentials(&mut self, credentials: Option<proto::HubSpotCredentials>) -> Option<HubSpotCredentials> {
        let credentials =
            self.check("credentials", credentials.ok_or_else(|| Invalid::from("is required")))?;
        let proto::HubSpotCredentials { client_id, client_secret, access_token, refresh_token } = credentials;
        let client_id = self.check("credentials.client_id", Credential::parse(&client_id));
        let client_secret = self.check("credentials.client_secret", Credential::parse(&client_secret));
        let access_token = self.check("credentials.access_token", Credential::parse(&access_token));
        let refresh_token = self.check("credentials.refresh_token", Credential::parse(&refresh_token));
        Some(HubSpotCredentials {
            client_id: client_id?,
            client_secret: client_secret?,
            access_token: access_token?,
            refresh_token: refresh_token?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::domain::AllowedSandboxes;

    fn sandboxes() -> Sandboxes {
        let prod = SandboxName::parse("prod").unwrap();
        let dev = SandboxName::parse("dev").unwrap();
        Sandboxes::new(prod.clone(), AllowedSandboxes::Only([prod, dev].into())).unwrap()
    }

    fn valid() -> proto::CreateHubSpotConnectionRequest {
        proto::CreateHubSpotConnectionRequest {
            name: " HubSpot ".to_owned(),
            description: "for marketing".to_owned(),
            credentials: Some(proto::HubSpotCredentials {
                client_id: "id".to_owned(),
                client_secret: "secret".to_owned(),
                access_token: "access".to_owned(),
                refresh_token: "refresh".to_owned(),
            }),
            sandbox_name: String::new(),
            request_id: String::new(),
            validate_only: false,
            verification: 0,
        }
    }

    fn violated_fields(request: proto::CreateHubSpotConnectionRequest) -> Vec<&'static str> {
        match create(request, &sandboxes()) {
            Err(Error::Invalid(violations)) => violations.into_iter().map(|v| v.field).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_valid_request_becomes_a_command() {
        let CreateHubSpotConnection { request_id, connection } = create(valid(), &sandboxes()).unwrap();
        assert_eq!(request_id, None);
        assert_eq!(connection.name.as_str(), "HubSpot");
        assert_eq!(connection.description.unwrap().as_str(), "for marketing");
        assert_eq!(connection.sandbox.as_str(), "prod");
        let values = connection.credentials.all().map(|c| c.expose_secret().to_owned());
        assert_eq!(values, ["id", "secret", "access", "refresh"]);
    }

    #[test]
    fn every_violation_is_found_at_once() {
        let request = proto::CreateHubSpotConnectionRequest {
            name: " ".to_owned(),
            description: "x".repeat(1001),
            credentials: Some(proto::HubSpotCredentials::default()),
            sandbox_name: "Prod".to_owned(),
            request_id: "1".to_owned(),
            verification: 9,
            ..valid()
        };
        assert_eq!(
            violated_fields(request),
            [
                "name",
                "description",
                "credentials.client_id",
                "credentials.client_secret",
                "credentials.access_token",
                "credentials.refresh_token",
                "sandbox_name",
                "request_id",
                "verification",
            ]
        );
        let request = proto::CreateHubSpotConnectionRequest { credentials: None, ..valid() };
        assert_eq!(violated_fields(request), ["credentials"]);
    }

    #[test]
    fn a_field_that_does_nothing_yet_is_not_ignored() {
        let request = proto::CreateHubSpotConnectionRequest {
            validate_only: true,
            verification: Verification::Report.into(),
            ..valid()
        };
        match create(request, &sandboxes()) {
            Err(Error::NotBuilt(fields)) => {
                assert_eq!(fields, ["validate_only", "verification"]);
            }
            other => panic!("{other:?}"),
        }
        let none =
            proto::CreateHubSpotConnectionRequest { verification: Verification::None.into(), ..valid() };
        assert!(create(none, &sandboxes()).is_ok());
    }

    #[test]
    fn only_an_allowed_sandbox_can_be_named() {
        let in_sandbox =
            |name: &str| proto::CreateHubSpotConnectionRequest { sandbox_name: name.to_owned(), ..valid() };
        assert_eq!(create(in_sandbox("dev"), &sandboxes()).unwrap().connection.sandbox.as_str(), "dev");
        assert!(matches!(create(in_sandbox("qa"), &sandboxes()), Err(Error::SandboxNotAllowed(_))));
    }

    proptest! {
        #[test]
        fn no_request_makes_it_panic_or_repeats_a_value(
            name: String,
            secret in "canary.*",
            sandbox_name: String,
            verification: i32,
        ) {
            let credentials = proto::HubSpotCredentials {
                client_id: secret.clone(), client_secret: secret.clone(), access_token: secret.clone(), refresh_token: secret,
            };
            let request = proto::CreateHubSpotConnectionRequest {
                name, credentials: Some(credentials), sandbox_name, verification, ..valid()
            };
            let debug = format!("{request:?} {:?}", create(request.clone(), &sandboxes()));
            prop_assert!(request.name.contains("canary") || !debug.contains("canary"));
        }
    }
}
