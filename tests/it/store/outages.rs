//! The check of a Redis server finds the problems that would fail a creation, and disturbs nothing.

use std::time::Duration;

use hubspot_connection_service::exactly_once::store::{Claim, Origin, Outage, RedisStore, Store, StoreError};
use secrecy::SecretString;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    sync::watch,
    task::JoinSet,
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    RedisServer, connection,
    expect::assert_fresh,
    lease,
    redis_server::ORG,
    retry,
    step::{Keep, Steps as _},
    subject::{BEGIN_MS, RETENTION},
    weaknesses::{cluster_node_arguments, run},
};

/// A user without permission to inspect the server, so that only the check can find a problem.
const BLIND: &[&str] = &["ACL", "SETUSER", "blind", "on", ">pass", "~*", "+@all", "-info"];

fn store(url: String) -> RedisStore {
    RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap()
}

async fn blind(server: &RedisServer) -> RedisStore {
    run(server, BLIND).await;
    store(server.url_of("blind", "pass"))
}

/// Checks the server, and expects that a claim fails for the same cause, which its error names.
async fn assert_down(store: &RedisStore, outage: Outage) -> String {
    store.check().await;
    assert_eq!(store.outage(), Some(outage));
    let error = store.claim(&lease(), BEGIN_MS).await.unwrap_err();
    let StoreError::Unavailable(cause) = error else { panic!("{error:?}") };
    // The claim does not hide the problem.
    assert_eq!(store.outage(), Some(outage));
    cause.to_string()
}

async fn assert_up(store: &RedisStore) {
    store.check().await;
    assert_eq!(store.outage(), None);
    assert_fresh(store.claim(&lease(), BEGIN_MS).await.unwrap());
}

#[tokio::test]
async fn a_server_that_turns_read_only_is_found_by_the_next_check() {
    let Some(server) = RedisServer::start().await else { return };
    for store in [server.store(RETENTION), blind(&server).await] {
        assert_up(&store).await;
        run(&server, &["REPLICAOF", "127.0.0.1", "1"]).await;
        let cause = assert_down(&store, Outage::ReadOnly).await;
        assert!(cause.contains("primary"), "{cause}");
        run(&server, &["REPLICAOF", "NO", "ONE"]).await;
        assert_up(&store).await;
    }
}

/// After a failover the name leads to another server, while the connection to the old one is sound.
#[tokio::test]
async fn a_failover_behind_one_address_is_followed_without_a_restart() {
    let (Some(one), Some(other)) = (RedisServer::start().await, RedisServer::start().await) else { return };
    let name = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = name.local_addr().unwrap().to_string();
    let url = format!("redis://{address}");
    let (primary, leads_to) = watch::channel(one.socket());
    let _name = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = name.accept().await {
            let primary = leads_to.borrow().clone();
            let mut server = UnixStream::connect(primary).await.unwrap();
            connections.spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    }));
    // One service notices by a check, the other one by a call.
    let (checked, called) = (store(url.clone()), store(url));
    assert_up(&checked).await;
    assert_up(&called).await;
    run(&one, &["REPLICAOF", "127.0.0.1", "1"]).await;
    primary.send(other.socket()).unwrap();
    checked.check().await;
    assert_eq!(checked.outage(), Some(Outage::ReadOnly));
    // The cause contains the address, although the connection is not a new one.
    let failure = checked.failure().unwrap();
    assert!(failure.starts_with(&address), "{failure}");
    assert_up(&checked).await;
    called.claim(&lease(), BEGIN_MS).await.unwrap_err();
    assert_fresh(called.claim(&lease(), BEGIN_MS).await.unwrap());
    assert_up(&called).await;
}

