//! The time since which a Redis server has forgotten nothing.

use std::time::Duration;

use hubspot_connection_service::exactly_once::store::{Claim, Holder, RedisStore, Store};
use redis::{AsyncTypedCommands as _, Script, aio::MultiplexedConnection};

use crate::store::{
    RedisServer,
    expect::{HOUR, SECOND, assert_remembers},
    lease, retry,
    step::Steps as _,
    subject::{BEGIN_MS, RETENTION},
};

const HOUR_MS: i64 = 3_600_000;

/// A server that has remembered for an hour, by the clocks of the store and of the callers.
struct Remembering {
    server: RedisServer,
    store: RedisStore,
    redis: MultiplexedConnection,
    wall_ms: i64,
}

impl Remembering {
    async fn start() -> Option<Self> {
        let server = RedisServer::start().await?;
        let (store, redis) = (server.store(RETENTION), server.connection().await);
        let mut this = Self { server, store, redis, wall_ms: BEGIN_MS };
        assert_remembers(this.claim().await, Duration::ZERO);
        this.server.pass(HOUR).await;
        this.wall_ms += HOUR_MS;
        assert_remembers(this.claim().await, HOUR);
        Some(this)
    }

    async fn claim(&self) -> Claim {
        self.store.claim(&lease(), self.wall_ms).await.unwrap()
    }

    /// Moves the clock of the server by moving its data the other way.
    async fn step_clock(&mut self, by_ms: i64) {
        self.redis.hincr(RedisServer::memory(), "since", -by_ms).await.unwrap();
    }
}

#[tokio::test]
async fn a_flush_restarts_the_memory() {
    let Some(mut subject) = Remembering::start().await else { return };
    redis::cmd("FLUSHALL").exec_async(&mut subject.redis).await.unwrap();
    assert_remembers(subject.claim().await, Duration::ZERO);
    subject.server.pass(HOUR).await;
    subject.wall_ms += HOUR_MS;
    assert_remembers(subject.claim().await, HOUR);
}

#[tokio::test]
async fn a_lost_or_damaged_memory_restarts() {
    let memory = RedisServer::memory();
    let edits: [&[&str]; 8] = [
        &["DEL", &memory],
        &["SET", &memory, "x"],
        &["HDEL", &memory, "server"],
        &["HDEL", &memory, "since"],
        &["HDEL", &memory, "wall"],
        &["HSET", &memory, "since", "long ago"],
        &["HSET", &memory, "wall", "long ago"],
        &["HSET", &memory, "since", ""],
    ];
    for edit in edits {
        let Some(mut subject) = Remembering::start().await else { return };
        redis::cmd(edit[0]).arg(&edit[1..]).exec_async(&mut subject.redis).await.unwrap();
        assert_remembers(subject.claim().await, Duration::ZERO);
    }
}

#[tokio::test]
async fn another_server_restarts_the_memory() {
    let Some(mut subject) = Remembering::start().await else { return };
    subject.redis.hset(RedisServer::memory(), "server", "another").await.unwrap();
    assert_remembers(subject.claim().await, Duration::ZERO);
    subject.server.pass(HOUR).await;
    subject.wall_ms += HOUR_MS;
    assert_remembers(subject.claim().await, HOUR);
}

#[tokio::test]
async fn a_clock_that_steps_forward_makes_the_memory_no_older() {
    // For the server alone it is 20 seconds later.
    let Some(subject) = Remembering::start().await else { return };
    subject.server.pass(20 * SECOND).await;
    assert_remembers(subject.claim().await, HOUR);

    let Some(mut subject) = Remembering::start().await else { return };
    subject.wall_ms += 48 * HOUR_MS;
    assert_remembers(subject.claim().await, HOUR);
}

