//! A connection that dataflows use is not deleted, and the error names them.

use hubspot_connection_service::proto::DeleteHubSpotConnectionRequest;
use serde_json::json;
use tonic::Code;

use super::Setup;
use crate::support::{Failure, TestService};

const DELETE: &str = "DELETE /connections/{id}";
const IN_USE: (Code, &str) = (Code::FailedPrecondition, "CONNECTION_IN_USE");

impl Setup {
    async fn delete_connection(&self) -> Result<(), Failure> {
        let request = DeleteHubSpotConnectionRequest { id: self.connection.clone(), ..Default::default() };
        let deleted = self.service.client().await.delete_hub_spot_connection(request).await;
        deleted.map(drop).map_err(Failure::from)
    }

    /// The subjects of the preconditions of a refused deletion.
    async fn used_by(&self) -> Vec<String> {
        let failure = self.delete_connection().await.unwrap_err();
        assert_eq!(failure.row(), IN_USE);
        assert!(failure.forbids_retry && failure.message.contains("delete those dataflows"), "{failure:?}");
        failure.preconditions.into_iter().map(|(_, subject, _)| subject).collect()
    }
}

#[tokio::test]
async fn the_dataflows_of_a_connection_are_named_also_where_adobe_names_none() {
    let mut setup = Setup::new().await;
    let other = setup.service.create().await.unwrap().id;
    let first = setup.create("first").await.id;
    let second = setup.create_elsewhere("second").await.id;
    super::Flow::of_hubspot(&setup.service.emulator, &other, "another").await;
    let mut expected = [format!("flows/{first}"), format!("flows/{second}")];
    expected.sort();
    let mut named = setup.used_by().await;
    named.sort();
    assert_eq!(named, expected);

    setup.service.inject(json!([{"route": DELETE, "action": {"status": 400, "code": "1418"}}]));
    let mut listed = setup.used_by().await;
    listed.sort();
    assert_eq!(listed, expected);

    for id in [first, second] {
        setup.delete(&id, false).await.unwrap();
    }
    setup.delete_connection().await.unwrap();
}

#[tokio::test]
async fn dataflows_that_cannot_be_listed_do_not_hide_the_refusal() {
    let setup = Setup::over(TestService::with([("HCS_REQUEST_TIMEOUT", "4s")]).await).await;
    setup.create_elsewhere("Contacts").await;
    for action in [
        json!({"status": 503}),
        json!({"status": 400, "code": "1100"}),
        json!({"status": 200, "shape": "html"}),
        json!({"delay": "10s"}),
    ] {
        setup.service.inject(json!([
            {"route": DELETE, "action": {"status": 400, "code": "1418"}},
            {"route": "GET /flows", "count": 0, "action": action},
        ]));
        assert_eq!(setup.used_by().await, [format!("connections/{}", setup.connection)], "{action}");
    }
    assert_eq!(setup.ledger().connections, 1);
}