#[tokio::test]
async fn a_replica_that_has_lost_its_primary_is_found() {
    let Some(server) = RedisServer::start_with(&["--replica-serve-stale-data", "no"]).await else { return };
    let store = blind(&server).await;
    assert_up(&store).await;
    run(&server, &["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_down(&store, Outage::PrimaryDown).await;
}

#[tokio::test]
async fn a_full_server_is_found_and_still_returns_recorded_outcomes() {
    let Some(server) = RedisServer::start().await else { return };
    let (store, done) = (server.store(RETENTION), lease());
    assert_up(&store).await;
    store.done(&done, &connection("c-1"), Origin::Reply, Keep::Remember, BEGIN_MS).await.unwrap();
    run(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let cause = assert_down(&store, Outage::OutOfMemory).await;
    assert!(cause.contains("raise maxmemory"), "{cause}");
    let claim = store.claim(&retry(&done), BEGIN_MS).await.unwrap();
    assert!(matches!(claim, Claim::Done { .. }), "{claim:?}");
    assert_eq!(store.outage(), Some(Outage::OutOfMemory));
    run(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_up(&store).await;
}

#[tokio::test]
async fn a_server_that_lacks_replicas_is_found() {
    let Some(server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    run(&server, &["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    assert_down(&store, Outage::TooFewReplicas).await;
}

#[tokio::test]
async fn a_server_that_cannot_write_its_file_is_found() {
    let Some(server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    assert_up(&store).await;
    // A directory blocks the path of its snapshot.
    std::fs::create_dir(server.directory().join("dump.rdb")).unwrap();
    run(&server, &["CONFIG", "SET", "save", "3600 1"]).await;
    run(&server, &["BGSAVE"]).await;
    let mut redis = server.connection().await;
    let begin = Instant::now();
    let mut has_failed = async || {
        let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut redis).await.unwrap();
        info.contains("rdb_last_bgsave_status:err")
    };
    while !has_failed().await {
        assert!(begin.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_down(&store, Outage::CannotPersist).await;
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_found() {
    // Ten seconds in all, with a look at its clients every tenth of a second.
    let slowly = ["--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"];
    let Some(mut server) = RedisServer::start_with(&slowly).await else { return };
    let store = server.store(RETENTION);
    let fill = "for n = 1, 2000 do redis.call('SET', 'key:' .. n, string.rep('x', 64)) end";
    run(&server, &["EVAL", fill, "0"]).await;
    run(&server, &["SAVE"]).await;
    server.kill().await;
    server.run().await.unwrap();
    assert_down(&store, Outage::Loading).await;
}

#[tokio::test]
async fn a_server_that_runs_the_script_of_another_is_found() {
    let Some(server) = RedisServer::start_with(&["--lua-time-limit", "10"]).await else { return };
    let store = server.store(RETENTION);
    assert_up(&store).await;
    let mut other = server.connection().await;
    let endless = tokio::spawn(async move {
        redis::cmd("EVAL").arg("while true do end").arg(0).exec_async(&mut other).await
    });
    let begin = Instant::now();
    while store.outage() != Some(Outage::Busy) {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", store.outage());
        store.check().await;
    }
    run(&server, &["SCRIPT", "KILL"]).await;
    let _ = endless.await.unwrap();
    assert_up(&store).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_that_hides_it_is_found() {
    let arguments = cluster_node_arguments().await;
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let Some(server) = RedisServer::start_with(&arguments).await else { return };
    assert_down(&blind(&server).await, Outage::Cluster).await;
}

#[tokio::test]
async fn a_missing_and_a_wrong_password_are_distinguished() {
    let Some(server) = RedisServer::start().await else { return };
    run(&server, &["CONFIG", "SET", "requirepass", "right"]).await;
    assert_down(&store(server.url()), Outage::NoPassword).await;
    let cause = assert_down(&store(server.url_of("default", "canary")), Outage::WrongPassword).await;
    assert!(!cause.contains("canary"), "{cause}");
    assert_down(&store(server.url_of("nobody", "canary")), Outage::WrongPassword).await;
    assert_up(&store(server.url_of("default", "right"))).await;
}

#[tokio::test]
async fn a_missing_and_a_silent_server_are_distinguished() {
    assert_down(&store("redis://127.0.0.1:1".to_owned()), Outage::Refused).await;
    assert_down(&store("redis://no-such-host.invalid".to_owned()), Outage::Unreachable).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_down(&store(format!("redis://{}", silent.local_addr().unwrap())), Outage::Timeout).await;
}

#[tokio::test]
async fn a_check_leaves_nothing_behind_and_touches_no_record() {
    let Some(server) = RedisServer::start().await else { return };
    let (one, other) = (server.store(RETENTION), server.store(RETENTION));
    one.check().await;
    assert_eq!(server.keys().await, [""; 0]);
    let held = lease();
    assert_fresh(one.claim(&held, BEGIN_MS).await.unwrap());
    let state = async || {
        let mut redis = server.connection().await;
        let mut dump = Vec::new();
        for key in [RedisServer::record(&held.request_id), RedisServer::memory()] {
            let bytes: Vec<u8> = redis::cmd("DUMP").arg(key).query_async(&mut redis).await.unwrap();
            dump.push(bytes);
        }
        dump
    };
    let before = state().await;
    for _ in 0..3 {
        tokio::join!(one.check(), other.check());
    }
    assert_eq!((one.outage(), other.outage()), (None, None));
    assert_eq!(state().await, before);
    assert_eq!(server.keys().await.len(), 2);
}

#[tokio::test]
async fn a_server_with_too_many_clients_closes_the_connection_and_the_cause_names_that() {
    let Some(server) = RedisServer::start().await else { return };
    let store = store(server.url());
    let mut one = server.connection().await;
    redis::cmd("CONFIG").arg("SET").arg("maxclients").arg(1).exec_async(&mut one).await.unwrap();
    // Its error may be read before the first request or as the reply to it.
    let is_it = |outage| matches!(outage, Some(Outage::Closed | Outage::TooManyClients));
    store.check().await;
    assert!(is_it(store.outage()), "{:?}", store.outage());
    let error = store.claim(&lease(), BEGIN_MS).await.unwrap_err();
    let StoreError::Unavailable(cause) = error else { panic!("{error:?}") };
    assert!(is_it(store.outage()), "{:?}", store.outage());
    assert!(cause.to_string().contains("maxclients"), "{cause}");
}

#[tokio::test]
async fn a_missing_database_is_found() {
    let Some(server) = RedisServer::start_with(&["--databases", "2"]).await else { return };
    assert_up(&store(format!("{}/1", server.url()))).await;
    assert_down(&store(format!("{}/2", server.url())), Outage::NoDatabase).await;
}

/// The parser of the configuration accepts them, so they must work.
#[tokio::test]
async fn a_percent_encoded_password_is_the_password() {
    let Some(server) = RedisServer::start().await else { return };
    run(&server, &["CONFIG", "SET", "requirepass", "p@ss/w?rd#1%:é"]).await;
    let encoded = "p%40ss%2Fw%3Frd%231%25:%C3%A9";
    for protocol in ["", "?protocol=resp2", "?protocol=resp3", "/0?protocol=3"] {
        assert_up(&store(format!("{}{protocol}", server.url_of("", encoded)))).await;
        assert_up(&store(format!("{}{protocol}", server.url_of("default", encoded)))).await;
    }
    for protocol in ["", "?protocol=resp3"] {
        let cause =
            assert_down(&store(format!("{}{protocol}", server.url_of("", "canary"))), Outage::WrongPassword)
                .await;
        assert!(!cause.contains("canary"), "{cause}");
    }
}
