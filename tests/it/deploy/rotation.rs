//! The commands in `deploy/security.md` that replace secrets, run as they are written there.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use hubspot_connection_service::{
    exactly_once::store::{Outage, RedisStore, Store as _},
    secret::Secret,
};
use redis::Client;
use tokio::{process::Command, task::yield_now};

use super::{redis_users::users, tools};
use crate::{
    store::{RedisServer, redis_server::ORG, subject::RETENTION},
    support::Mount,
};

const PAGE: &str = include_str!("../../../deploy/security.md");
const OLD: &str = "0123456789abcdef";

/// The first shell commands below a heading.
fn commands(heading: &str) -> &'static str {
    let (_, section) = PAGE.split_once(&format!("\n{heading}\n")).unwrap();
    let (_, block) = section.split_once("\n```sh\n").unwrap();
    block.split_once("\n```\n").unwrap().0
}

/// A namespace with both Secrets.
struct Cluster {
    directory: PathBuf,
    _files: Mount,
}

impl Cluster {
    fn new() -> Self {
        let files = Mount::new(&[("unrelated", "")]);
        let directory = Path::new(&files.path("unrelated")).parent().unwrap().to_owned();
        let kubectl = directory.join("bin/kubectl");
        for folder in ["bin", "hubspot-connection-service", "hubspot-connection-service-redis"] {
            fs::create_dir(directory.join(folder)).unwrap();
        }
        fs::write(&kubectl, include_str!("rotation/kubectl.sh")).unwrap();
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory, _files: files }
    }

    fn file(&self, secret: &str, key: &str) -> PathBuf {
        self.directory.join(secret).join(key)
    }

    /// Runs the functions of the page, then the commands below this heading.
    async fn run(&self, heading: &str, redis: Option<&RedisServer>) -> Output {
        let script = format!("{}\n{}", commands("### Commands"), commands(heading));
        let path = format!("{}:{}", self.directory.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-euc", &script]).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env("PATH", path).env("CLUSTER", &self.directory).stdin(std::process::Stdio::null());
        command.env("REDIS", redis.map_or_else(String::new, |redis| redis.url().replace("redis://", "")));
        command.env("SOCKET", redis.map_or_else(PathBuf::new, RedisServer::socket));
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", tools::text(&output.stderr));
        output
    }

    /// The new values and the restarts, in their order.
    fn patches(&self) -> Vec<String> {
        let patches = fs::read_to_string(self.directory.join("patches")).unwrap();
        patches.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn the_commands_for_the_password_of_redis_lock_nobody_out() {
    let cluster = Cluster::new();
    let acl = cluster.file("hubspot-connection-service-redis", "users.acl");
    fs::write(&acl, users(OLD)).unwrap();
    let Some(server) = RedisServer::start_with(&["--aclfile", acl.to_str().unwrap()]).await else { return };
    let url = cluster.file("hubspot-connection-service", "redis-url");
    fs::write(&url, server.url_of("hubspot-connection-service", OLD)).unwrap();

    let store = RedisStore::connect(Secret::File(url.clone()), ORG, RETENTION).unwrap();
    store.check().await;
    assert!(store.is_available(), "{:?}", store.failure());
    let commands = cluster.run("#### The password of Redis", Some(&server));
    tokio::pin!(commands);
    // Each check may need a new connection.
    loop {
        tokio::select! {
            _ = &mut commands => break,
            () = store.check() => {
                let refused = [Some(Outage::NoPassword), Some(Outage::WrongPassword)];
                assert!(!refused.contains(&store.outage()), "{:?}", store.failure());
                yield_now().await;
            }
        }
    }
    store.check().await;
    assert!(store.is_available(), "{:?}", store.failure());

    let new = fs::read_to_string(url).unwrap();
    let password =
        new.strip_prefix("redis://hubspot-connection-service:").unwrap().split('@').next().unwrap();
    assert_eq!(password.len(), 64);
    assert_eq!(fs::read_to_string(&acl).unwrap(), users(password));
    for (password, works) in [(password, true), (OLD, false)] {
        let client = Client::open(server.url_of("hubspot-connection-service", password)).unwrap();
        assert_eq!(client.get_multiplexed_async_connection().await.is_ok(), works, "{password}");
    }
    let patches = cluster.patches();
    // Both files of users have several lines.
    let of_service = patches.iter().position(|line| line.starts_with("redis-url: ")).unwrap();
    assert_eq!(patches[of_service..of_service + 4], restarted(&patches[of_service]));
}

/// A new value, and then a restart of both pods, whose end is awaited.
fn restarted(patch: &str) -> [String; 4] {
    [patch, "restart", "end of pod/a", "end of pod/b"].map(str::to_owned)
}

#[tokio::test]
async fn the_commands_for_the_fingerprint_key_let_no_replica_write_what_another_cannot_read() {
    let cluster = Cluster::new();
    let key = cluster.file("hubspot-connection-service", "fingerprint-key");
    fs::write(&key, format!("{OLD}\n")).unwrap();
    cluster.run("#### The key that compares requests", None).await;
    let patches = cluster.patches();
    let new = fs::read_to_string(&key).unwrap();
    let new = new.trim();
    assert!(new.len() >= 32 && !new.contains(','), "{new}");
    let keys = [format!("{OLD},{new}"), format!("{new},{OLD}"), new.to_owned()];
    // No pod of before is left when the next step begins.
    let expected: Vec<_> =
        keys.iter().flat_map(|keys| restarted(&format!("fingerprint-key: {keys}"))).collect();
    assert_eq!(patches, expected);
}

#[tokio::test]
async fn the_commands_for_the_client_secret_restart_and_show_which_pods_use_it() {
    let cluster = Cluster::new();
    fs::write(cluster.file("hubspot-connection-service", "client-secret"), "old").unwrap();
    // The input is empty: the page asks a person to paste the secret.
    let output = cluster.run("#### Adobe's client secret", None).await;
    assert_eq!(cluster.patches(), restarted("client-secret: "));
    let printed = tools::text(&output.stdout);
    assert_eq!(printed, "[pod/a/hubspot-connection-service]\n[pod/b/hubspot-connection-service]\n");
}

/// What the page tells to look for in the log is logged.
#[test]
fn the_lines_of_the_log_that_show_a_new_secret_exist() {
    let sources = [
        "src/adobe/identity/renewal.rs",
        "src/exactly_once/fingerprint.rs",
        "src/exactly_once/store/redis/url_file.rs",
        "src/tls.rs",
    ]
    .map(|path| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap());
    let shown: Vec<_> = PAGE.split("seen '").skip(1).map(|rest| rest.split('\'').next().unwrap()).collect();
    assert_eq!(shown.len(), 4);
    for line in shown {
        assert!(sources.iter().any(|source| source.contains(line)), "{line}");
    }
}
