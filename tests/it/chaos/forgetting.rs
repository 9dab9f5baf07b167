//! A Redis that forgets: it evicts single keys, or returns empty after a restart.

use std::time::Duration;

use tokio::time::sleep;

use crate::store::redis_server::{RedisServer, Setup};

/// The configuration that such a server reports.
pub(super) fn setup() -> Setup {
    Setup {
        arguments: ["--maxmemory", "20mb", "--maxmemory-policy", "volatile-lru"].map(str::to_owned).into(),
        environment: Vec::new(),
    }
}

/// The counts of forgotten keys.
#[derive(Default)]
pub(super) struct Forgotten {
    pub(super) keys: usize,
    pub(super) restarts: usize,
}

/// Deletes single keys of the server, and occasionally all of them.
pub(super) async fn go_on(server: &mut RedisServer, random: &mut fastrand::Rng, forgotten: &mut Forgotten) {
    loop {
        for _ in 0..random.usize(30..100) {
            sleep(Duration::from_millis(random.u64(20..150))).await;
            forgotten.keys += usize::from(evict(server).await);
        }
        forgotten.restarts += 1;
        restart(server).await;
    }
}

/// Stops the server, and starts an empty one in its place.
pub(super) async fn restart(server: &mut RedisServer) {
    server.kill().await;
    server.run().await.unwrap();
}

/// Deletes one key, which must have an expiry as with `volatile-lru`.
async fn evict(server: &RedisServer) -> bool {
    let mut connection = server.connection().await;
    let key: Option<Vec<u8>> = redis::cmd("RANDOMKEY").query_async(&mut connection).await.unwrap();
    let Some(key) = key else { return false };
    let remaining_ms: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
    remaining_ms >= 0 && redis::cmd("DEL").arg(&key).query_async(&mut connection).await.unwrap()
}
