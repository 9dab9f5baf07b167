//! The password of Redis, and the fingerprint keys.

use std::net::SocketAddr;

use hubspot_connection_service::proto::CreateHubSpotConnectionRequest;
use tokio::{io::copy_bidirectional, net::UnixStream};
use tokio_util::task::AbortOnDropHandle;

use super::Load;
use crate::{
    store::redis_server::RedisServer,
    support::{Mount, ServiceProcess, listen, request, start_emulator},
};

const OLD: &str = "old-key-of-at-least-thirty-two-bytes";
const NEW: &str = "new-key-of-at-least-thirty-two-bytes";

async fn configure(server: &RedisServer, words: &[&str], password: Option<&str>) {
    let url = match password {
        Some(password) => format!("{}?pass={password}", server.socket_url()),
        None => server.socket_url(),
    };
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut connection).await.unwrap();
}

/// A port that forwards to the socket of the server: the service needs a host.
async fn port_of(server: &RedisServer) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = listen().await;
    let (address, socket) = (listener.local_addr().unwrap(), server.socket());
    let forwarding = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut to = UnixStream::connect(&socket).await.unwrap();
            connections.spawn(async move {
                let _ = copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (address, AbortOnDropHandle::new(forwarding))
}

#[tokio::test]
async fn a_new_password_of_redis_is_taken_from_the_file_and_no_call_fails() {
    let Some(server) = RedisServer::start().await else { return };
    configure(&server, &["CONFIG", "SET", "requirepass", "one-of-redis"], None).await;
    let (port, _forwarding) = port_of(&server).await;
    let url = |password: &str| format!("redis://:{password}-of-redis@{port}");
    let files = Mount::new(&[("url", &url("one"))]);
    let emulator = start_emulator(Default::default()).await;
    let settings = [("HCS_REDIS_URL_FILE", &*files.path("url")), ("HCS_FINGERPRINT_KEY", OLD)];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let client = service.client().await;
    let load = Load::start({
        let client = client.clone();
        move || {
            let mut client = client.clone();
            async move { drop(client.create_hub_spot_connection(request()).await.unwrap()) }
        }
    });
    load.goes_on().await;
    configure(&server, &["CONFIG", "SET", "requirepass", "two-of-redis"], Some("one-of-redis")).await;
    files.replace(&[("url", &url("two"))]);
    load.goes_on().await;
    load.end().await;

    // The next connection needs the new password. A connection that is cut costs no call.
    service.process.prints_text("took over the URL in HCS_REDIS_URL_FILE").await;
    configure(&server, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"], Some("two-of-redis")).await;
    let mut client = client;
    client.create_hub_spot_connection(request()).await.unwrap();
    let (_, output) = service.stop().await;
    assert!(!output.stdout().contains("-of-redis"), "{output:?}");
}

#[tokio::test]
async fn a_new_key_of_fingerprints_takes_over_and_every_replay_works() {
    let files = Mount::new(&[("key", OLD)]);
    let emulator = start_emulator(Default::default()).await;
    let settings = [("HCS_FINGERPRINT_KEY_FILE", &*files.path("key")), ("HCS_LOG", "info")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let mut client = service.client().await;
    let with_id =
        || CreateHubSpotConnectionRequest { request_id: uuid::Uuid::new_v4().to_string(), ..request() };
    let first = with_id();
    let created = client.create_hub_spot_connection(first.clone()).await.unwrap().into_inner();

    let load = Load::start({
        let client = client.clone();
        move || {
            let (mut client, again) = (client.clone(), with_id());
            async move {
                let one = client.create_hub_spot_connection(again.clone()).await.unwrap().into_inner();
                let two = client.create_hub_spot_connection(again).await.unwrap().into_inner();
                assert_eq!(one.id, two.id);
            }
        }
    });
    let both = [format!("{OLD},{NEW}"), format!("{NEW},{OLD}")];
    for (taken_over, keys) in both.iter().enumerate() {
        files.replace(&[("key", keys)]);
        service
            .process
            .prints("new keys", |output| {
                (output.stdout().matches("took over the keys").count() > taken_over).then_some(())
            })
            .await;
        load.goes_on().await;
        let replayed = client.create_hub_spot_connection(first.clone()).await.unwrap().into_inner();
        assert_eq!(replayed.id, created.id);
    }
    // Fingerprints of the old key cannot be compared any more afterwards: that is why both keys are kept
    // for as long as request ids are remembered.
    load.end().await;
    let second = with_id();
    let created = client.create_hub_spot_connection(second.clone()).await.unwrap().into_inner();
    files.replace(&[("key", NEW)]);
    service
        .process
        .prints("new keys", |output| {
            (output.stdout().matches("took over the keys").count() > 2).then_some(())
        })
        .await;
    let replayed = client.create_hub_spot_connection(second).await.unwrap().into_inner();
    assert_eq!(replayed.id, created.id);
    let (_, output) = service.stop().await;
    assert!(!output.stdout().contains("key-of-at-least"), "{output:?}");
}

#[tokio::test]
async fn keys_of_fingerprints_that_cannot_be_used_leave_the_last_good_ones_in_use() {
    let files = Mount::new(&[("key", OLD)]);
    let emulator = start_emulator(Default::default()).await;
    let settings = [("HCS_FINGERPRINT_KEY_FILE", &*files.path("key")), ("HCS_LOG", "info")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let mut client = service.client().await;
    let first = CreateHubSpotConnectionRequest { request_id: uuid::Uuid::new_v4().to_string(), ..request() };
    let created = client.create_hub_spot_connection(first.clone()).await.unwrap().into_inner();
    for (broken, message) in [(&[("key", "short")][..], "cannot use"), (&[], "cannot read")] {
        files.replace(broken);
        service.process.prints_text(&format!("{message} HCS_FINGERPRINT_KEY_FILE")).await;
        let replayed = client.create_hub_spot_connection(first.clone()).await.unwrap().into_inner();
        assert!(replayed.replayed && replayed.id == created.id, "{replayed:?}");
    }
    let (_, output) = service.stop().await;
    let errors = output.log_lines().iter().filter(|line| line["level"] == "ERROR").count();
    assert_eq!(errors, 2, "each is reported once: {output:?}");
}
