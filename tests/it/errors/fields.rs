//! `INVALID_REQUEST`: each bad field, with its reason and how to correct it.

use hubspot_connection_service::proto;
use tonic::{Code, Status};

use crate::support::{Failure, TestService, credentials, request};

#[tokio::test]
async fn bad_fields_are_all_reported_with_their_paths_and_the_fix() {
    let service = TestService::start().await;
    let failure = service
        .send(proto::CreateHubSpotConnectionRequest {
            name: "\n".to_owned(),
            description: "x".repeat(1001),
            credentials: Some(proto::HubSpotCredentials {
                client_id: String::new(),
                client_secret: " canary".to_owned(),
                access_token: "Bearer canary".to_owned(),
                refresh_token: "x".repeat(4097),
            }),
            sandbox_name: "Prod".to_owned(),
            request_id: "1".to_owned(),
            ..request()
        })
        .await
        .unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
    let expected = [
        ("name", "REQUIRED", "is required"),
        ("description", "TOO_LONG", "1,000 characters"),
        ("credentials.client_id", "REQUIRED", "is required"),
        ("credentials.client_secret", "MALFORMED", "white space at its start or end"),
        ("credentials.access_token", "MALFORMED", "starts with \"Bearer \""),
        ("credentials.refresh_token", "TOO_LONG", "4,096 bytes"),
        ("sandbox_name", "MALFORMED", "the name of the sandbox, not its title"),
        ("request_id", "MALFORMED", "must be a UUID"),
    ];
    assert_eq!(failure.violations.len(), expected.len(), "{failure:?}");
    for ((field, violation), (expected_field, reason, words)) in failure.violations.iter().zip(expected) {
        assert_eq!((&**field, &*violation.reason), (expected_field, reason));
        assert!(violation.description.contains(words), "{field}: {violation:?}");
        assert!(failure.message.contains(expected_field));
    }
    assert!(!format!("{failure:?}").contains("canary"));
    assert_eq!(service.requests_to("POST", "/connections"), 0);
}

/// The field and the reason of each violation.
fn violations<T: std::fmt::Debug>(response: Result<T, Status>) -> Vec<(String, String)> {
    let failure = Failure::from(response.unwrap_err());
    assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
    failure.violations.into_iter().map(|(field, violation)| (field, violation.reason)).collect()
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(field, reason)| (field.to_owned(), reason.to_owned())).into()
}

#[tokio::test]
async fn the_reason_of_a_creations_bad_field_matches_the_mistake() {
    let service = TestService::start().await;
    let mut client = service.client().await;
    let with_credentials = |credentials| proto::CreateHubSpotConnectionRequest { credentials, ..request() };
    let token = |token: &str| {
        with_credentials(Some(proto::HubSpotCredentials { access_token: token.to_owned(), ..credentials() }))
    };
    let named = |name: &str| proto::CreateHubSpotConnectionRequest { name: name.to_owned(), ..request() };
    let sandbox =
        |name: &str| proto::CreateHubSpotConnectionRequest { sandbox_name: name.to_owned(), ..request() };
    let verified = proto::CreateHubSpotConnectionRequest { verification: 4, ..request() };
    let identified = proto::CreateHubSpotConnectionRequest { request_id: "{}".to_owned(), ..request() };
    let described = proto::CreateHubSpotConnectionRequest { description: "x".repeat(1001), ..request() };
    for (request, field, reason) in [
        (named(""), "name", "REQUIRED"),
        (named(" "), "name", "REQUIRED"),
        (named(&"x".repeat(256)), "name", "TOO_LONG"),
        (named("a\nb"), "name", "MALFORMED"),
        (described, "description", "TOO_LONG"),
        (with_credentials(None), "credentials", "REQUIRED"),
        (token(""), "credentials.access_token", "REQUIRED"),
        (token(&"x".repeat(4097)), "credentials.access_token", "TOO_LONG"),
        (token("to ken"), "credentials.access_token", "MALFORMED"),
        (token("tok\u{e9}n"), "credentials.access_token", "MALFORMED"),
        (sandbox("dev box"), "sandbox_name", "MALFORMED"),
        (sandbox(&"a".repeat(257)), "sandbox_name", "TOO_LONG"),
        (identified, "request_id", "MALFORMED"),
        (verified, "verification", "UNKNOWN_VALUE"),
    ] {
        let response = client.create_hub_spot_connection(request).await;
        assert_eq!(violations(response), pairs([(field, reason)]));
    }
    assert_eq!(service.requests_to("POST", "/connections"), 0);
}

