//! The user in deploy/README.md may do what the service needs, and nothing else. The whole suite runs as
//! this user.

use std::mem::discriminant;

use hubspot_connection_service::exactly_once::store::{Origin, Outage, RedisStore, Store, StoreError};
use secrecy::SecretString;

use super::{
    RedisServer, lease,
    redis_server::{ORG, documented_user},
    step::{Keep, Recorded, Reply, Step, Word},
    subject::{BEGIN_MS, RETENTION},
    weaknesses::run,
};

fn store(url: &str) -> RedisStore {
    RedisStore::connect(SecretString::from(url).into(), ORG, RETENTION).unwrap()
}

#[tokio::test]
async fn the_documented_user_may_do_all_that_is_needed_and_no_more() {
    // The line of the file and the command are the same.
    let command = format!("ACL SETUSER hubspot-connection-service {}", documented_user().join(" "));
    assert!(include_str!("../../../deploy/README.md").contains(&format!("\n{command}\n")), "{command}");
    let Some(server) = RedisServer::start().await else { return };
    let url = server.documented_url().await;
    let store = store(&url);
    every_step(&store).await;
    // Redis has refused it nothing, not even unimportant commands.
    let mut redis = server.connection().await;
    let refused: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query_async(&mut redis).await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");

    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for words in [
        &["CONFIG", "GET", "*"][..],
        &["FLUSHALL"],
        &["KEYS", "*"],
        &["HSET", "something-else", "x", "x"],
        &["EVALSHA", "0000000000000000000000000000000000000000", "1", "something-else"],
        &["PUBLISH", "hcs:channel", "x"],
        &["SHUTDOWN"],
        &["ACL", "LIST"],
    ] {
        let mut command = redis::cmd(words[0]);
        let result = command.arg(&words[1..]).exec_async(&mut connection).await;
        let code = result.as_ref().map_err(|error| error.code());
        assert_eq!(code, Err(Some("NOPERM")), "{words:?}: {result:?}");
    }
}

/// Without any one of the commands the store is down, and names the missing one.
#[tokio::test]
async fn each_permission_is_needed_and_named_where_it_is_missing() {
    let commands = documented_user().into_iter().filter_map(|rule| rule.strip_prefix('+'));
    let commands: Vec<_> = commands.filter(|command| *command != "info").collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        // A new server each time: it does not know any script yet.
        let Some(server) = RedisServer::start().await else { return };
        let url = server.documented_url().await;
        run(&server, &["ACL", "SETUSER", "documented", &format!("-{command}")]).await;
        let store = store(&url);
        let error = store.claim(&lease(), BEGIN_MS).await.err();
        assert!(error.is_none_or(|error| matches!(error, StoreError::Unavailable(_))), "{command}");
        store.check().await;
        assert_eq!(store.outage(), Some(Outage::NoPermission), "{command}");
        let cause = store.failure().unwrap();
        // The documentation uses the same terms as Redis.
        assert!(
            cause.contains(&format!("+{command}")) || cause.contains(&format!("'{command}'")),
            "{command}: {cause}"
        );
        run(&server, &["ACL", "SETUSER", "documented", &format!("+{command}")]).await;
        store.check().await;
        assert_eq!(store.outage(), None, "{command}");
    }
}

#[tokio::test]
async fn all_permissions_that_are_missing_within_a_script_are_named_together() {
    let Some(server) = RedisServer::start().await else { return };
    let url = server.documented_url().await;
    run(&server, &["ACL", "SETUSER", "documented", "-hset", "-pexpire", "-del"]).await;
    let store = store(&url);
    store.check().await;
    let cause = store.failure().unwrap();
    assert!(cause.contains("the user lacks +hset +pexpire +del: "), "{cause}");
}

#[tokio::test]
async fn keys_that_are_not_allowed_are_a_missing_permission() {
    let Some(server) = RedisServer::start().await else { return };
    let url = server.documented_url().await;
    run(&server, &["ACL", "SETUSER", "documented", "resetkeys", "~other:*"]).await;
    let store = store(&url);
    store.check().await;
    assert_eq!(store.outage(), Some(Outage::NoPermission));
    let cause = store.failure().unwrap();
    assert!(cause.contains("keys"), "{cause}");
}

/// A missing permission is not a damaged record.
#[tokio::test]
async fn a_record_that_may_not_be_read_is_not_called_unreadable() {
    let Some(server) = RedisServer::start().await else { return };
    let url = server.documented_url().await;
    let (store, held) = (store(&url), lease());
    store.claim(&held, BEGIN_MS).await.unwrap();
    for command in ["-hgetall", "-hmget"] {
        run(&server, &["ACL", "SETUSER", "documented", command]).await;
        let error = store.claim(&lease(), BEGIN_MS).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{command}: {error:?}");
    }
}

#[tokio::test]
async fn a_database_needs_one_more_permission_which_is_named() {
    let Some(server) = RedisServer::start().await else { return };
    let url = format!("{}/1", server.documented_url().await);
    let store = store(&url);
    store.check().await;
    assert_eq!(store.outage(), Some(Outage::NoPermission));
    assert!(store.failure().unwrap().contains("'select'"));
    run(&server, &["ACL", "SETUSER", "documented", "+select"]).await;
    every_step(&store).await;
}

/// Takes every step of a store as far as possible.
async fn every_step(store: &dyn Store) {
    store.check().await;
    assert!(store.is_available());
    let not_sent = [Step::Claim, Step::BeginSending, Step::NotSent];
    let before = [Step::Claim, Step::Renew, Step::Release].into_iter().chain(not_sent).chain([Step::Claim]);
    let before: Vec<_> = before.collect();
    let done = Step::Done("c-1", Origin::Reply, Keep::RememberUnverified);
    let after = [Step::Abandon, Step::Claim, done, Step::Verified("c-1", Word::Passed)];
    let taken = [&before[..], &Step::OF_A_LOST_CREATION, &after].concat();
    let withdrawn = [Step::Claim, Step::Withdraw];
    let is_taken =
        |step: &Step| taken.iter().chain(&withdrawn).any(|other| discriminant(other) == discriminant(step));
    assert!(Step::ALL.iter().all(is_taken));
    let (held, other) = (lease(), lease());
    let steps = taken.iter().map(|step| (step, &held));
    for (step, lease) in steps.chain(withdrawn.iter().map(|step| (step, &other))) {
        let reply = step.take(store, lease, 0).await;
        assert!(!matches!(reply, Reply::Lost | Reply::Unreadable), "{step:?}: {reply:?}");
    }
    let forgotten = Step::Done("c-2", Origin::Reply, Keep::Forget).take(store, &lease(), 0).await;
    assert_eq!(forgotten, Reply::Recorded(Recorded::Done));
}
