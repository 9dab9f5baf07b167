//! The stores give the same replies to any steps in any order.

use std::time::Duration;

use hubspot_connection_service::exactly_once::store::{
    Claim, Lease, MemoryStore, Moment, Origin, Retention, Store as _,
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Builder;

use super::{
    RedisServer, lease, other_content, retry,
    step::{Keep, Reply, Step, Word},
    subject::BEGIN_MS,
};

/// The times end in 3 and 7 seconds and pass in tens, so that no moment falls on a boundary, and the real
/// time that Redis needs does not move it across one.
const RETENTION: Retention = Retention {
    request_id: Duration::from_secs(1007),
    create_timeout: Duration::from_secs(60),
    settle_window: Duration::from_secs(90),
    lease: Duration::from_secs(103),
};
const TOLERANCE: Duration = Duration::from_millis(2500);

#[derive(Clone, Copy, Debug)]
enum Event {
    /// This many seconds pass.
    Pass(u64),
    /// A step of one of the leases, by its index.
    Step(usize, Step),
}

const CONNECTIONS: [&str; 3] = ["c-1", "c-2", "c-3"];
const ORIGINS: [Origin; 3] = [Origin::Reply, Origin::Search, Origin::Unrecorded];
const KEEPS: [Keep; 3] = [Keep::Forget, Keep::Remember, Keep::RememberUnverified];

/// Two ids; for the first one, three holders and other content.
fn leases() -> Vec<Lease> {
    let (one, two) = (lease(), lease());
    vec![retry(&one), retry(&one), other_content(&one), one, retry(&two), two]
}

fn step() -> impl Strategy<Value = Step> {
    let connection = || prop::sample::select(&CONNECTIONS);
    prop_oneof![
        6 => Just(Step::Claim),
        2 => Just(Step::Renew),
        5 => Just(Step::BeginSending),
        4 => Just(Step::Resend),
        2 => Just(Step::NotCreated),
        2 => Just(Step::NotSent),
        3 => Just(Step::OutcomeUnknown),
        2 => Just(Step::DistrustClocks),
        2 => (connection(), prop::sample::select(&ORIGINS), prop::sample::select(&KEEPS))
            .prop_map(|(id, origin, keep)| Step::Done(id, origin, keep)),
        4 => (connection(), prop::sample::select(&Word::ALL))
            .prop_map(|(id, word)| Step::Verified(id, word)),
        3 => Just(Step::Undo),
        1 => Just(Step::Undone),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Release),
        2 => Just(Step::Abandon),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => prop::sample::select(vec![10, 40, 110, 260, 1010]).prop_map(Event::Pass),
        10 => (0..leases().len(), step()).prop_map(|(lease, step)| Event::Step(lease, step)),
    ]
}

fn agree(one: &Reply, other: &Reply) -> bool {
    let about = |a: &Duration, b: &Duration| a.abs_diff(*b) <= TOLERANCE;
    let same_moment = |a: &Moment, b: &Moment| {
        let apart = Duration::from_millis(a.store_ago_ms.abs_diff(b.store_ago_ms));
        a.wall_ms == b.wall_ms && apart <= TOLERANCE
    };
    let (Reply::Claim(one), Reply::Claim(other)) = (one, other) else { return one == other };
    match (one, other) {
        (Claim::Fresh { remembers_for: a }, Claim::Fresh { remembers_for: b })
        | (Claim::InProgress { retry_after: a }, Claim::InProgress { retry_after: b }) => about(a, b),
        (
            Claim::Unknown { first_sent: a, last_sent: c, context: e },
            Claim::Unknown { first_sent: b, last_sent: d, context: f },
        ) => same_moment(a, b) && same_moment(c, d) && e == f,
        (Claim::Done { outcome: a, done: c }, Claim::Done { outcome: b, done: d }) => {
            a == b && same_moment(c, d)
        }
        _ => one == other,
    }
}

#[test]
fn the_stores_agree() {
    // The store in memory has its own clock.
    let real = Builder::new_current_thread().enable_all().build().unwrap();
    let paused = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let Some(server) = real.block_on(RedisServer::start()) else { return };
    let in_redis = server.store(RETENTION);

    let config = ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() };
    let events = prop::collection::vec(event(), 1..80);
    let run = |events: Vec<Event>| {
        real.block_on(async {
            redis::cmd("FLUSHALL").exec_async(&mut server.connection().await).await.unwrap();
        });
        let in_memory = paused.block_on(async { MemoryStore::new(RETENTION, 1000) });
        // Redis remembers since the first claim.
        let mut wall_ms = BEGIN_MS;
        real.block_on(in_redis.claim(&lease(), wall_ms)).unwrap();

        let leases = leases();
        for (index, event) in events.into_iter().enumerate() {
            // Each step has its own time, and so does each returned moment.
            wall_ms += 1;
            match event {
                Event::Pass(seconds) => {
                    let time = Duration::from_secs(seconds);
                    real.block_on(server.pass(time));
                    paused.block_on(tokio::time::advance(time));
                    wall_ms += i64::try_from(time.as_millis()).unwrap();
                }
                Event::Step(lease, step) => {
                    let memory = paused.block_on(step.take(&in_memory, &leases[lease], wall_ms));
                    let redis = real.block_on(step.take(&in_redis, &leases[lease], wall_ms));
                    prop_assert!(
                        agree(&memory, &redis),
                        "event {index}, {event:?}: in memory {memory:?}, in Redis {redis:?}"
                    );
                }
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&events, run).unwrap();
}
