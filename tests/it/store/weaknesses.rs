//! The weaknesses of a server that may forget, or cannot be the store.

use std::{path::Path, time::Duration};

use hubspot_connection_service::exactly_once::store::{
    CAPACITY, Claim, MemoryStore, RedisStore, Store, StoreError, Weakness,
};
use secrecy::SecretString;
use tokio::net::TcpListener;

use super::{RedisServer, lease, redis_server::ORG, subject::RETENTION};

/// A server that forgets nothing, except for the effect of these arguments.
async fn server(arguments: &[&str]) -> Option<RedisServer> {
    RedisServer::start_with(&[&["--appendonly", "yes", "--appendfsync", "always"], arguments].concat()).await
}

/// A store that inspects its server with every check.
fn store(url: String) -> RedisStore {
    let store = RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap();
    store.inspected_every(Duration::ZERO)
}

pub(super) async fn run(server: &RedisServer, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).exec_async(&mut server.connection().await).await.unwrap();
}

fn names(store: &dyn Store) -> Vec<&'static str> {
    store.weaknesses().iter().map(Weakness::name).collect()
}

/// The cause of a claim that fails because of the store.
async fn cause_of_unavailability(store: &RedisStore) -> String {
    let Err(StoreError::Unavailable(cause)) = store.claim(&lease(), 0).await else { panic!() };
    cause.to_string()
}

#[test]
fn ids_in_memory_are_a_weakness() {
    assert_eq!(names(&MemoryStore::new(RETENTION, CAPACITY)), ["in_memory"]);
}

#[tokio::test]
async fn nothing_is_reported_about_a_server_that_was_never_reached() {
    let store = store("redis://127.0.0.1:1".to_owned());
    store.check().await;
    assert!(!store.is_available());
    assert_eq!(store.weaknesses(), []);
}

