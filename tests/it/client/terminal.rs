//! On a terminal: questions, and what is waited for. `script` provides the terminal.

use std::process::Stdio;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

use super::Client;
use crate::support::{TestService, credentials, in_time};

/// A subcommand on a terminal of its own.
struct OnTerminal {
    child: Child,
    shown: String,
}

impl OnTerminal {
    fn start(client: &Client, arguments: &[&str]) -> Self {
        let quoted = arguments.iter().map(|argument| format!("'{argument}'")).collect::<Vec<_>>().join(" ");
        Self::start_shell(client, &format!("'{}' {quoted}", env!("CARGO_BIN_EXE_hubspot-connection-service")))
    }

    fn start_shell(client: &Client, command: &str) -> Self {
        let child = Command::new("script")
            .args(["--quiet", "--return", "--command", command, "/dev/null"])
            .env("HCS_CLIENT_ADDRESS", &client.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, shown: String::new() }
    }

    /// Waits until the terminal shows a text.
    async fn until_shown(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let mut chunk = [0; 1024];
            let stdout = self.child.stdout.as_mut().unwrap();
            let length = in_time(text, stdout.read(&mut chunk)).await.unwrap();
            assert!(length > 0, "no {text:?} in {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
    }

    async fn enter(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).await.unwrap();
    }

    /// The exit status, and everything that was shown.
    async fn end(mut self) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        in_time("the end", self.child.stdout.as_mut().unwrap().read_to_end(&mut rest)).await.unwrap();
        let status = in_time("the end", self.child.wait()).await.unwrap();
        self.shown.push_str(&String::from_utf8_lossy(&rest));
        (status.code(), self.shown)
    }
}

const CREATE: [&str; 4] = ["connections", "create", "--name", "HubSpot EU"];

#[tokio::test]
async fn credentials_are_asked_for_and_not_shown() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let mut creation = OnTerminal::start(&client, &CREATE);
    creation.until_shown("clientId: ").await;
    let of = credentials();
    // As one block, as from a password manager.
    let block =
        format!("{}\n{}\n{}\n{}\n", of.client_id, of.client_secret, of.access_token, of.refresh_token);
    creation.enter(&block).await;
    let (status, shown) = creation.end().await;
    assert_eq!(status, Some(0), "{shown}");
    for secret in [of.client_id, of.client_secret, of.access_token, of.refresh_token] {
        assert!(!shown.contains(&secret), "{shown}");
    }
    let id = service.emulator.connections().remove(0).id;
    assert!(shown.contains(&id), "{shown}");
}

#[tokio::test]
async fn ctrl_c_at_a_question_ends_the_command_before_anything_is_sent() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let mut creation = OnTerminal::start(&client, &CREATE);
    creation.until_shown("clientId: ").await;
    creation.enter("canary\u{3}").await;
    let (status, shown) = creation.end().await;
    assert_eq!(status, Some(1), "{shown}");
    assert!(!shown.contains("canary") && !shown.contains("request id"), "{shown}");
    assert!(shown.ends_with("\r\nnothing was sent\r\n"), "{shown}");
}

/// Some terminals put a control sequence before pasted text.
#[tokio::test]
async fn what_is_pasted_and_refused_is_not_left_for_the_shell() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let create =
        format!("'{}' connections create --name a", env!("CARGO_BIN_EXE_hubspot-connection-service"));
    let mut shell = OnTerminal::start_shell(&client, &format!("{create}; read line; echo \"read $line\""));
    shell.until_shown("clientId: ").await;
    shell.enter("\u{1b}[200~canary\ncanary\ncanary\n").await;
    shell.until_shown("error: clientId has a control character").await;
    shell.enter("next\n").await;
    let (_, shown) = shell.end().await;
    assert!(shown.contains("nothing was sent") && shown.contains("read next"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(service.emulator.connections().is_empty());
}

#[tokio::test]
async fn a_deletion_is_confirmed() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let id = &*client.create_connection().await;
    for (reply, status, left) in [("\n", 1, 1), ("no\n", 1, 1), ("y\n", 0, 0)] {
        let mut deletion = OnTerminal::start(&client, &["connections", "delete", id]);
        deletion.until_shown(&format!("Delete the connection {id}? [y/N] ")).await;
        deletion.enter(reply).await;
        let (ended, shown) = deletion.end().await;
        assert_eq!(ended, Some(status), "{shown}");
        assert_eq!(service.emulator.connections().len(), left, "{shown}");
    }
}

#[tokio::test]
async fn a_creation_shows_what_it_waits_for() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    service.inject(json!([{"route": "POST /connections", "action": {"delay": "3s"}}]));
    let mut creation = OnTerminal::start(&client, &client.creation(&file, &[]));
    creation.until_shown("waiting for the response: at most 1").await;
    let (status, shown) = creation.end().await;
    assert_eq!(status, Some(0), "{shown}");
}
