//! A Redis server of one test.

use std::{
    collections::BTreeMap,
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hubspot_connection_service::{
    domain::RequestId,
    exactly_once::store::{RedisStore, Retention},
};
use redis::{Client, Script, aio::MultiplexedConnection};
#[cfg(feature = "emulator")]
use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    process::{Child, Command},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::optional::skip;

pub(crate) const ORG: &str = "1234@AdobeOrg";

/// A server on a Unix socket, which keeps nothing on disk and ends with the test. Redis cannot let the
/// kernel choose its port, and a store accepts no URL of a socket: a port of this process forwards to it.
pub(crate) struct RedisServer {
    directory: PathBuf,
    setup: Setup,
    process: Option<Child>,
    port: SocketAddr,
    _relay: AbortOnDropHandle<()>,
}

/// Additional arguments and files of a server.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
}

impl RedisServer {
    /// `None`, after a message, if there is no `redis-server` and none is required.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(Setup::default()).await
    }

    /// The same with these arguments, which override those of every server.
    pub(crate) async fn start_with(arguments: &[&str]) -> Option<Self> {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Self::with(Setup { arguments, ..Setup::default() }).await
    }

    pub(crate) async fn with(setup: Setup) -> Option<Self> {
        let directory = env::temp_dir().join(format!("hcs-redis-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&directory).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap();
        let relay = tokio::spawn(relay(listener, directory.join(SOCKET)));
        let relay = AbortOnDropHandle::new(relay);
        let mut server = Self { directory, setup, process: None, port, _relay: relay };
        match server.run().await {
            Ok(()) => Some(server),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                skip("HCS_TEST_REDIS", "the tests with Redis", "there is no redis-server");
                None
            }
            Err(error) => panic!("redis-server: {error}"),
        }
    }

    /// Starts the server, also after [`RedisServer::kill`], and waits until it listens.
    pub(crate) async fn run(&mut self) -> io::Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no"]);
        command.arg("--unixsocket").arg(self.socket()).arg("--dir").arg(&self.directory);
        command.args(&self.setup.arguments).envs(self.setup.environment.iter().cloned());
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()?;
        self.process = Some(process);
        while UnixStream::connect(self.socket()).await.is_err() {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().transpose());
            assert!(ended.is_none(), "redis-server does not start: {ended:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
            let _ = fs::remove_file(self.socket());
        }
    }

    /// Sends the process a signal, if it runs.
    #[cfg(feature = "emulator")]
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().and_then(Child::id);
        if let Some(id) = id.and_then(|id| Pid::from_raw(i32::try_from(id).unwrap())) {
            kill_process(id, signal).unwrap();
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.port)
    }

    /// The URL for a user.
    pub(crate) fn url_of(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@{}", self.port)
    }

    /// The URL for the user in deploy/README.md.
    pub(crate) async fn documented_url(&self) -> String {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("documented").arg(documented_user());
        command.exec_async(&mut self.connection().await).await.unwrap();
        let password = documented_user().into_iter().find_map(|rule| rule.strip_prefix('>')).unwrap();
        self.url_of("documented", password)
    }

    /// For clients other than a store.
    pub(crate) fn socket_url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub(crate) fn store(&self, retention: Retention) -> RedisStore {
        RedisStore::connect(SecretString::from(self.url()).into(), ORG, retention).unwrap()
    }

    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        Client::open(self.socket_url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        redis::cmd("KEYS").arg("*").query_async(&mut self.connection().await).await.unwrap()
    }

    /// The key of a record.
    pub(crate) fn record(id: &RequestId) -> String {
        format!("hcs:{{{ORG}}}:request:{id}")
    }

    /// The key of the store's memory.
    pub(crate) fn memory() -> String {
        format!("hcs:{{{ORG}}}:memory")
    }

    /// The fields of a record; none where there is no record.
    pub(crate) async fn fields(&self, id: &RequestId) -> BTreeMap<String, String> {
        redis::cmd("HGETALL").arg(Self::record(id)).query_async(&mut self.connection().await).await.unwrap()
    }

    /// Makes time pass by moving all stored times into the past.
    pub(crate) async fn pass(&self, time: Duration) {
        let script = Script::new(
            r"
            local passed = tonumber(ARGV[1])
            local function move(key, fields)
              for _, field in ipairs(fields) do
                if redis.call('HEXISTS', key, field) == 1 then redis.call('HINCRBY', key, field, -passed) end
              end
            end
            for _, key in ipairs(redis.call('KEYS', '*')) do
              local left = redis.call('PTTL', key)
              if key == KEYS[1] then
                assert(left == -1, key .. ' expires')
                move(key, {'since'})
              else
                assert(left >= 0, key .. ' never expires')
                if left <= passed then
                  redis.call('DEL', key)
                else
                  move(key, {'lease_until', 'first_sent', 'last_sent', 'done_at'})
                  redis.call('PEXPIRE', key, left - passed)
                end
              end
            end
            ",
        );
        let milliseconds = u64::try_from(time.as_millis()).unwrap();
        let mut connection = self.connection().await;
        script.key(Self::memory()).arg(milliseconds).invoke_async::<()>(&mut connection).await.unwrap();
    }
}

const SOCKET: &str = "redis.sock";

/// The permissions of the service's user in deploy/README.md.
pub(crate) fn documented_user() -> Vec<&'static str> {
    let readme = include_str!("../../../deploy/README.md");
    let user = readme.lines().find_map(|line| line.strip_prefix("user hubspot-connection-service "));
    user.unwrap().split_whitespace().collect()
}

async fn relay(listener: TcpListener, socket: PathBuf) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        client.set_nodelay(true).unwrap();
        // Without a server the client sees a closed connection.
        let Ok(mut server) = UnixStream::connect(&socket).await else { continue };
        connections.spawn(async move {
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Dropping the process kills it, and it leaves nothing else behind.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