#[tokio::test]
async fn each_weakness_is_found_before_the_first_step() {
    for (arguments, expected) in [
        (&[][..], &[][..]),
        (&["--maxmemory", "20mb", "--maxmemory-policy", "volatile-lru"], &["evicts"]),
        (&["--appendonly", "no"], &["not_persistent"]),
        // A snapshot is minutes old.
        (&["--appendonly", "no", "--save", "60 1"], &["not_persistent"]),
        (
            &["--appendonly", "no", "--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru"],
            &["evicts", "not_persistent"],
        ),
    ] {
        let Some(server) = server(arguments).await else { return };
        let store = store(server.url());
        store.claim(&lease(), 0).await.unwrap();
        assert_eq!(names(&store), expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_weakness_that_appears_or_disappears_is_found_while_connected() {
    let Some(server) = server(&["--maxmemory", "20mb"]).await else { return };
    let store = store(server.url());
    store.check().await;
    assert_eq!(names(&store), [""; 0]);
    run(&server, &["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await;
    store.check().await;
    assert_eq!(names(&store), ["evicts"]);
    run(&server, &["CONFIG", "SET", "appendonly", "no"]).await;
    run(&server, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    store.check().await;
    assert_eq!(names(&store), ["not_persistent"]);
    run(&server, &["CONFIG", "SET", "appendonly", "yes"]).await;
    store.check().await;
    assert_eq!(names(&store), [""; 0]);
}

#[tokio::test]
async fn a_server_is_inspected_on_each_connection_and_then_once_a_minute() {
    let Some(server) = server(&[]).await else { return };
    let inspections = async || {
        let mut connection = server.connection().await;
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_info:calls="));
        // Without those of this test's own requests.
        line.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
    };
    let before: u32 = inspections().await;
    let store = server.store(RETENTION);
    for _ in 0..3 {
        store.check().await;
    }
    let after_the_first_connection = inspections().await;
    assert_eq!(after_the_first_connection - before, 2);
    run(&server, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    for _ in 0..3 {
        store.check().await;
    }
    assert_eq!(inspections().await - after_the_first_connection, 2);
}

#[tokio::test]
async fn a_replica_is_refused_with_a_clear_sentence_until_it_is_a_primary() {
    let Some(server) = server(&["--replicaof", "127.0.0.1", "1"]).await else { return };
    let store = store(server.url());
    let cause = cause_of_unavailability(&store).await;
    assert!(cause.contains("HCS_REDIS_URL names a read-only replica"), "{cause}");
    assert_eq!(names(&store), ["is_replica"]);
    run(&server, &["REPLICAOF", "NO", "ONE"]).await;
    store.claim(&lease(), 0).await.unwrap();
    assert_eq!(names(&store), [""; 0]);
}

#[tokio::test]
async fn a_server_that_becomes_a_replica_is_given_up_even_if_it_takes_writes() {
    let Some(server) = server(&["--replica-read-only", "no"]).await else { return };
    let store = store(server.url());
    store.check().await;
    assert!(store.is_available());
    run(&server, &["REPLICAOF", "127.0.0.1", "1"]).await;
    store.check().await;
    assert!(!store.is_available());
    assert_eq!(names(&store), ["is_replica"]);
    let cause = cause_of_unavailability(&store).await;
    assert!(cause.contains("HCS_REDIS_URL names a read-only replica"), "{cause}");
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_with_a_clear_sentence() {
    let arguments = cluster_node_arguments().await;
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let Some(server) = server(&arguments).await else { return };
    let store = store(server.url());
    let cause = cause_of_unavailability(&store).await;
    assert!(cause.contains("HCS_REDIS_URL names a node of a Redis Cluster"), "{cause}");
    assert_eq!(names(&store), ["is_cluster"]);
}

/// The arguments of a server that is a cluster of one node. It listens on two ports: the second one is
/// the first one plus 10,000.
pub(crate) async fn cluster_node_arguments() -> Vec<String> {
    loop {
        let bus = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = bus.local_addr().unwrap().port() - 10_000;
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            let port = port.to_string();
            let arguments = ["--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", &port];
            return arguments.map(str::to_owned).into();
        }
    }
}

#[tokio::test]
async fn a_server_that_evicts_no_more_remembers_from_then_on() {
    let Some(server) = server(&["--maxmemory-policy", "volatile-lru"]).await else { return };
    let store = store(server.url());
    let hour = Duration::from_secs(3600);
    let mut hours = 0;
    let mut remembers_for = async || {
        let claim = store.claim(&lease(), hours * 3_600_000).await.unwrap();
        server.pass(hour).await;
        hours += 1;
        let Claim::Fresh { remembers_for } = claim else { panic!("{claim:?}") };
        // Each of them starts within a moment of the full hour.
        remembers_for.as_secs() / 3600
    };
    assert_eq!([remembers_for().await, remembers_for().await], [0, 0]);
    run(&server, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    store.check().await;
    assert_eq!([remembers_for().await, remembers_for().await], [1, 2]);
}

#[tokio::test]
async fn a_user_that_may_not_inspect_leaves_everything_unknown_and_works() {
    let Some(server) = server(&[]).await else { return };
    run(&server, &["ACL", "SETUSER", "blind", "on", ">pass", "~*", "+@all", "-info"]).await;
    let store = store(server.url_of("blind", "pass"));
    store.claim(&lease(), 0).await.unwrap();
    let [Weakness::Unknown(facts)] = &store.weaknesses()[..] else { panic!("{:?}", store.weaknesses()) };
    assert_eq!(
        facts,
        &["eviction policy", "persistence", "role", "cluster mode", "run id", "replication id"]
    );
    run(&server, &["ACL", "SETUSER", "blind", "+info"]).await;
    store.check().await;
    assert_eq!(names(&store), [""; 0]);
}

#[tokio::test]
async fn a_command_that_was_renamed_leaves_everything_unknown() {
    let Some(server) = server(&["--rename-command", "INFO", ""]).await else { return };
    let store = store(server.url());
    store.claim(&lease(), 0).await.unwrap();
    assert_eq!(names(&store), ["unknown"]);
}

#[tokio::test]
async fn either_protocol_of_redis_is_understood() {
    let Some(server) = server(&[]).await else { return };
    let store = store(format!("{}?protocol=resp3", server.url()));
    store.claim(&lease(), 0).await.unwrap();
    assert_eq!(names(&store), [""; 0]);
}

/// The file of deploy/components/redis, without its users, and with the directory of the test.
#[tokio::test]
async fn the_redis_of_the_manifests_has_no_weakness() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/components/redis/redis.conf");
    let text = std::fs::read_to_string(file).unwrap();
    let settings = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    let settings = settings.filter(|(name, _)| !["aclfile", "dir"].contains(name));
    let arguments: Vec<_> = settings
        .flat_map(|(name, value)| [format!("--{name}"), value.trim_matches('"').to_owned()])
        .collect();
    assert!(arguments.contains(&"--maxmemory-policy".to_owned()), "{arguments:?}");
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let Some(server) = RedisServer::start_with(&arguments).await else { return };
    let store = store(server.url());
    store.claim(&lease(), 0).await.unwrap();
    assert_eq!(names(&store), [""; 0]);
    // INFO does not report how often the file is flushed.
    let mut connection = server.connection().await;
    let flushed: Vec<String> =
        redis::cmd("CONFIG").arg("GET").arg("appendfsync").query_async(&mut connection).await.unwrap();
    assert_eq!(flushed[1], "always");
}
