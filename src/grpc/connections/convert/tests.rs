use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::{
    adobe::PageToken,
    domain::{AllowedSandboxes, InvalidReason},
};

/// The fields of an invalid request, and the reason of each violation.
fn violated<T: std::fmt::Debug>(converted: Result<T, Rejection>) -> Vec<(&'static str, InvalidReason)> {
    match converted {
        Err(Rejection::Invalid(violations)) => {
            violations.into_iter().map(|v| (&*v.field.into_owned().leak(), v.invalid.reason)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn any_sandbox() -> Sandboxes {
    Sandboxes::new(SandboxName::parse("prod").unwrap(), AllowedSandboxes::Any).unwrap()
}

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
    assert!(matches!(create(in_sandbox("qa"), &sandboxes()), Err(Rejection::SandboxNotAllowed(_))));
}

#[test]
fn a_page_has_fifty_connections_unless_another_size_is_asked_for() {
    let size = |page_size| proto::ListHubSpotConnectionsRequest { page_size, ..Default::default() };
    for (asked, given) in [(0, 50), (1, 1), (100, 100), (101, 100), (256 + 50, 100), (i32::MAX, 100)] {
        match list(size(asked), &any_sandbox()).unwrap() {
            List::Page(command) => assert_eq!(command.page_size, given),
            List::Count { .. } => panic!("a count"),
        }
    }
    for asked in [-1, -256 + 50, i32::MIN] {
        let violations = violated(list(size(asked), &any_sandbox()));
        assert_eq!(violations, [("page_size", InvalidReason::OutOfRange)], "{asked}");
    }
}

#[test]
fn a_list_can_be_of_one_creation() {
    let id = "8F1F6C0E-52A1-4D0E-9D53-6D1FB1D3E2A7";
    let created_by = |request_id: &str, count_only| {
        let request_id = request_id.to_owned();
        let request = proto::ListHubSpotConnectionsRequest { request_id, count_only, ..Default::default() };
        list(request, &any_sandbox())
    };
    let filter = |listed| match listed {
        List::Page(command) => command.filter.request_id,
        List::Count { filter, .. } => filter.request_id,
    };
    for count_only in [false, true] {
        assert_eq!(filter(created_by("", count_only).unwrap()), None);
        assert_eq!(filter(created_by(id, count_only).unwrap()), Some(RequestId::parse(id).unwrap()));
        let invalid = violated(created_by("1", count_only));
        assert_eq!(invalid, [("request_id", InvalidReason::Malformed)]);
    }
}

#[test]
fn a_page_token_belongs_to_its_query() {
    let prod = SandboxName::parse("prod").unwrap();
    let request = |token: &str, name: &str| proto::ListHubSpotConnectionsRequest {
        page_token: token.to_owned(),
        name: name.to_owned(),
        ..Default::default()
    };
    let token = page_token::encode(
        &PageToken("next".to_owned()),
        &Query::connections(&prod, &Filter { name: Some("HubSpot".to_owned()), request_id: None }),
    );
    assert!(list(request(&token, "HubSpot"), &any_sandbox()).is_ok());
    let other_query = violated(list(request(&token, ""), &any_sandbox()));
    assert_eq!(other_query, [("page_token", InvalidReason::Malformed)]);
    let count = proto::ListHubSpotConnectionsRequest { count_only: true, ..request(&token, "HubSpot") };
    assert_eq!(violated(list(count, &any_sandbox())), [("page_token", InvalidReason::Conflicting)]);
}

#[test]
fn an_update_names_everything_that_is_wrong_with_it() {
    let request = proto::UpdateHubSpotConnectionRequest {
        id: "a/b".to_owned(),
        sandbox_name: "Prod".to_owned(),
        etag: "a b".to_owned(),
        name: Some(String::new()),
        description: Some("x".repeat(1001)),
        validate_only: false,
        credentials: Some(proto::HubSpotCredentials::default()),
    };
    assert_eq!(
        violated(update(request, &any_sandbox())),
        [
            ("id", InvalidReason::Malformed),
            ("sandbox_name", InvalidReason::Malformed),
            ("etag", InvalidReason::Malformed),
            ("name", InvalidReason::Required),
            ("description", InvalidReason::TooLong),
            ("credentials.client_id", InvalidReason::Required),
            ("credentials.client_secret", InvalidReason::Required),
            ("credentials.access_token", InvalidReason::Required),
            ("credentials.refresh_token", InvalidReason::Required),
        ]
    );
}

#[test]
fn an_update_changes_something() {
    let nothing = proto::UpdateHubSpotConnectionRequest { id: "a".to_owned(), ..Default::default() };
    assert_eq!(violated(update(nothing.clone(), &any_sandbox())), [("name", InvalidReason::Required)]);
    let removal = proto::UpdateHubSpotConnectionRequest { description: Some(String::new()), ..nothing };
    let command = update(removal, &any_sandbox()).unwrap();
    assert!(matches!(command.changes.description(), Some(None)));
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
