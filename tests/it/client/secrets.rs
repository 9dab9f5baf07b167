//! Secrets are in no argument, no output and no error.

use std::fs;

use serde_json::json;

use super::{Client, creation_of};
use crate::support::{Mount, SETTLES_FAST, Signal, TestService, credentials, until};

/// Every secret of the credentials, and parts of them.
fn secrets() -> [String; 3] {
    let of = credentials();
    [of.client_secret, of.access_token, of.refresh_token]
}

#[track_caller]
fn assert_no_secret(text: &str) {
    for secret in secrets() {
        assert!(!text.contains(&secret), "{text}");
    }
}

#[tokio::test]
async fn no_output_of_a_creation_has_a_secret() {
    let service = TestService::with(SETTLES_FAST).await;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    // Adobe repeats what it was sent.
    let echo = json!([{"route": "POST /connections", "action": {"status": 400, "shape": "A", "code": "1"}}]);
    for (faults, format) in
        [(json!([]), "table"), (json!([]), "json"), (echo.clone(), "table"), (echo, "json")]
    {
        service.inject(faults);
        let ran = client.run(&client.creation(&file, &["--verify", "report", "-o", format])).await;
        assert_no_secret(&String::from_utf8_lossy(&ran.output.bytes()));
    }
    let id = service.emulator.connections()[0].id.clone();
    for arguments in
        [["connections", "get", &id], ["connections", "list", "-ojson"], ["connections", "test", &id]]
    {
        assert_no_secret(&String::from_utf8_lossy(&client.run(&arguments).await.output.bytes()));
    }
}

/// Others can see both of a process of the same user.
#[tokio::test]
async fn the_process_has_no_secret_in_its_arguments_and_does_not_show_its_memory() {
    let service = TestService::start().await;
    service.inject(json!([{"route": "POST /connections", "action": {"delay": "60s"}}]));
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    let command = client.start(&client.creation(&file, &[]));
    until("the creation", || !service.emulator.connections().is_empty()).await;
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", command.id())).unwrap();
    assert!(arguments.contains("--credentials-file"), "{arguments}");
    assert_no_secret(&arguments);
    let limits = fs::read_to_string(format!("/proc/{}/limits", command.id())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(limit.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);

    // Ctrl-C prints how to continue.
    command.signal(Signal::INT);
    let (status, output) = command.wait().await;
    assert_eq!(status.code(), Some(4), "{output:?}");
    assert!(output.stderr().contains("To continue with the same request id:\n"), "{output:?}");
    assert_no_secret(&String::from_utf8_lossy(&output.bytes()));
}

#[tokio::test]
async fn a_secret_among_the_arguments_of_the_client_is_explained_and_not_repeated() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    for more in [
        &["--client-secret=canary"][..],
        &["--client-secret", "canary"],
        &["--access-token", "canary"],
        &["--hubspot-token=canary"],
        &["--password", "canary"],
        &["--credentials", r#"{"clientSecret": "canary"}"#],
        &["clientSecret=canary"],
        &["refreshToken=canary"],
    ] {
        for of in [&["connections", "create", "--name", "a"][..], &["dataflows", "list"]] {
            let refused = client.run(&[of, more].concat()).await.assert_status(64);
            let stderr = refused.stderr();
            assert!(!stderr.contains("canary") && !stderr.contains("similar"), "{stderr}");
            assert!(stderr.contains("--credentials-file") && stderr.contains("replace it"), "{stderr}");
        }
    }
}

#[tokio::test]
async fn a_password_in_the_address_is_not_repeated() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    for arguments in [
        ["connections", "list", "--address", "http://user:canary@host"],
        ["connections", "--address=http://user:canary@host", "get", "a"],
    ] {
        let refused = client.run(&arguments).await.assert_status(64);
        let stderr = refused.stderr();
        assert!(stderr.starts_with("error: --address must be an http or https URL"), "{stderr}");
        assert!(!stderr.contains("canary"), "{stderr}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_credentials_file_is_explained_without_its_content() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let files = Mount::new(&[("a", r#"{"clientSecret": "canary"}"#), ("b", "canary"), ("c", "")]);
    let inline = r#"{"clientSecret": "canary"}"#;
    let large = Mount::new(&[("large", &"canary".repeat(20_000))]);
    for file in [&*files.path("a"), &files.path("b"), &files.path("c"), inline, &large.path("large"), "/"] {
        let refused = client.run(&client.creation(file, &[])).await.assert_status(64);
        let stderr = refused.stderr();
        assert!(stderr.starts_with("error: --credentials-file: it "), "{stderr}");
        assert!(!stderr.contains("canary"), "{stderr}");
    }
}

/// In a container without a shell, no file can be written.
#[tokio::test]
async fn credentials_can_come_from_the_standard_input() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let content = fs::read(client.credentials_file()).unwrap();
    let (status, output) = creation_of(&client, "-", &content).await;
    assert_eq!(status, Some(0), "{output}");
    assert_eq!(service.emulator.connections().len(), 1);
}
