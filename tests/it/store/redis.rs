//! What is special to the store in Redis.

use std::time::Duration;

use hubspot_connection_service::idempotency::{
    Claim, InvalidRedisUrl, Keep, Key, Recorded, RedisStore, Retention, Store, StoreError, Verdict,
};
use redis::AsyncTypedCommands as _;
use secrecy::SecretString;
use tokio::{net::TcpListener, time::Instant};

use super::{
    CANARY, KEYS, RedisServer, connection, lease, redis_server::ORG, report, retry, subject::RETENTION,
};

/// The longest that a step may take: a connection, then an answer, and the slowness of the machine.
const LONGEST: Duration = Duration::from_millis(2500);

async fn assert_unavailable(store: &RedisStore) -> String {
    let begin = Instant::now();
    let error = store.claim(&lease("n")).await.unwrap_err();
    assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
    let StoreError::Unavailable(cause) = error else { panic!("{error:?}") };
    cause.to_string()
}

#[tokio::test]
async fn a_lost_server_is_unavailable_until_it_is_back() {
    let Some(mut server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    assert_eq!(store.claim(&lease("before")).await.unwrap(), Claim::Fresh);
    server.kill().await;
    for _ in 0..3 {
        assert_unavailable(&store).await;
    }
    server.run().await.unwrap();
    // It knows none of the scripts, and nothing has to be done for that.
    assert_eq!(store.claim(&lease("after")).await.unwrap(), Claim::Fresh);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let store = RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap();
    assert_unavailable(&store).await;
}

#[tokio::test]
async fn a_server_that_pauses_is_unavailable_meanwhile() {
    let Some(server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    assert_eq!(store.claim(&lease("before")).await.unwrap(), Claim::Fresh);
    let mut connection = server.connection().await;
    redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec_async(&mut connection).await.unwrap();
    assert_unavailable(&store).await;
    redis::cmd("CLIENT").arg("UNPAUSE").exec_async(&mut connection).await.unwrap();
    assert_eq!(store.claim(&lease("after")).await.unwrap(), Claim::Fresh);
}

#[tokio::test]
async fn a_password_that_comes_right_is_enough() {
    let Some(server) = RedisServer::start().await else { return };
    let mut connection = server.connection().await;
    let set_password = async |password: &str, connection: &mut redis::aio::MultiplexedConnection| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("requirepass").arg(password).exec_async(connection).await.unwrap();
    };
    set_password("right", &mut connection).await;
    let url = format!("{}?pass=canary-of-a-password", server.url());
    let store = RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap();
    let error = assert_unavailable(&store).await;
    assert!(!error.contains("canary") && !format!("{store:?}").contains("canary"), "{error}");
    set_password("canary-of-a-password", &mut connection).await;
    assert_eq!(store.claim(&lease("n")).await.unwrap(), Claim::Fresh);
}

/// The handshake takes the provider of the process, and would panic if there were none or two.
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
fn a_url_of_something_else_is_refused_without_repeating_it() {
    for url in ["", "redis", "https://user:canary@redis:6379", "redis://user:canary@redis:99999"] {
        let Err(error) = RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION) else {
            panic!("{url}")
        };
        assert_eq!(error, InvalidRedisUrl);
    }
}

#[tokio::test]
async fn the_clock_of_the_server_ends_leases_and_locks() {
    let Some(server) = RedisServer::start().await else { return };
    let short = Duration::from_millis(200);
    let store = server.store(Retention { lease: short, settle_window: 3 * short, request_id: 6 * short });
    let held = lease("n");
    assert_eq!(store.claim(&held).await.unwrap(), Claim::Fresh);
    let begin = Instant::now();
    let mut refused = 0;
    while store.claim(&lease("n")).await.unwrap() != Claim::Fresh {
        refused += 1;
        assert!(begin.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refused > 0);
    while !server.keys().await.is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A store in which something is in every state.
async fn filled() -> Option<(RedisServer, RedisStore)> {
    let server = RedisServer::start().await?;
    let store = server.store(RETENTION);
    let names = ["claimed {x}", "sending }{", "unknown", "done", "forgotten", "abandoned", "verified"];
    let leases = names.map(lease);
    for lease in &leases {
        assert_eq!(store.claim(lease).await.unwrap(), Claim::Fresh);
    }
    for lease in &leases[1..] {
        store.begin_sending(lease).await.unwrap();
    }
    store.outcome_unknown(&leases[2]).await.unwrap();
    store.abandon(&leases[5]).await.unwrap();
    for (lease, id, keep) in [
        (&leases[3], "c-1", Keep::Remember),
        (&leases[4], "c-2", Keep::Forget),
        (&leases[6], "c-3", Keep::RememberUnverified),
    ] {
        assert_eq!(store.done(lease, &connection(id), keep).await.unwrap(), Recorded::Done);
    }
    let verdict = Verdict::Passed(report("It works."));
    assert_eq!(store.verified(&leases[6].key, &connection("c-3").id, &verdict).await.unwrap(), verdict);
    Some((server, store))
}

#[tokio::test]
async fn every_key_has_the_hash_tag_of_its_sandbox_and_an_expiry() {
    let Some((server, _store)) = filled().await else { return };
    let keys = server.keys().await;
    assert_eq!(keys.len(), 13, "{keys:?}");
    let mut connection = server.connection().await;
    for key in keys {
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
        assert_eq!(tag, format!("{ORG}/prod"), "{key}");
        let left = connection.pttl(&key).await.unwrap();
        assert!(matches!(left, redis::IntegerReplyOrNoOp::IntegerReply(_)), "{key} never expires");
    }
}

#[tokio::test]
async fn no_credential_and_no_key_is_in_redis() {
    let Some((server, _store)) = filled().await else { return };
    let mut connection = server.connection().await;
    let mut dump = Vec::new();
    for key in server.keys().await {
        dump.push(key.clone());
        if key.contains(":request:") {
            dump.extend(connection.hgetall(&key).await.unwrap().into_iter().flat_map(|(f, v)| [f, v]));
        } else {
            dump.extend(connection.get(&key).await.unwrap());
        }
    }
    assert!(dump.iter().any(|text| text == "fingerprint"));
    let canaries = [CANARY.as_bytes(), &KEYS[0], &KEYS[1]];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for canary in canaries {
        let plain = String::from_utf8(canary.to_vec()).unwrap();
        let sha256 = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canary).as_ref());
        for form in [plain, hex(canary), sha256] {
            assert!(!dump.iter().any(|text| text.contains(&form)), "{form} in {dump:?}");
        }
    }
}

