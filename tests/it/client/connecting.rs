//! What was sent, and what cannot have been: a creation on connections that do not work, and output that nobody reads.

use std::{fs::File, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, copy_bidirectional},
    net::TcpStream,
    process::Command,
};

use super::Client;
use crate::support::{Mount, TestService, certificates::Authority, in_time, listen};

/// The program, with the address and the credentials of a client.
fn creation(client: &Client) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubspot-connection-service"));
    command
        .args(client.creation(&client.credentials_file(), &[]))
        .env("HCS_CLIENT_ADDRESS", &client.address)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn nothing_was_sent_before_there_is_a_connection() {
    // The kernel accepts connections, and nobody reads them.
    let silent = listen().await;
    let ending = listen().await;
    let [silent_port, ending_port] = [&silent, &ending].map(|listener| listener.local_addr().unwrap().port());
    tokio::spawn(async move { while ending.accept().await.is_ok() {} });
    let files = Mount::new(&[("ca.pem", &Authority::new("servers").pem)]);
    let ca = files.path("ca.pem");
    for (port, tls) in [(silent_port, true), (ending_port, true), (silent_port, false)] {
        let (address, more) = if tls {
            (format!("https://localhost:{port}"), &["--timeout", "1s", "--ca-file", &ca][..])
        } else {
            (format!("http://127.0.0.1:{port}"), &["--timeout", "1s"][..])
        };
        let client = Client::at(address.clone());
        let file = client.credentials_file();
        let creation = client.run(&client.creation(&file, more)).await;
        let creation = creation.assert_status(if tls { 3 } else { 4 });
        let stderr = creation.stderr();
        let what = if tls { "cannot connect to" } else { "no response from" };
        assert!(stderr.contains(&format!("error: {what} {address}")), "{stderr}");
        assert_eq!(stderr.contains("Repeat the creation only with the same request id"), !tls, "{stderr}");
        assert!(!stderr.contains("Repeat the command") && !stderr.contains("earlier attempt"), "{stderr}");
    }
    // The status has the same advice.
    let client = Client::at(format!("http://127.0.0.1:{silent_port}"));
    let file = client.credentials_file();
    let creation = client.creation(&file, &["--timeout", "1s", "-o", "json"]);
    let status = client.run(&creation).await.assert_status(4).json();
    let message = status["message"].as_str().unwrap();
    assert!(message.ends_with(". Repeat the creation only with the same request id"), "{message}");
}

#[tokio::test]
async fn a_creation_goes_on_although_nobody_reads_its_errors() {
    let service = TestService::start().await;
    let (front, grpc) = (listen().await, service.grpc);
    let client = Client::of(front.local_addr().unwrap());
    let mut command = creation(&client).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(command.stderr.take().unwrap());
    in_time("the request id", stderr.read_line(&mut String::new())).await.unwrap();
    drop(stderr);
    // The first attempt is lost, which the command cannot report.
    drop(in_time("the first attempt", front.accept()).await.unwrap());
    let (mut second, _) = in_time("the second attempt", front.accept()).await.unwrap();
    tokio::spawn(async move {
        let mut to_service = TcpStream::connect(grpc).await.unwrap();
        let _ = copy_bidirectional(&mut second, &mut to_service).await;
    });
    let ended = in_time("the end", command.wait_with_output()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let id = service.emulator.connections().remove(0).id;
    assert!(String::from_utf8_lossy(&ended.stdout).contains(&id), "{ended:?}");
}

#[tokio::test]
async fn a_creation_that_cannot_be_printed_has_not_failed() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let command = creation(&client).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let ended = in_time("the end", command.wait_with_output()).await.unwrap();
    let id = service.emulator.connections().remove(0).id;
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let expected = format!("error: the call succeeded and {id} exists, but the response cannot be printed: ");
    assert!(stderr.contains(&expected), "{stderr}");
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
}
