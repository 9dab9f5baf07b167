//! The connection to Redis, opened when it is needed and reopened after every failure.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use redis::{
    AsyncConnectionConfig, Client, RedisResult, Script, ScriptInvocation, aio::MultiplexedConnection,
};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::{
    failure::Failure,
    inspection::{Inspected, Inspection},
    milliseconds,
    tls::RedisTlsFiles,
    url::RedisUrl,
    url_file::UrlFile,
    words,
};
use crate::{
    exactly_once::store::{Outage, Weakness},
    secret::Secret,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Longer than a check takes, and soon over.
const CHECK_EXPIRY: Duration = Duration::from_secs(60);

/// A connection to a server that can be the store.
#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    inspection: Arc<Inspection>,
    /// The address of the server, for errors.
    address: Arc<str>,
}

/// A connection, or an attempt at one, which all steps that need it share.
type Attempt = Shared<BoxFuture<'static, Result<Connected, Failure>>>;

/// The connection that all steps share.
///
/// Any failure ends its use: after a failover the old primary refuses writes over a connection that
/// is sound, and one whose other end vanished only times out.
pub(super) struct Connection {
    url: Secret,
    url_file: UrlFile,
    pub(super) tls: RedisTlsFiles,
    current: Mutex<Option<Attempt>>,
    /// The check that stands for a creation: it needs what the scripts of the steps need, and writes.
    check: Script,
    /// What it writes. All replicas use the same key, which exists within the script alone, so that they do
    /// not collide.
    check_key: String,
    inspected: Arc<Inspected>,
    /// How old an inspection may get while its connection is in use.
    pub(super) inspection_interval: Duration,
}

impl Connection {
    /// Connects nothing yet.
    pub(super) fn new(url: Secret, check_key: String) -> Self {
        Self {
            url_file: UrlFile::new(url.clone()),
            url,
            tls: RedisTlsFiles::default(),
            current: Mutex::default(),
            check: Script::new(include_str!("check.lua")),
            check_key,
            inspected: Arc::default(),
            inspection_interval: Duration::from_secs(60),
        }
    }

    /// Those of the latest inspection, which precedes every step. None before the first connection.
    pub(super) fn weaknesses(&self) -> Vec<Weakness> {
        self.inspected.latest().map(|inspection| inspection.weaknesses()).unwrap_or_default()
    }

    /// Repeats the inspection where it is due and there is a connection. One that fails it, or whose server
    /// reports other facts by now, is given up: the next step makes another, and reports why it cannot be used.
    async fn inspect_when_due(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(attempt) = current.filter(|_| self.inspected.is_older_than(self.inspection_interval)) else {
            return;
        };
        let is_the_same = async {
            let Connected { mut connection, inspection: first, .. } = attempt.clone().await?;
            let now = self.inspected.inspect(&mut connection).await?;
            Ok::<_, Failure>(now == first)
        };
        if !is_the_same.await.unwrap_or(false) {
            self.give_up(&attempt);
        }
    }

