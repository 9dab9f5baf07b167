//! The users of Redis: one for the service, one for the probe, one that reads the file of users again.

use std::fs;

use hubspot_connection_service::exactly_once::store::{RedisStore, Store as _};
use redis::{Client, RedisResult, Value};
use secrecy::SecretString;

use super::{README, deploy, manifests::Manifests};
use crate::{
    store::{RedisServer, redis_server::ORG, subject::RETENTION},
    support::Mount,
};

const PASSWORD: &str = "a-password";

/// The file of users with this password, as the commands of the documentation make it.
pub(super) fn users(password: &str) -> String {
    let template = fs::read_to_string(deploy().join("components/redis/users.acl")).unwrap();
    assert_eq!(template.matches("PASSWORD").count(), 1);
    template.replace("PASSWORD", password)
}

#[test]
fn the_user_of_the_service_is_the_same_everywhere() {
    // In the documentation for a Redis of one's own, where a test finds out that it may do what is needed.
    let users_of_all = users(PASSWORD);
    let line =
        users_of_all.lines().find(|line| line.starts_with("user hubspot-connection-service ")).unwrap();
    assert!(README.contains(&format!("\n{line}\n")), "{line}");
    let demo = fs::read_to_string(deploy().join("overlays/demo/users.acl")).unwrap();
    assert_eq!(demo, users("a-password-for-the-demo"));
    // Both pages make the file from the one of the component.
    let command = "sed -f /dev/stdin deploy/components/redis/users.acl";
    assert!(README.contains(command));
    assert!(README.contains("sed -f /dev/stdin components/redis/users.acl > secrets/users.acl"));
    assert!(fs::read_to_string(deploy().join("security.md")).unwrap().contains(command));
    for file in ["README.md", "security.md", "compose.yaml"] {
        let text = fs::read_to_string(deploy().join(file)).unwrap();
        assert!(!text.contains("redis://:"), "{file} has a URL of the user default, who is off");
    }
    let Some(demo) = Manifests::of("demo") else { return };
    let probe = &demo.get("StatefulSet", "hubspot-connection-service-redis")["spec"]["template"]["spec"]["containers"]
        [0]["readinessProbe"]["exec"]["command"];
    assert!(probe.to_string().contains(r#""--user","probe","--pass","none","ping""#), "{probe}");
}

async fn run(server: &RedisServer, user: Option<(&str, &str)>, words: &[&str]) -> RedisResult<Value> {
    let url = user.map_or_else(|| server.url(), |(user, password)| server.url_of(user, password));
    let mut connection = Client::open(url).unwrap().get_multiplexed_async_connection().await?;
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
}

#[tokio::test]
async fn each_user_may_do_what_it_is_for_and_nothing_else() {
    let file = Mount::new(&[("users.acl", &users(PASSWORD))]);
    let Some(server) = RedisServer::start_with(&["--aclfile", &file.path("users.acl")]).await else { return };
    let service = Some(("hubspot-connection-service", PASSWORD));
    let (probe, reload) = (Some(("probe", "none")), Some(("reload", "none")));

    let url = SecretString::from(server.url_of("hubspot-connection-service", PASSWORD));
    let store = RedisStore::connect(url.into(), ORG, RETENTION).unwrap();
    store.check().await;
    assert!(store.is_available(), "{:?}", store.failure());

    run(&server, probe, &["PING"]).await.unwrap();
    run(&server, reload, &["ACL", "LOAD"]).await.unwrap();
    // The command of the runbook for a damaged record.
    let runbook = fs::read_to_string(deploy().join("runbook.md")).unwrap();
    assert!(runbook.contains("--user hubspot-connection-service --askpass DEL 'hcs:{ORG}:request:ID'"));
    run(&server, service, &["DEL", &format!("hcs:{{{ORG}}}:request:ID")]).await.unwrap();
    for (user, words) in [
        (None, &["PING"][..]),
        (None, &["INFO"]),
        (Some(("default", PASSWORD)), &["PING"]),
        (Some(("hubspot-connection-service", "another")), &["TIME"]),
        (service, &["ACL", "LOAD"]),
        (service, &["FLUSHALL"]),
        (service, &["SCRIPT", "KILL"]),
        (service, &["CLIENT", "LIST"]),
        (service, &["HSET", "other", "x", "x"]),
        (probe, &["INFO"]),
        (probe, &["GET", "hcs:x"]),
        (reload, &["PING"]),
        (reload, &["ACL", "LIST"]),
        (reload, &["ACL", "SETUSER", "reload", "+@all"]),
        (reload, &["CONFIG", "GET", "*"]),
    ] {
        let refused = run(&server, user, words).await.expect_err(&format!("{user:?} {words:?}"));
        let known = ["NOAUTH", "WRONGPASS", "NOPERM"];
        let is_known =
            known.iter().any(|code| refused.to_string().contains(code) || refused.code() == Some(code));
        assert!(
            is_known || refused.kind() == redis::ErrorKind::AuthenticationFailed,
            "{user:?} {words:?}: {refused}"
        );
    }
}
