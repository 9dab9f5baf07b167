//! The client: the real binary against a real service.

mod connecting;
mod connections;
mod dataflows;
mod errors;
mod killed;
mod secrets;
mod terminal;
mod tls;

use std::{net::SocketAddr, process::Stdio};

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::support::{Mount, Output, Process, credentials, in_time};

/// What a subcommand ended with.
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) output: Output,
}

impl Ran {
    fn stdout(&self) -> String {
        self.output.stdout().into_owned()
    }

    fn stderr(&self) -> String {
        self.output.stderr().into_owned()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout()).unwrap_or_else(|error| panic!("{error}: {:?}", self.output))
    }

    #[track_caller]
    fn assert_status(self, expected: i32) -> Self {
        assert_eq!(self.status, Some(expected), "{:?}", self.output);
        self
    }
}

/// Calls a service, with the credentials of HubSpot in a file.
pub(crate) struct Client {
    address: String,
    files: Mount,
}

impl Client {
    pub(crate) fn of(service: SocketAddr) -> Self {
        Self::at(format!("http://{service}"))
    }

    fn at(address: String) -> Self {
        let of = credentials();
        let json = serde_json::json!({
            "clientId": of.client_id,
            "clientSecret": of.client_secret,
            "accessToken": of.access_token,
            "refreshToken": of.refresh_token,
        });
        Self { address, files: Mount::new(&[("credentials.json", &json.to_string())]) }
    }

    fn credentials_file(&self) -> String {
        self.files.path("credentials.json")
    }

    fn start(&self, arguments: &[&str]) -> Process {
        Process::start(arguments, &[("HCS_CLIENT_ADDRESS", &self.address)])
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        let (status, output) = self.start(arguments).wait().await;
        Ran { status: status.code(), output }
    }

    /// Runs a subcommand that succeeds: as a table, which has this text, and as JSON, which is returned.
    async fn both(&self, arguments: &[&str], in_table: &str) -> Value {
        let table = self.run(arguments).await.assert_status(0);
        assert!(table.stdout().contains(in_table), "{arguments:?}: {:?}", table.output);
        self.run(&[arguments, &["-o", "json"]].concat()).await.assert_status(0).json()
    }

    /// The arguments that create a connection.
    fn creation<'a>(&self, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let creation = ["connections", "create", "--name", "HubSpot EU", "--credentials-file", file];
        [&creation, more].concat()
    }

    /// Creates a connection and returns its ID.
    pub(crate) async fn create_connection(&self) -> String {
        let file = self.credentials_file();
        let created = self.run(&self.creation(&file, &["-o", "json"])).await.assert_status(0).json();
        created["id"].as_str().unwrap().to_owned()
    }
}

/// Creates a connection with credentials from the standard input.
async fn creation_of(client: &Client, file: &str, input: &[u8]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hubspot-connection-service"))
        .args(client.creation(file, &[]))
        .env("HCS_CLIENT_ADDRESS", &client.address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).await.unwrap();
    let ended = in_time("the end", child.wait_with_output()).await.unwrap();
    (ended.status.code(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
}

/// The request id that a creation has printed in its first line.
#[track_caller]
fn request_id(output: &Output) -> String {
    let stderr = output.stderr();
    let first = stderr.lines().next().and_then(|line| line.strip_prefix("request id: "));
    let id = first.unwrap_or_else(|| panic!("{output:?}"));
    assert!(uuid::Uuid::parse_str(id).is_ok(), "{output:?}");
    id.to_owned()
}
