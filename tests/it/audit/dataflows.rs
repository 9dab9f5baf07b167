//! Creations of dataflows that go on after their caller has left, in the audit trail.

use hubspot_connection_service::{
    emulator::Options, proto::hub_spot_dataflow_service_client::HubSpotDataflowServiceClient,
};
use serde_json::json;

use super::{WRITER, events, fields};
use crate::{
    dataflow_calls::creation,
    support::{
        Output, ServiceProcess, inject, listen, request, start_emulator,
        tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, bearing, claims},
        until,
    },
};

#[tokio::test]
async fn a_dataflow_that_fails_after_its_caller_left_is_logged_with_its_caller_and_why() {
    let key = TokenKey::es256("key");
    let lost = json!([
        {"route": "POST /flows", "action": {"close": "before_commit"}},
        {"route": "GET /flows", "action": {"delay": "1s"}},
        {"route": "GET /flows", "count": 0, "action": {"status": 503, "shape": "A"}},
    ]);
    let refused = json!([
        {"route": "POST /flows", "action": {"status": 400, "code": "1413"}},
        {"route": "DELETE /sourceConnections/{id}", "action": {"delay": "1s"}},
    ]);
    // The caller disconnects while a request of this kind is running.
    for (faults, (method, path), outcome, may_exist) in [
        (lost, ("GET", "/flowservice/flows"), "OUTCOME_UNKNOWN", true),
        (refused, ("DELETE", "/flowservice/sourceConnections/"), "UPSTREAM_REJECTED", false),
    ] {
        let emulator = start_emulator(Options::default()).await;
        let keys = KeyEndpoint::start(listen().await, &[&key]);
        let settings = [
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_URL", &keys.url),
            ("HCS_CALLERS", "jwt:system:**=write"),
            ("HCS_SEARCH_FIRST", "never"),
        ];
        let service = ServiceProcess::start(&emulator, &settings).await;
        let token = key.sign(&claims(WRITER));
        let connection = service.client().await.create_hub_spot_connection(bearing(&token, request())).await;
        let connection = connection.unwrap().into_inner().id;
        inject(&emulator, faults);
        let creation = bearing(&token, creation(&connection, "Contacts"));
        let mut client = HubSpotDataflowServiceClient::new(service.channel().await);
        let call = tokio::spawn(async move { client.create_hub_spot_dataflow(creation).await });
        let is_running = || emulator.received().iter().any(|r| r.method == method && r.path.contains(path));
        until("the request", is_running).await;
        call.abort();
        // A stop before the service notices the disconnect ends the creation while a caller waits.
        let of_call = |output: &Output| (events(&output.log_lines()).len() > 1).then_some(());
        service.process.prints("the event of the call", of_call).await;
        let (_, output) = service.stop().await;
        let lines = output.log_lines();
        let [_, call, ended] = &events(&lines)[..] else { panic!("{lines:#?}") };
        assert_eq!((&call["outcome"], &call["message"]), (&json!("UNANSWERED"), &json!("audit")));
        let request_id = call["request_id"].as_str().unwrap();
        let expected = json!({
            "action": "create",
            "caller": format!("jwt:{WRITER}"),
            "sandbox": "prod",
            "request_id": request_id,
            "outcome": outcome,
        });
        assert_eq!(fields(ended), expected);
        assert_eq!((&ended["may_exist"], &ended["level"]), (&json!(may_exist), &json!("WARN")));
        assert_eq!(ended["span"]["request_id"], request_id, "{ended}");
        assert_eq!(emulator.ledger().source_connections, usize::from(may_exist), "{outcome}");
    }
}
