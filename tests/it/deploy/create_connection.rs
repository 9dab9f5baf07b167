//! The command of the Job `create-connection`.

use serde_json::json;

use super::manifests::{Manifests, text};
use crate::support::{Process, TestService, request};

const REQUEST_ID: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

fn arguments(service: &TestService) -> [String; 3] {
    let address = format!("--address=http://{}", service.grpc);
    ["demo".to_owned(), address, format!("--request-id={REQUEST_ID}")]
}

async fn create(service: &TestService) -> (Option<i32>, String, String) {
    let arguments = arguments(service);
    let (status, output) = Process::run(&arguments.each_ref().map(|argument| &**argument), &[]).await;
    (status.code(), output.stdout().into_owned(), output.stderr().into_owned())
}

#[tokio::test]
async fn it_waits_for_the_service_and_makes_one_connection_however_often_it_runs() {
    let faults = json!([{"route": "POST /ims/token/v3", "count": 0, "action": {"status": 503}}]);
    let service = TestService::with_faults(faults, [("HCS_REQUEST_TIMEOUT", "1s")]).await;
    let arguments = arguments(&service);
    let waiting = Process::start(&arguments.each_ref().map(|argument| &**argument), &[]);
    waiting.prints_text("trying again: ").await;
    service.inject(json!([]));
    let (status, output) = waiting.wait().await;
    assert_eq!(status.code(), Some(0), "{output:?}");

    let (status, stdout, stderr) = create(&service).await;
    assert_eq!((status, &*stderr), (Some(0), ""));
    let connections = service.emulator.connections();
    assert_eq!(connections.len(), 1);
    let id = format!("\n  id         {}\n", connections[0].id);
    assert!(stdout.contains(&id) && output.stdout().contains(&id), "{stdout}");
    assert!(stdout.contains(&format!("\n  request_id {REQUEST_ID}\n")), "{stdout}");
}

#[tokio::test]
async fn it_fails_at_once_where_the_service_refuses() {
    let service = TestService::start().await;
    let other = request();
    let other = hubspot_connection_service::proto::CreateHubSpotConnectionRequest {
        request_id: REQUEST_ID.to_owned(),
        name: "something else".to_owned(),
        ..other
    };
    service.send(other).await.unwrap();
    let (status, stdout, stderr) = create(&service).await;
    assert_eq!((status, &*stdout), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
}

#[test]
fn the_job_names_the_service_and_its_own_id() {
    let Some(demo) = Manifests::of("demo") else { return };
    let job = demo.get("Job", "create-connection");
    let pod = &job["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["args"],
        json!(["demo", "--address=http://hubspot-connection-service:50051", "--request-id=$(JOB_UID)"])
    );
    let label = text(&container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"]);
    assert_eq!(label, "metadata.labels['batch.kubernetes.io/controller-uid']");
    // Only callers can reach the service.
    let policy = demo.get("NetworkPolicy", "hubspot-connection-service");
    let callers = policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].as_object().unwrap();
    assert!(callers.iter().all(|(name, value)| pod["metadata"]["labels"][name] == *value));
}
