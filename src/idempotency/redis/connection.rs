//! The connection to Redis, made when it is needed and made anew after every failure.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use secrecy::ExposeSecret as _;

use crate::config::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection, or an attempt at one, which everybody who needs it waits for together.
type Attempt = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

/// The connection that all steps share.
///
/// Any failure ends its use: after a failover the old primary refuses writes over a connection that
/// is sound, and one whose other end vanished only times out.
pub(super) struct Connection {
    url: Secret,
    current: Mutex<Option<Attempt>>,
}

impl Connection {
    /// Connects nothing yet.
    pub(super) fn new(url: Secret) -> Self {
        Self { url, current: Mutex::new(None) }
    }

    /// Runs a script. The time it takes is bounded.
    pub(super) async fn invoke(&self, script: &redis::ScriptInvocation<'_>) -> RedisResult<Vec<String>> {
        let attempt = self.attempt();
        let result = async {
            let mut connection = attempt.clone().await?;
            // Where the server does not know the script yet, it takes three exchanges.
            let exchanges = script.invoke_async(&mut connection);
            tokio::time::timeout(RESPONSE_TIMEOUT, exchanges).await.map_err(|_| timed_out())?
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
                let attempt = connect(self.url.clone()).boxed().shared();
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

async fn connect(url: Secret) -> RedisResult<MultiplexedConnection> {
    let url = url.read().map_err(std::io::Error::other)?;
    let client = Client::open(url.expose_secret())?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn timed_out() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into()
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
