//! The command of the Job `create-connection`.

use serde_json::{Value, json};

use super::manifests::{Manifests, text};
use crate::support::{Mount, Process, TestService, request};

const REQUEST_ID: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const MOUNTED: &str = "/etc/hubspot";

/// The arguments of the Job, with the address of this service and the Secret of the overlay in these files.
fn arguments(demo: &Manifests, service: &TestService, files: &Mount) -> Vec<String> {
    let job = demo.get("Job", "create-connection");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().unwrap().iter().map(text);
    arguments
        .map(|argument| {
            argument
                .replace("hubspot-connection-service:50051", &service.grpc.to_string())
                .replace("$(JOB_UID)", REQUEST_ID)
                .replace(&format!("{MOUNTED}/credentials.json"), &files.path("credentials.json"))
        })
        .collect()
}

fn files(demo: &Manifests) -> Mount {
    let secret = demo.get("Secret", "hubspot-credentials");
    let encoded: String = text(&secret["data"]["credentials.json"]).split_whitespace().collect();
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    Mount::new(&[("credentials.json", str::from_utf8(&decoded).unwrap())])
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(|argument| &**argument).collect()
}

#[tokio::test]
async fn it_waits_for_the_service_and_makes_one_connection_however_often_it_runs() {
    let Some(demo) = Manifests::of("demo") else { return };
    let faults = json!([{"route": "POST /ims/token/v3", "count": 0, "action": {"status": 503}}]);
    let service = TestService::with_faults(faults, [("HCS_REQUEST_TIMEOUT", "1s")]).await;
    let files = files(&demo);
    let arguments = arguments(&demo, &service, &files);
    let waiting = Process::start(&words(&arguments), &[]);
    waiting.prints_text("Trying again").await;
    service.inject(json!([]));
    let (status, first) = waiting.wait().await;
    assert_eq!(status.code(), Some(0), "{first:?}");

    let (status, again) = Process::run(&words(&arguments), &[]).await;
    assert_eq!(status.code(), Some(0), "{again:?}");
    let connections = service.emulator.connections();
    assert_eq!(connections.len(), 1);
    for output in [first, again] {
        assert!(
            output.stdout().contains(&connections[0].id) && output.stdout().contains(REQUEST_ID),
            "{output:?}"
        );
    }
}

#[tokio::test]
async fn it_fails_at_once_where_the_service_refuses() {
    let Some(demo) = Manifests::of("demo") else { return };
    let service = TestService::start().await;
    let other = hubspot_connection_service::proto::CreateHubSpotConnectionRequest {
        request_id: REQUEST_ID.to_owned(),
        name: "something else".to_owned(),
        ..request()
    };
    service.send(other).await.unwrap();
    let files = files(&demo);
    let (status, output) = Process::run(&words(&arguments(&demo, &service, &files)), &[]).await;
    assert_eq!((status.code(), &*output.stdout()), (Some(2), ""), "{output:?}");
    assert!(output.stderr().contains("REQUEST_ID_REUSED"), "{output:?}");
}

#[test]
fn the_job_names_the_service_its_own_id_and_its_secret() {
    let Some(demo) = Manifests::of("demo") else { return };
    let job = demo.get("Job", "create-connection");
    let pod = &job["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let arguments: Vec<_> = container["args"].as_array().unwrap().iter().map(text).collect();
    for expected in ["--address=http://hubspot-connection-service:50051", "--request-id=$(JOB_UID)"] {
        assert!(arguments.contains(&expected), "{arguments:?}");
    }
    let label = text(&container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"]);
    assert_eq!(label, "metadata.labels['batch.kubernetes.io/controller-uid']");
    let mounts =
        [&container["volumeMounts"][0]["mountPath"], &pod["spec"]["volumes"][0]["secret"]["secretName"]];
    assert_eq!(mounts, [&Value::from(MOUNTED), &Value::from("hubspot-credentials")]);
    // Only callers can reach the service.
    let policy = demo.get("NetworkPolicy", "hubspot-connection-service");
    let callers = policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].as_object().unwrap();
    assert!(callers.iter().all(|(name, value)| pod["metadata"]["labels"][name] == *value));
}
