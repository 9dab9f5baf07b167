//! Refusals by the Flow Service of content that this service generates: not the caller's fault.

use hubspot_connection_service::{emulator::Options, proto::ListHubSpotConnectionsRequest};
use serde_json::{Value, json};
use tonic::Code;

use super::{CREATE, DELETE, EXPLORE, GET, LIST, TEST, UPDATE, call};
use crate::support::{ServiceProcess, TestService, inject, metrics, start_emulator};

const ROUTES: [&str; 7] = [CREATE, LIST, GET, TEST, EXPLORE, UPDATE, DELETE];

async fn has_drifted(service: &TestService) -> bool {
    metrics(service.admin).await.lines().any(|line| line == "hubspot_connection_spec_drift 1")
}

fn refusals() -> Vec<Value> {
    let numbers = [
        1401, 1402, 1403, 1405, 1409, 1410, 1411, 1413, 1414, 1415, 1424, 1432, 1433, 1434, 1440, 1443, 1445,
        1448, 1449, 1450, 1451, 1452, 1453, 1454, 1455, 2105, 2110, 2112, 2113,
    ];
    let numbers = numbers.into_iter().map(|number: u32| json!({"status": 400, "code": number.to_string()}));
    let others = [
        json!({"status": 403, "code": "2111"}),
        json!({"status": 401, "code": "2001"}),
        json!({"status": 401, "code": "2002"}),
        json!({"status": 415, "code": "1004"}),
        json!({"status": 400, "shape": "E"}),
        json!({"status": 415, "shape": "E"}),
        json!({"status": 415, "shape": "B"}),
        json!({"status": 400, "shape": "D", "code": "400999"}),
        json!({"status": 404, "shape": "D", "code": "404000"}),
    ];
    numbers.chain(others).collect()
}

#[tokio::test]
async fn a_refusal_of_generated_content_is_for_the_operator() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for action in refusals() {
        service.inject(json!([{"route": CREATE, "count": 0, "action": action}]));
        let failure = call(&service, CREATE, &id).await.unwrap_err();
        assert_eq!(failure.row(), (Code::FailedPrecondition, "UPSTREAM_REJECTED"), "{action}");
        assert!(failure.message.contains("this service itself writes"), "{failure:?}");
        assert!(failure.message.contains("operator") && failure.forbids_retry, "{failure:?}");
        assert!(failure.message.contains("nothing was created"), "{failure:?}");
    }
    assert_eq!(service.requests_to("POST", "/ims/token/v3"), 1);
    assert!(has_drifted(&service).await);
}

#[tokio::test]
async fn a_refusal_of_generated_content_is_reported_until_a_request_is_accepted() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for route in ROUTES {
        let action = json!({"status": 400, "code": "2105"});
        service.inject(json!([{"route": route, "count": 0, "action": action}]));
        let failure = call(&service, route, &id).await.unwrap_err();
        assert_eq!(failure.row(), (Code::FailedPrecondition, "UPSTREAM_REJECTED"), "{route}");
        assert_eq!(failure.metadata("upstream_code"), "FLOW-2105-400", "{route}");
        assert!(has_drifted(&service).await, "{route}");
        service.inject(json!([]));
        // The last call deletes it.
        let another = service.create().await.unwrap().id;
        call(&service, route, if route == DELETE { &another } else { &id }).await.unwrap();
        assert!(!has_drifted(&service).await, "{route}");
    }
}

#[tokio::test]
async fn a_refusal_of_generated_content_is_logged_as_an_error() {
    let emulator = start_emulator(Options::default()).await;
    let service = ServiceProcess::start(&emulator, &[("HCS_LOG_FORMAT", "json")]).await;
    let action = json!({"status": 400, "code": "1451"});
    inject(&emulator, json!([{"route": LIST, "action": action}]));
    let list = ListHubSpotConnectionsRequest::default();
    service.client().await.list_hub_spot_connections(list).await.unwrap_err();
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    let [line] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(line["request"], "GET /connections");
    assert!(line["reply"].as_str().unwrap().contains("FLOW-1451-400"), "{line}");
}
