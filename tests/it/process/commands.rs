//! The subcommands other than `serve`.

use hubspot_connection_service::proto::{
    GetHubSpotDataflowRequest, RunState, hub_spot_dataflow_service_client::HubSpotDataflowServiceClient,
};

use crate::{
    rolling::replica::Ports,
    support::{Process, ServiceProcess, Signal, request, unused_port},
};

/// Runs `health` against an address.
async fn health(address: impl std::fmt::Display) -> (Option<i32>, String) {
    let (status, output) = Process::run(&["health", "--address", &format!("http://{address}")], &[]).await;
    (status.code(), output.stdout().trim_end().to_owned())
}

#[tokio::test]
async fn health_prints_the_status_and_exits_with_0_only_for_serving() {
    let (_emulator, service) = super::start(&[("HCS_DRAIN_DELAY", "60s")]).await;
    assert_eq!(health(service.admin).await, (Some(0), "SERVING".to_owned()));
    assert_eq!(health(service.grpc).await, (Some(0), "SERVING".to_owned()));
    service.process.signal(Signal::TERM);
    service.process.prints_text("NOT_SERVING, still accepting").await;
    // The log line comes before the health changes.
    let not_serving = (Some(1), "NOT_SERVING".to_owned());
    crate::support::in_time("NOT_SERVING", async { while health(service.admin).await != not_serving {} })
        .await;
    assert_eq!(health(service.grpc).await, not_serving);
}

#[tokio::test]
async fn health_exits_with_1_where_nothing_listens() {
    let (address, _socket) = unused_port();
    let (status, output) = Process::run(&["health", "--address", &format!("http://{address}")], &[]).await;
    assert_eq!((status.code(), &*output.stdout()), (Some(1), ""));
    let stderr = output.stderr();
    assert!(stderr.starts_with(&format!("error: no health from http://{address}/: ")), "{output:?}");
    assert_eq!(stderr.matches("onnection refused").count(), 1, "{output:?}");
}

#[tokio::test]
async fn an_emulator_that_cannot_listen_names_the_address() {
    let (address, _socket) = unused_port();
    let _taken = tokio::net::TcpListener::bind(address).await;
    let (status, output) = Process::run(&["emulator", "--listen", &address.to_string()], &[]).await;
    assert_eq!(status.code(), Some(1), "{output:?}");
    assert!(output.stderr().starts_with(&format!("error: cannot listen on {address}: ")), "{output:?}");
}