    /// Whether the server takes what a creation needs. The time it takes is bounded.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        self.url_file.report();
        self.inspect_when_due().await;
        let check = async |mut connection, _| {
            let mut script = self.check.key(&self.check_key);
            script.arg(milliseconds(CHECK_EXPIRY));
            // Loading it is a permission of its own.
            script.load_async(&mut connection).await?;
            let reply: Vec<String> = script.invoke_async(&mut connection).await?;
            match words(&reply)[..] {
                ["failed", reply, ref commands @ ..] => Err(Failure::within_a_script(reply, commands)),
                _ => Ok(()),
            }
        };
        self.exchange(check).await
    }

    /// Runs the script that `step` makes for the server behind the connection. The time it takes is bounded.
    pub(super) async fn invoke<'a>(
        &self,
        step: impl FnOnce(&Inspection) -> ScriptInvocation<'a>,
    ) -> Result<Vec<String>, Failure> {
        let invoke = async |mut connection, inspection: Arc<Inspection>| {
            // Where the server does not know the script yet, it takes three exchanges.
            Ok(step(&inspection).invoke_async(&mut connection).await?)
        };
        self.exchange(invoke).await
    }

    /// Gives up the connection where something over it fails, or takes too long.
    async fn exchange<T>(
        &self,
        exchange: impl AsyncFnOnce(MultiplexedConnection, Arc<Inspection>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let attempt = self.attempt();
        let result = async {
            let Connected { connection, inspection, address } = attempt.clone().await?;
            let reply = timeout(RESPONSE_TIMEOUT, exchange(connection, inspection)).await;
            reply.unwrap_or_else(|_| Err(Failure::timed_out())).map_err(|failure| failure.at(&address))
        }
        .await;
        if result.is_err() {
            self.give_up(&attempt);
        }
        result
    }

    fn attempt(&self) -> Attempt {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current
            .get_or_insert_with(|| {
                let attempt = connect(self.url.clone(), self.tls.clone(), Arc::clone(&self.inspected));
                let attempt = attempt.boxed().shared();
                // Others wait for it, too, if the call that needed it first ends.
                tokio::spawn(attempt.clone());
                attempt
            })
            .clone()
    }

    fn give_up(&self, failed: &Attempt) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Another call may have begun a new one.
        if current.as_ref().is_some_and(|attempt| attempt.ptr_eq(failed)) {
            *current = None;
        }
    }
}

/// Connects to a server that can be the store. No step precedes its inspection.
async fn connect(url: Secret, tls: RedisTlsFiles, inspected: Arc<Inspected>) -> Result<Connected, Failure> {
    let text = url.read().map_err(|error| unusable("HCS_REDIS_URL", &error))?;
    let url = RedisUrl::parse(text.expose_secret()).map_err(|error| unusable("HCS_REDIS_URL", &error))?;
    let connecting = async {
        let client = client(&url, &tls)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        log_in(&url, &mut connection).await?;
        let inspection = inspected.inspect(&mut connection).await?;
        Ok(Connected { connection, inspection, address: url.to_string().into() })
    };
    let connected = timeout(CONNECT_TIMEOUT, connecting).await;
    let failed = |failure: Failure| {
        // A server without TLS waits for the end of what it takes for a command.
        let is_no_tls = url.is_tls() && failure.outage() == Outage::Timeout;
        if is_no_tls { Failure::no_tls_in_time() } else { failure }.at(&url)
    };
    connected.unwrap_or_else(|_| Err(Failure::timed_out())).map_err(failed)
}

fn client(url: &RedisUrl, tls: &RedisTlsFiles) -> Result<Client, Failure> {
    let info = url.connection_info()?;
    if url.is_tls() {
        let certificates = tls.read().map_err(|error| unusable(error.setting, &error))?;
        return Ok(Client::build_with_tls(info, certificates)?);
    }
    match tls.setting() {
        None => Ok(Client::open(info)?),
        Some(setting) => Err(unusable(setting, &"set with a redis:// URL: it needs rediss://")),
    }
}

/// Sends the credentials, which the client would do as well: but it makes every error a wrong password.
async fn log_in(url: &RedisUrl, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    if let Some(password) = url.password.as_ref().filter(|_| !url.greets()) {
        let mut by_name = redis::cmd("AUTH");
        if let Some(user) = &url.user {
            by_name.arg(user);
        }
        match by_name.arg(password.expose_secret()).exec_async(connection).await {
            // Before Redis 6 there are no users, only a password.
            Err(error)
                if error.detail().is_some_and(|detail| detail.contains("wrong number of arguments")) =>
            {
                redis::cmd("AUTH").arg(password.expose_secret()).exec_async(connection).await?;
            }
            result => result?,
        }
    }
    if url.database > 0 {
        redis::cmd("SELECT").arg(url.database).exec_async(connection).await?;
    }
    Ok(())
}

fn unusable(setting: &str, problem: &dyn fmt::Display) -> Failure {
    Failure::Failed { outage: Outage::Settings, words: format!("{setting}: {problem}") }
}
