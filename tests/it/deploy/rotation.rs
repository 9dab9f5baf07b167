//! The commands in `deploy/security.md` that replace secrets, run as they are written there.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use hubspot_connection_service::{
    exactly_once::store::{Outage, RedisStore, Store as _},
    secret::Secret,
};
use redis::Client;
use tokio::{io::AsyncWriteExt as _, process::Command, task::yield_now};

use super::{
    manifests::{kustomization_at, path_to_deploy},
    redis_users::users,
    tools,
};
use crate::{
    store::{RedisServer, redis_server::ORG, subject::RETENTION},
    support::Mount,
};

const PAGE: &str = include_str!("../../../deploy/security.md");
const OLD: &str = "0123456789abcdef";
const FINGERPRINT_KEY: &str = "#### The key that compares requests";

/// The blocks of shell commands below a heading.
fn blocks(heading: &str) -> Vec<&'static str> {
    let (_, section) = PAGE.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap().split("\n#### ").next().unwrap();
    section.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
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

    /// Runs the functions of the page, then these commands, which must succeed.
    async fn run(&self, commands: &str, redis: Option<&RedisServer>) -> Output {
        let output = self.paste(commands, "", redis).await;
        assert!(output.status.success(), "{}", tools::text(&output.stderr));
        output
    }

    /// The same as somebody pastes them: the shell reads line by line, and so does a command that reads its input. This
    /// command of kubectl fails.
    async fn paste(&self, commands: &str, fails: &str, redis: Option<&RedisServer>) -> Output {
        let pasted = format!("{}\n{commands}\n", blocks("### Commands")[0]);
        let path = format!("{}:{}", self.directory.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.arg("-s").current_dir(env!("CARGO_MANIFEST_DIR")).env("PATH", path);
        command.env("CLUSTER", &self.directory).env("FAILS", fails);
        command.env("REDIS", redis.map_or_else(String::new, |redis| redis.url().replace("redis://", "")));
        command.env("SOCKET", redis.map_or_else(PathBuf::new, RedisServer::socket));
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = piped.spawn().unwrap();
        shell.stdin.take().unwrap().write_all(pasted.as_bytes()).await.unwrap();
        shell.wait_with_output().await.unwrap()
    }

    /// The new values and the restarts, in their order.
    fn patches(&self) -> Vec<String> {
        let patches = fs::read_to_string(self.directory.join("patches")).unwrap_or_default();
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
    let commands = cluster.run(blocks("#### The password of Redis")[0], Some(&server));
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
    let [replace, forget] = blocks(FINGERPRINT_KEY)[..] else { panic!() };
    // The last step is a day later, so nobody may paste it together with the others.
    cluster.run(replace, None).await;
    assert_eq!(fs::read_to_string(&key).unwrap().matches(',').count(), 1);
    cluster.run(forget, None).await;
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

/// The only copy of a key is in the Secret.
#[tokio::test]
async fn a_command_that_fails_ends_the_replacement_of_the_fingerprint_key_without_losing_one() {
    let [replace, forget] = blocks(FINGERPRINT_KEY)[..] else { panic!() };
    for (fails, done) in [
        ("get secret", 0),
        ("patch secret", 0),
        ("get pods", 1),
        ("rollout restart", 1),
        ("rollout status", 2),
        ("wait --for=delete", 2),
    ] {
        let cluster = Cluster::new();
        let key = cluster.file("hubspot-connection-service", "fingerprint-key");
        fs::write(&key, format!("{OLD}\n")).unwrap();
        assert!(!cluster.paste(replace, fails, None).await.status.success(), "{fails}");
        let keys = fs::read_to_string(&key).unwrap();
        let patch = format!("fingerprint-key: {}", keys.trim());
        assert_eq!(cluster.patches(), restarted(&patch)[..done], "{fails}");
        assert!(keys.starts_with(&format!("{OLD}{}", if done == 0 { "\n" } else { "," })), "{fails}: {keys}");

        // Pasted again, the commands do not begin another replacement in the middle of this one.
        let before = cluster.patches();
        if done > 0 {
            assert!(!cluster.paste(replace, "", None).await.status.success(), "{fails}");
        }
        if ["get secret", "patch secret"].contains(&fails) {
            assert!(!cluster.paste(forget, fails, None).await.status.success(), "{fails}");
        }
        assert_eq!((cluster.patches(), fs::read_to_string(&key).unwrap()), (before, keys), "{fails}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_or_is_empty_changes_nothing() {
    let of_redis = blocks("#### The password of Redis")[0];
    let of_adobe = blocks("#### Adobe's client secret")[0];
    for (commands, fails) in [(of_redis, "get secret"), (of_redis, "patch secret"), (of_adobe, "")] {
        let cluster = Cluster::new();
        let url = cluster.file("hubspot-connection-service", "redis-url");
        fs::write(url, format!("redis://hubspot-connection-service:{OLD}@x")).unwrap();
        assert!(!cluster.paste(commands, fails, None).await.status.success(), "{commands}");
        assert_eq!(cluster.patches(), [""; 0], "{commands}");
    }
}

/// The second authority is a part of the overlay, so that a later `kubectl apply -k` finds what refers to it.
#[test]
fn the_overlay_of_production_takes_a_second_authority() {
    if !tools::are_installed() {
        return;
    }
    let file = "deploy/overlays/production/authority-2.yaml";
    let commands = blocks("#### Certificates and their authority")[0];
    assert!(commands.contains(file));
    let here = kustomization_at("second-authority");
    let commands = commands.replace(file, here.join("authority-2.yaml").to_str().unwrap());
    let mut bash = std::process::Command::new("bash");
    let bash = bash.args(["-euc", &commands]).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(bash.status().unwrap().success());
    let overlay = format!("{}/overlays/production", path_to_deploy(&here));
    fs::write(here.join("kustomization.yaml"), format!("resources: [{overlay}, authority-2.yaml]\n"))
        .unwrap();
    let rendered = tools::render(&here);
    let resources = tools::custom_resources(&rendered).unwrap();
    for resource in ["Certificate/hubspot-connection-service-ca", "Issuer/hubspot-connection-service-ca"] {
        for name in [resource.to_owned(), format!("{resource}-2")] {
            assert_eq!(resources.iter().filter(|found| **found == name).count(), 1, "{name}: {resources:?}");
        }
    }
    assert_eq!(rendered.matches("secretName: hubspot-connection-service-ca-2\n").count(), 2);
}

#[tokio::test]
async fn the_commands_for_the_client_secret_restart_and_show_which_pods_use_it() {
    let cluster = Cluster::new();
    fs::write(cluster.file("hubspot-connection-service", "client-secret"), "old").unwrap();
    // After the commands a person pastes the secret.
    let commands = format!("{}\np8e-new", blocks("#### Adobe's client secret")[0]);
    let output = cluster.run(&commands, None).await;
    assert_eq!(cluster.patches(), restarted("client-secret: p8e-new"));
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
