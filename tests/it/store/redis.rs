//! The special behaviours of the store in Redis.

mod damaged;
mod keys;
mod memory;

use std::time::Duration;

use hubspot_connection_service::exactly_once::store::{Claim, RedisStore, Retention, Store, StoreError};
use secrecy::SecretString;
use tokio::{net::TcpListener, time::Instant};

use super::{
    RedisServer,
    expect::assert_fresh,
    lease,
    redis_server::ORG,
    retry,
    subject::{BEGIN_MS, RETENTION},
};

/// The longest duration of a step: a connection, then a reply, on a slow machine.
const LONGEST: Duration = Duration::from_millis(2500);

async fn assert_unavailable(store: &RedisStore) -> String {
    let begin = Instant::now();
    let error = store.claim(&lease(), BEGIN_MS).await.unwrap_err();
    assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
    let StoreError::Unavailable(cause) = error else { panic!("{error:?}") };
    cause.to_string()
}

#[tokio::test]
async fn a_lost_server_is_unavailable_until_it_is_back() {
    let Some(mut server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
    server.kill().await;
    for _ in 0..3 {
        assert_unavailable(&store).await;
    }
    server.run().await.unwrap();
    // It does not know any of the scripts, and nothing needs to be done about it.
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
}

#[tokio::test]
async fn a_server_that_does_not_reply_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let store = RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap();
    assert_unavailable(&store).await;
}

#[tokio::test]
async fn a_server_that_pauses_is_unavailable_meanwhile() {
    let Some(server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
    let mut connection = server.connection().await;
    redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec_async(&mut connection).await.unwrap();
    assert_unavailable(&store).await;
    redis::cmd("CLIENT").arg("UNPAUSE").exec_async(&mut connection).await.unwrap();
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
}

#[tokio::test]
async fn a_corrected_password_is_enough() {
    let Some(server) = RedisServer::start().await else { return };
    let mut connection = server.connection().await;
    let set_password = async |password: &str, connection: &mut redis::aio::MultiplexedConnection| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("requirepass").arg(password).exec_async(connection).await.unwrap();
    };
    set_password("right", &mut connection).await;
    let url = server.url_of("", "canary-of-a-password");
    let store = RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap();
    let error = assert_unavailable(&store).await;
    assert!(!error.contains("canary") && !format!("{store:?}").contains("canary"), "{error}");
    set_password("canary-of-a-password", &mut connection).await;
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
}

/// The handshake uses the crypto provider of the process, and would panic if there were none or two.
#[tokio::test]
async fn tls_has_its_crypto() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://:canary@{}", listener.local_addr().unwrap());
    let store = RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap();
    let hello = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 1];
        stream.peek(&mut first).await.unwrap();
        first[0]
    };
    let (error, first) = tokio::join!(assert_unavailable(&store), hello);
    // 22 is a record of the TLS handshake.
    assert_eq!(first, 22);
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn a_url_of_another_scheme_is_refused_without_printing_it() {
    for url in ["", "redis", "https://user:canary@redis:6379", "redis://user:canary@redis:99999"] {
        let Err(error) = RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION) else {
            panic!("{url}")
        };
        assert!(!error.sentence.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn the_clock_of_the_server_ends_leases_and_records() {
    let Some(server) = RedisServer::start().await else { return };
    let short = Duration::from_millis(200);
    let store = server.store(Retention { lease: short, request_id: 4 * short, ..RETENTION });
    let held = lease();
    assert_fresh(store.claim(&held, BEGIN_MS).await.unwrap());
    let begin = Instant::now();
    let mut refused = 0;
    while !matches!(store.claim(&retry(&held), BEGIN_MS).await.unwrap(), Claim::Fresh { .. }) {
        refused += 1;
        assert!(begin.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refused > 0);
    while server.keys().await != [RedisServer::memory()] {
        assert!(begin.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