fn record_key(key: &Key) -> String {
    format!("hcs:{{{ORG}/prod}}:request:{}", key.request_id)
}

/// So the records of earlier versions still mean what they did.
#[tokio::test]
async fn without_verification_a_record_has_no_field_for_it() {
    let Some(server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    let held = lease("n");
    store.done(&held, &connection("c-1"), Keep::Remember).await.unwrap();
    let fields = server.connection().await.hgetall(record_key(&held.key)).await.unwrap();
    let mut fields: Vec<_> = fields.keys().collect();
    fields.sort();
    assert_eq!(fields, ["connection", "etag", "fingerprint", "state"]);
}

#[tokio::test]
async fn a_verdict_that_somebody_else_wrote_is_an_error_and_no_panic() {
    let Some(server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    let mut redis = server.connection().await;
    let created = connection("c-1");
    let passed = Verdict::Passed(report("It works."));
    let edits: [&[&str]; 8] = [
        &["HSET", "verdict", "nonsense"],
        &["HSET", "verdict", "nonsense", "report", "{}"],
        &["HSET", "verdict", "passed"],
        &["HSET", "verdict", "passed", "report", ""],
        &["HSET", "verdict", "failed", "report", r#"{"checks":[{"name":"no_check"}]}"#],
        &["HSET", "verdict", "deleted", "report", "\u{0}"],
        &["HSET", "report", r#"{"checks":[]}"#],
        &["HSET", "state", "nonsense"],
    ];
    for edit in edits {
        let held = lease("n");
        store.done(&held, &created, Keep::RememberUnverified).await.unwrap();
        let mut command = redis::cmd(edit[0]);
        command.arg(record_key(&held.key)).arg(&edit[1..]).exec_async(&mut redis).await.unwrap();
        let claim = store.claim(&retry(&held)).await;
        assert!(matches!(claim, Err(StoreError::Unavailable(_))), "{edit:?}: {claim:?}");
        let verified = store.verified(&held.key, &created.id, &passed).await;
        assert!(matches!(verified, Err(StoreError::Unavailable(_))), "{edit:?}: {verified:?}");
        redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    }
}

#[tokio::test]
async fn what_somebody_else_wrote_is_an_error_and_no_panic() {
    let Some(server) = RedisServer::start().await else { return };
    let store = server.store(RETENTION);
    let mut redis = server.connection().await;
    let edits: [&[&str]; 9] = [
        &["HSET", "RECORD", "state", "nonsense"],
        &["HSET", "RECORD", "lease_until", "soon"],
        &["HDEL", "RECORD", "lease_until"],
        &["HDEL", "RECORD", "fingerprint"],
        &["HSET", "RECORD", "state", "sending"],
        &["HSET", "RECORD", "state", "done", "connection", "../..", "etag", "e"],
        &["HDEL", "RECORD", "state"],
        &["SET", "RECORD", "x"],
        &["SET", "LOCK", "x"],
    ];
    for edit in edits {
        let held = lease("n");
        redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
        assert_eq!(store.claim(&held).await.unwrap(), Claim::Fresh);
        let mut command = redis::cmd(edit[0]);
        for word in &edit[1..] {
            match *word {
                "RECORD" => command.arg(record_key(&held.key)),
                "LOCK" => command.arg(format!("hcs:{{{ORG}/prod}}:name:n")),
                word => command.arg(word),
            };
        }
        command.exec_async(&mut redis).await.unwrap();
        let claim = store.claim(&retry(&held)).await;
        assert!(matches!(claim, Err(StoreError::Unavailable(_))), "{edit:?}: {claim:?}");
    }
}