#[tokio::test]
async fn a_server_whose_clock_steps_far_forward_has_forgotten_and_restarts_its_memory() {
    let Some(mut subject) = Remembering::start().await else { return };
    subject.server.pass(47 * HOUR).await;
    subject.wall_ms += 47 * HOUR_MS;
    let sent = lease();
    subject.store.claim(&sent, subject.wall_ms).await.unwrap();
    subject.store.begin_sending(&sent, subject.wall_ms).await.unwrap();
    // For the server alone it is a day later: the record is gone.
    subject.server.pass(RETENTION.request_id + SECOND).await;
    let claim = subject.store.claim(&retry(&sent), subject.wall_ms).await.unwrap();
    assert_remembers(claim, Duration::ZERO);
    // It does not return when the clock is right again.
    subject.step_clock(-24 * HOUR_MS).await;
    assert_remembers(subject.claim().await, Duration::ZERO);
}

#[tokio::test]
async fn callers_whose_clocks_differ_stop_changing_the_memory_in_the_end() {
    let Some(mut subject) = Remembering::start().await else { return };
    let behind_ms = 60_000;
    subject.wall_ms -= behind_ms;
    assert_remembers(subject.claim().await, Duration::ZERO);
    for hours in 1..3 {
        subject.server.pass(HOUR).await;
        subject.wall_ms += HOUR_MS;
        assert_remembers(subject.claim().await, hours * HOUR);
        let ahead = subject.store.claim(&lease(), subject.wall_ms + behind_ms).await.unwrap();
        assert_remembers(ahead, hours * HOUR);
    }
}

#[tokio::test]
async fn a_clock_that_steps_back_makes_the_memory_no_older() {
    // Half an hour remains of the hour by both clocks.
    let Some(mut subject) = Remembering::start().await else { return };
    subject.step_clock(-HOUR_MS / 2).await;
    assert_remembers(subject.claim().await, HOUR / 2);
    subject.wall_ms -= HOUR_MS / 2;
    assert_remembers(subject.claim().await, HOUR / 2);

    // A time before the start of the memory restarts it, which stays so when the clock is right again.
    let Some(mut subject) = Remembering::start().await else { return };
    subject.step_clock(-2 * HOUR_MS).await;
    assert_remembers(subject.claim().await, Duration::ZERO);
    subject.step_clock(2 * HOUR_MS).await;
    assert_remembers(subject.claim().await, Duration::ZERO);

    let Some(mut subject) = Remembering::start().await else { return };
    subject.wall_ms -= 2 * HOUR_MS;
    assert_remembers(subject.claim().await, Duration::ZERO);
    subject.wall_ms += 2 * HOUR_MS;
    assert_remembers(subject.claim().await, Duration::ZERO);
}

/// The script of a claim, as the store runs it.
const CLAIM: &str = concat!(
    include_str!("../../../../src/exactly_once/store/redis/record.lua"),
    include_str!("../../../../src/exactly_once/store/redis/lease.lua"),
    include_str!("../../../../src/exactly_once/store/redis/claim.lua"),
);

/// The duration that a claim at this server reports as remembered.
async fn remembers(subject: &Remembering, server: &str, may_forget: bool) -> i64 {
    let lease = lease();
    let mut redis = subject.redis.clone();
    let reply: Vec<String> = Script::new(CLAIM)
        .key(RedisServer::record(&lease.request_id))
        .key(RedisServer::memory())
        .arg(86_400_000)
        .arg(Holder::generate().claim().to_string())
        .arg(15_000)
        .arg(subject.wall_ms)
        .arg(lease.fingerprints.current.as_str())
        .arg("")
        .arg(server)
        .arg(u8::from(may_forget))
        .invoke_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(reply[0], "fresh");
    reply[1].parse().unwrap()
}

#[tokio::test]
async fn a_server_that_may_forget_at_any_time_remembers_nothing() {
    let Some(mut subject) = Remembering::start().await else { return };
    remembers(&subject, "a", false).await;
    subject.server.pass(HOUR).await;
    subject.wall_ms += HOUR_MS;
    assert_eq!(remembers(&subject, "a", true).await, 0);
    // Once the server is configured correctly, the memory restarts: forgotten records do not return.
    assert_eq!(remembers(&subject, "a", false).await, 0);
    subject.server.pass(HOUR).await;
    subject.wall_ms += HOUR_MS;
    assert_eq!(remembers(&subject, "a", false).await, HOUR_MS);
    assert_eq!(remembers(&subject, "b", false).await, 0);
    assert_eq!(remembers(&subject, "a", false).await, 0);
}
