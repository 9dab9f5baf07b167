//! One request makes one connection: every fault at every step.
//!
//! The use case runs over the emulator's core and the store in memory, on a paused clock and without
//! sockets. Each call of a port is a step. A run that went well tells its steps; each of them is then
//! struck by each fault that can strike it, and so are the steps of the runs that this makes. Replicas
//! share the store, as over Redis, and can die at every step; callers insist with their request id
//! until they have a connection.

mod world;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubspot_connection_service::domain::{ConnectionId, RequestId};
use tokio::time::{Instant, sleep, timeout};

use self::world::{Answer, Fault, StepKind, World};

/// Who calls, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callers {
    /// One, always at the same replica.
    One,
    /// One, at another replica each time.
    OneThatMoves,
    /// One that has no request id of its own.
    OneWithoutId,
    /// Two with the same request id at once, at the same replica.
    TwoTogether,
    /// Two with the same request id at once, at two replicas.
    TwoApart,
    /// Two with different request ids and the same name at once, at two replicas.
    TwoOfOneName,
}

impl Callers {
    const ALL: [Self; 6] = [
        Self::One,
        Self::OneThatMoves,
        Self::OneWithoutId,
        Self::TwoTogether,
        Self::TwoApart,
        Self::TwoOfOneName,
    ];
}

/// What happens at which step.
type Script = BTreeMap<usize, Fault>;

/// The longest that a caller has to insist: a lost creation settles within 90 seconds, and each fault
/// can cost that once.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Runs one interleaving and checks the promise. Tells the steps that there were.
fn run(callers: Callers, script: &Script, index_lag: Duration) -> Vec<StepKind> {
    fastrand::seed(7);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(script.clone(), index_lag);
        let outcome = timeout(PATIENCE, call(callers, &world)).await;
        let context = || format!("{callers:?} {script:?} lag {index_lag:?}\n{}", world.trace());
        let created = outcome.unwrap_or_else(|_| panic!("nobody got an answer: {}", context()));
        // What is still on its way arrives.
        sleep(Duration::from_secs(200)).await;

        let made = world.made();
        for (request_id, connection) in &created {
            let own: Vec<_> = made.iter().filter(|(id, _)| id == request_id).collect();
            assert_eq!(own.len(), 1, "one request made {} connections: {}", own.len(), context());
            assert_eq!(own[0].1, *connection, "the caller got another connection: {}", context());
        }
        let requests = if callers == Callers::TwoOfOneName { 2 } else { 1 };
        assert_eq!(made.len(), requests, "{}", context());
        world.steps()
    })
}

async fn call(callers: Callers, world: &Arc<World>) -> Vec<(RequestId, ConnectionId)> {
    let (one, other) = (RequestId::generate(), RequestId::generate());
    match callers {
        Callers::One => vec![insist(world, Some(one), |_| 0).await],
        Callers::OneThatMoves => vec![insist(world, Some(one), |attempt| attempt % 2).await],
        Callers::OneWithoutId => vec![insist(world, None, |_| 0).await],
        Callers::TwoTogether => two(insist(world, Some(one), |_| 0), insist(world, Some(one), |_| 0)).await,
        Callers::TwoApart => {
            two(insist(world, Some(one), |n| n % 2), insist(world, Some(one), |n| (n + 1) % 2)).await
        }
        Callers::TwoOfOneName => {
            two(insist(world, Some(one), |_| 0), insist(world, Some(other), |_| 1)).await
        }
    }
}

async fn two<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> Vec<T> {
    let (one, other) = tokio::join!(one, other);
    vec![one, other]
}

/// Calls until there is a connection: with the request id that it has, or else the one that it was
/// told to repeat the call with.
async fn insist(
    world: &Arc<World>,
    mut request_id: Option<RequestId>,
    replica: impl Fn(usize) -> usize,
) -> (RequestId, ConnectionId) {
    for attempt in 0.. {
        let deadline = Instant::now() + Duration::from_secs(20);
        match world.replica(replica(attempt)).create(request_id, deadline).await {
            Answer::Created(request_id, connection) => return (request_id, connection),
            Answer::RepeatWith(id) => request_id = Some(id),
            Answer::Repeat => {}
        }
        sleep(Duration::from_secs(1)).await;
    }
    unreachable!("attempts have no end")
}

/// How many of the steps after the last fault are struck: enough to get past a look or two, whose
/// steps repeat from then on.
const DEPTH: usize = 14;

/// Adds one more fault to a script, in every way.
fn extended(script: &Script, steps: &[StepKind], callers: Callers) -> Vec<Script> {
    let first = script.keys().last().map_or(0, |last| last + 1);
    let mut scripts = Vec::new();
    for (index, kind) in steps.iter().enumerate().skip(first).take(DEPTH) {
        for fault in kind.faults() {
            // Who dies cannot tell its caller under which name to ask again.
            if callers == Callers::OneWithoutId && fault.kills() {
                continue;
            }
            let mut script = script.clone();
            script.insert(index, *fault);
            scripts.push(script);
        }
    }
    scripts
}

#[test]
#[expect(clippy::print_stdout, reason = "the number of runs is a result of the test")]
fn one_request_makes_one_connection_whatever_fails_in_between() {
    // The second faults are a sample: each run of the test takes the same one in so many.
    const SAMPLE: usize = 3;
    let mut runs = 0;
    for callers in Callers::ALL {
        for lag in [Duration::ZERO, Duration::from_secs(5)] {
            let steps = run(callers, &Script::new(), lag);
            runs += 1;
            for (number, script) in extended(&Script::new(), &steps, callers).into_iter().enumerate() {
                let steps = run(callers, &script, lag);
                runs += 1;
                for script in extended(&script, &steps, callers).iter().skip(number % SAMPLE).step_by(SAMPLE)
                {
                    run(callers, script, lag);
                    runs += 1;
                }
            }
        }
    }
    println!("ran {runs} interleavings of faults");
    assert!(runs > 4000, "only {runs}");
}