#[tokio::test]
async fn an_impossible_credential_is_rejected_without_being_quoted() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let mut client = service.client().await;
    let secret =
        |secret: &str| proto::HubSpotCredentials { client_secret: secret.to_owned(), ..credentials() };
    for (value, reason, words) in [
        ("pat-na1-c4n4ry", "NOT_ALLOWED", "private app"),
        ("{CLIENT_SECRET_C4N4RY}", "MALFORMED", "placeholder"),
        ("<c4n4ry>", "MALFORMED", "placeholder"),
        ("$C4N4RY", "MALFORMED", "placeholder"),
        ("${C4N4RY}", "MALFORMED", "placeholder"),
        ("\"c4n4ry\"", "MALFORMED", "quotation marks"),
        ("c4n4ry%3D", "MALFORMED", "percent-encoded"),
        ("Authorization: Bearer c4n4ry", "MALFORMED", "Authorization header"),
        ("client_secret=c4n4ry", "MALFORMED", "name in front"),
        (&*credentials().client_id, "CONFLICTING", "same as client_id"),
    ] {
        let create = proto::CreateHubSpotConnectionRequest { credentials: Some(secret(value)), ..request() };
        let update = proto::UpdateHubSpotConnectionRequest {
            id: id.clone(),
            credentials: Some(secret(value)),
            ..Default::default()
        };
        let created = client.create_hub_spot_connection(create).await.map(|_| ());
        let updated = client.update_hub_spot_connection(update).await.map(|_| ());
        for response in [created, updated] {
            let failure = Failure::from(response.unwrap_err());
            assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
            let [(field, violation)] = &failure.violations[..] else { panic!("{value}: {failure:?}") };
            assert_eq!((&**field, &*violation.reason), ("credentials.client_secret", reason), "{value}");
            assert!(violation.description.contains(words), "{value}: {failure:?}");
            assert!(!format!("{failure:?}").to_lowercase().contains("c4n4ry"), "{failure:?}");
        }
    }
    assert_eq!(service.requests_to("POST", "/connections"), 1);
}

#[tokio::test]
async fn the_reason_of_another_calls_bad_field_matches_the_mistake() {
    let service = TestService::start().await;
    let mut client = service.client().await;
    for (id, reason) in [("", "REQUIRED"), ("a/b", "MALFORMED"), (&*"a".repeat(65), "TOO_LONG")] {
        let id = id.to_owned();
        let get = proto::GetHubSpotConnectionRequest { id: id.clone(), ..Default::default() };
        assert_eq!(violations(client.get_hub_spot_connection(get).await), pairs([("id", reason)]));
        let delete = proto::DeleteHubSpotConnectionRequest { id: id.clone(), ..Default::default() };
        assert_eq!(violations(client.delete_hub_spot_connection(delete).await), pairs([("id", reason)]));
        let test = proto::TestHubSpotConnectionRequest { id: id.clone(), ..Default::default() };
        assert_eq!(violations(client.test_hub_spot_connection(test).await), pairs([("id", reason)]));
        let tables = proto::ListHubSpotTablesRequest { id, ..Default::default() };
        assert_eq!(violations(client.list_hub_spot_tables(tables).await), pairs([("id", reason)]));
    }
    for (table, reason) in [("", "REQUIRED"), ("a\nb", "MALFORMED"), (&*"a".repeat(1025), "TOO_LONG")] {
        let columns = proto::GetHubSpotTableRequest {
            id: "any".to_owned(),
            table: table.to_owned(),
            ..Default::default()
        };
        assert_eq!(violations(client.get_hub_spot_table(columns).await), pairs([("table", reason)]));
    }
    let list = proto::ListHubSpotConnectionsRequest {
        page_size: -1,
        page_token: "x".to_owned(),
        count_only: true,
        request_id: "1".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        violations(client.list_hub_spot_connections(list).await),
        pairs([("page_size", "OUT_OF_RANGE"), ("page_token", "CONFLICTING"), ("request_id", "MALFORMED")])
    );
    let list = proto::ListHubSpotConnectionsRequest { page_token: "x".to_owned(), ..Default::default() };
    assert_eq!(
        violations(client.list_hub_spot_connections(list).await),
        pairs([("page_token", "MALFORMED")])
    );
    for (etag, reason) in [("a b", "MALFORMED"), (&*"a".repeat(257), "TOO_LONG")] {
        let update = proto::UpdateHubSpotConnectionRequest {
            id: "any".to_owned(),
            etag: etag.to_owned(),
            name: Some(" ".to_owned()),
            ..Default::default()
        };
        assert_eq!(
            violations(client.update_hub_spot_connection(update).await),
            pairs([("etag", reason), ("name", "REQUIRED")])
        );
    }
    let nothing = proto::UpdateHubSpotConnectionRequest { id: "any".to_owned(), ..Default::default() };
    assert_eq!(violations(client.update_hub_spot_connection(nothing).await), pairs([("name", "REQUIRED")]));
    assert_eq!(service.requests_to("GET", ""), 0);
}