#[tokio::test]
async fn a_demo_once_brings_data_in_prints_the_responses_and_exits() {
    let (status, output) = Process::run(&["demo", "--once"], &[]).await;
    assert_eq!(status.code(), Some(0), "{output:?}");
    let stdout = output.stdout();
    let value = |name: &str| {
        let mut words = stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.find(|words| words.len() == 2 && words[0] == name).unwrap()[1].to_owned()
    };
    assert_eq!(value("id").len(), 36, "{stdout}");
    let etag = value("etag");
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{stdout}");
    assert_eq!(value("dataset").len(), 24, "{stdout}");
    assert!(stdout.ends_with("\n  succeeded: 5 records read, 5 written, 0 failed\n"), "{stdout}");
    // Every port is closed by now.
    for of_a_port in ["127.0.0.1", "localhost", "grpcurl", "curl"] {
        assert!(!stdout.contains(of_a_port), "{stdout}");
    }
    assert_eq!(output.stderr(), "");
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[tokio::test]
async fn a_demo_prints_calls_to_paste_and_stays_until_it_is_interrupted() {
    let demo = Process::start(&["demo"], &[]);
    demo.prints_text("Ctrl-C ends the demo.\n").await;
    let output = demo.output();
    let stdout = output.stdout();
    let listed =
        stdout.lines().find_map(|line| line.strip_prefix("grpcurl -plaintext ")?.strip_suffix(" list"));
    let grpc: std::net::SocketAddr = listed.unwrap().parse().unwrap();
    let create = stdout.split("grpcurl -plaintext -d '").nth(1).unwrap();
    let (json, target) = create.split_once("' ").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["credentials"].as_object().unwrap().len(), 4);
    let method = "hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection";
    assert!(target.starts_with(&format!("{grpc} {method}\n")), "{target}");

    // The printed calls work.
    assert_eq!(health(grpc).await, (Some(0), "SERVING".to_owned()));
    let variable = |name: &str| stdout.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let (connection, dataflow) = (variable("ID="), variable("DATAFLOW="));
    let mut client = HubSpotDataflowServiceClient::connect(format!("http://{grpc}")).await.unwrap();
    let get = GetHubSpotDataflowRequest { id: dataflow.clone(), ..GetHubSpotDataflowRequest::default() };
    let read = client.get_hub_spot_dataflow(get).await.unwrap().into_inner().dataflow.unwrap();
    assert_eq!(read.connection_id, connection);
    assert_eq!(read.last_run.unwrap().state(), RunState::Succeeded);
    let address = variable("export HCS_CLIENT_ADDRESS=");
    let commands: Vec<Vec<_>> = stdout.lines().filter(|line| line.starts_with('/')).map(words).collect();
    assert_eq!(commands.len(), 3, "{stdout}");
    for command in commands {
        let (status, output) = Process::run(&command[1..], &[("HCS_CLIENT_ADDRESS", &address)]).await;
        assert_eq!(status.code(), Some(0), "{command:?}: {output:?}");
    }
    let bring_in = stdout.split("grpcurl -plaintext -d '").nth(2).unwrap();
    let (json, target) = bring_in.split_once("' ").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["connectionId"], connection);
    let method = "hubspot_connection.v1.HubSpotDataflowService/CreateHubSpotDataflow";
    assert!(target.starts_with(&format!("{grpc} {method}\n")), "{target}");
    // A screen has room for it.
    let (_, introduction) = stdout.split_once("The service listens on").unwrap();
    assert!(introduction.lines().count() < 50, "{introduction}");
    demo.signal(Signal::INT);
    let (status, output) = demo.wait().await;
    assert_eq!(status.code(), Some(0), "{output:?}");
    for line in output.stderr().lines() {
        assert!(line.ends_with("is in use: taking another one"), "{line}");
    }
}

#[tokio::test]
async fn a_demo_listens_where_it_is_told_to_or_not_at_all_and_shows_its_log_if_asked() {
    let ports = Ports::hold();
    let (grpc, admin) = (ports.grpc.to_string(), ports.admin.to_string());
    let arguments = ["demo", "--once", "--listen", &grpc, "--admin-listen", &admin];
    let demo = Process::start(&arguments, &[("HCS_LOG", "info")]);
    demo.prints_text("CreateHubSpotConnection returned").await;
    demo.prints_text("a new Adobe access token is in use").await;
    assert_eq!(health(&grpc).await, (Some(0), "SERVING".to_owned()));
    assert_eq!(health(&admin).await, (Some(0), "SERVING".to_owned()));
    let (status, output) = Process::run(&["demo", "--once", "--listen", &grpc], &[]).await;
    assert_eq!(status.code(), Some(1), "{output:?}");
    assert!(output.stderr().starts_with(&format!("error: cannot listen on {grpc}: ")), "{output:?}");
    assert_eq!(demo.wait().await.0.code(), Some(0));
}

#[tokio::test]
async fn an_emulator_prints_the_settings_with_which_a_service_works() {
    let emulator = Process::start(&["emulator", "--listen", "127.0.0.1:0"], &[]);
    emulator
        .prints("last setting", |output| {
            let stdout = output.stdout();
            stdout.split_once("Ctrl-C ends it.")?.1.ends_with('\n').then_some(())
        })
        .await;
    let output = emulator.output();
    let stdout = output.stdout();
    let settings: Vec<_> = stdout
        .lines()
        .filter(|line| line.starts_with("HCS_"))
        .filter_map(|line| line.split_once('='))
        .collect();
    assert_eq!(settings.len(), 5, "{stdout}");
    let service = ServiceProcess::with(&settings).await;
    let response = service.client().await.create_hub_spot_connection(request()).await.unwrap();
    assert!(!response.into_inner().id.is_empty());
    assert_eq!(service.stop().await.0.code(), Some(0));
    emulator.signal(Signal::TERM);
    let (status, output) = emulator.wait().await;
    assert_eq!(status.code(), Some(0), "{output:?}");
}
