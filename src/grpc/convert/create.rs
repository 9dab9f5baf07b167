//! The request to create a connection.

use super::{Error, Violations, optional};
use crate::{
    domain::{
        ConnectionName, Description, Invalid, InvalidReason, NewConnection, RequestId, SandboxName,
        Sandboxes, Verification,
    },
    proto,
    service::CreateHubSpotConnection,
};

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Create {
    /// A connection.
    Command(CreateHubSpotConnection),
    /// To know whether it could be created.
    DryRun(NewConnection),
}

/// Turns a request to create a connection into the command.
pub(crate) fn create(
    request: proto::CreateHubSpotConnectionRequest,
    sandboxes: &Sandboxes,
) -> Result<Create, Error> {
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
    // A dry run has no name.
    let request_id = if validate_only { "" } else { &request_id };
    let request_id = violations.check("request_id", optional(request_id, RequestId::parse));
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

    let sandbox = sandboxes.resolve(sandbox).map_err(Error::SandboxNotAllowed)?;
    let connection = NewConnection { sandbox, name, description, credentials };
    Ok(if validate_only {
        Create::DryRun(connection)
    } else {
        Create::Command(CreateHubSpotConnection { request_id, connection, verification })
    })
}

fn known_verification(verification: i32) -> Result<Verification, Invalid> {
    match proto::Verification::try_from(verification) {
        Ok(proto::Verification::Unspecified | proto::Verification::None) => Ok(Verification::None),
        Ok(proto::Verification::Report) => Ok(Verification::Report),
        Ok(proto::Verification::Require) => Ok(Verification::Require),
        Err(_) => Err(Invalid::new(
            InvalidReason::UnknownValue,
            "must be VERIFICATION_NONE, VERIFICATION_REPORT or VERIFICATION_REQUIRE",
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{domain::AllowedSandboxes, grpc::convert::violated};

    fn command(request: proto::CreateHubSpotConnectionRequest) -> CreateHubSpotConnection {
        match create(request, &sandboxes()).unwrap() {
            Create::Command(command) => command,
            Create::DryRun(_) => panic!("a dry run"),
        }
    }

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

    fn violations_of(request: proto::CreateHubSpotConnectionRequest) -> Vec<(&'static str, InvalidReason)> {
        violated(create(request, &sandboxes()))
    }

    #[test]
    fn a_valid_request_becomes_a_command() {
        let CreateHubSpotConnection { request_id, connection, verification } = command(valid());
        assert_eq!((request_id, verification), (None, Verification::None));
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
            violations_of(request),
            [
                ("name", InvalidReason::Required),
                ("description", InvalidReason::TooLong),
                ("credentials.client_id", InvalidReason::Required),
                ("credentials.client_secret", InvalidReason::Required),
                ("credentials.access_token", InvalidReason::Required),
                ("credentials.refresh_token", InvalidReason::Required),
                ("sandbox_name", InvalidReason::Malformed),
                ("request_id", InvalidReason::Malformed),
                ("verification", InvalidReason::UnknownValue),
            ]
        );
        let request = proto::CreateHubSpotConnectionRequest { credentials: None, ..valid() };
        assert_eq!(violations_of(request), [("credentials", InvalidReason::Required)]);
    }

    #[test]
    fn an_unspecified_verification_is_none() {
        for (field, verification) in [
            (proto::Verification::Unspecified, Verification::None),
            (proto::Verification::None, Verification::None),
            (proto::Verification::Report, Verification::Report),
            (proto::Verification::Require, Verification::Require),
        ] {
            let request = proto::CreateHubSpotConnectionRequest { verification: field.into(), ..valid() };
            assert_eq!(command(request).verification, verification);
        }
    }

    #[test]
    fn a_dry_run_is_checked_like_a_creation() {
        let dry_run = proto::CreateHubSpotConnectionRequest { validate_only: true, ..valid() };
        assert!(matches!(create(dry_run.clone(), &sandboxes()), Ok(Create::DryRun(_))));
        let request = proto::CreateHubSpotConnectionRequest { name: String::new(), ..dry_run.clone() };
        assert_eq!(violations_of(request), [("name", InvalidReason::Required)]);
        let request = proto::CreateHubSpotConnectionRequest { request_id: "1".to_owned(), ..dry_run };
        assert!(create(request, &sandboxes()).is_ok());
    }

    #[test]
    fn only_an_allowed_sandbox_can_be_named() {
        let in_sandbox =
            |name: &str| proto::CreateHubSpotConnectionRequest { sandbox_name: name.to_owned(), ..valid() };
        assert_eq!(command(in_sandbox("dev")).connection.sandbox.as_str(), "dev");
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
