//! A Redis that pauses for a while, as it does when it forks.

use std::time::Duration;

use tokio::time::sleep;

use crate::{store::redis_server::RedisServer, support::Signal};

/// Pauses the server repeatedly, and counts the pauses.
pub(super) async fn go_on(server: &RedisServer, random: &mut fastrand::Rng, stalls: &mut usize) {
    loop {
        sleep(Duration::from_millis(random.u64(200..2500))).await;
        let _stopped = Stopped::now(server);
        *stalls += 1;
        sleep(Duration::from_millis(random.u64(200..2000))).await;
    }
}

/// The server continues when this is dropped.
struct Stopped<'a>(&'a RedisServer);

impl<'a> Stopped<'a> {
    fn now(server: &'a RedisServer) -> Self {
        server.signal(Signal::STOP);
        Self(server)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}
